// What the machine's own page tables give a user, page by page, and so what can be mapped for it in a process of the host.
// Intel SDM volume 3, Paging: Hierarchical Paging Structures; Access Rights; Accessed and Dirty Flags. Large pages included.

import type { PagingMode } from '../../../spec/instructions/vocabulary.ts';

export interface Rights {
  readonly present: boolean;
  readonly user: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  /** Accessed, and dirty where it can be written: the processor has nothing to set. */
  readonly settled: boolean;
  readonly physical: number;
}
const nothing: Rights = { present: false, user: false, write: false, execute: false, settled: false, physical: 0 };

interface Shape {
  readonly width: 4 | 8;
  /** Lowest address bit and number of index bits of each level, from the top. */
  readonly levels: readonly (readonly [shift: number, bits: number])[];
}
const nines = (n: number): Shape['levels'] => Array.from({ length: n }, (_, i) => [12 + 9 * (n - 1 - i), 9] as const);
const shapes: Readonly<Partial<Record<PagingMode, Shape>>> = {
  '32-bit': {
    width: 4,
    levels: [
      [22, 10],
      [12, 10],
    ],
  },
  pae: { width: 8, levels: [[30, 2], ...nines(2)] },
  '4-level': { width: 8, levels: nines(4) },
  '5-level': { width: 8, levels: nines(5) },
};

/** `linear`: canonical. Memory outside `memory` holds nothing present. */
export const rightsAt = (memory: Buffer, paging: PagingMode, cr3: bigint, nx: boolean, linear: bigint): Rights => {
  const shape = shapes[paging];
  if (shape === undefined) return { present: true, user: true, write: true, execute: true, settled: true, physical: Number(linear) };
  let table = Number(cr3 & 0xffff_f000n);
  if (paging === 'pae') table = Number(cr3 & 0xffff_ffe0n);
  let [user, write, execute, settled] = [true, true, true, true];
  for (const [level, [shift, bits]] of shape.levels.entries()) {
    const at = table + Number((linear >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n)) * shape.width;
    if (at + shape.width > memory.length) return nothing;
    const entry = shape.width === 4 ? BigInt(memory.readUInt32LE(at)) : memory.readBigUInt64LE(at);
    if ((entry & 1n) === 0n) return nothing;
    const last = level === shape.levels.length - 1;
    const large = !last && (entry & 0x80n) !== 0n && shift <= 30 && !(paging === 'pae' && level === 0);
    if (!(paging === 'pae' && level === 0)) {
      user &&= (entry & 4n) !== 0n;
      write &&= (entry & 2n) !== 0n;
      settled &&= (entry & 0x20n) !== 0n;
    }
    if (nx && entry >> 63n !== 0n) execute = false;
    if (last || large) {
      settled &&= !write || (entry & 0x40n) !== 0n;
      const offset = linear & ((1n << BigInt(shift)) - 1n) & ~0xfffn;
      const base = entry & 0x000f_ffff_ffff_f000n & ~((1n << BigInt(shift)) - 1n);
      return { present: true, user, write, execute, settled, physical: Number(base + offset) };
    }
    table = Number(entry & 0x000f_ffff_ffff_f000n);
  }
  return nothing;
};
