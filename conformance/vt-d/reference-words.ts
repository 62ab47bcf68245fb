// Decides how the tests of the reference's remapping unit talk to it: short words for registers, tables, requests and what came of them.
// Numbers are written out as the manual's layouts give them; nothing here is shared with the reference.

import { createMachine, type Machine } from '../../reference/machine.ts';
import type { Gpa, Iova, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Requester } from '../../spec/vt-d/vocabulary.ts';

/** QEMU 7.2: `-device intel-iommu,intremap=on`, and with aw-bits=48. */
export interface ProfileOf {
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly hostAddressWidth: number;
}
export const QEMU: ProfileOf = { cap: 0xd2_008c_2226_0206n, ecap: 0xf0_0f4an, hostAddressWidth: 39 };
export const QEMU48: ProfileOf = { ...QEMU, cap: 0xd2_008c_222f_0606n };
const everything: Requester['can'] = ['read', 'read.bytes', 'write', 'atomic', 'execute', 'pasid', 'translated', 'ats', 'pri', 'msi'];
/** Bus 0, device 2, function 0. */
export const ENDPOINT: Requester = { sourceId: 0x10, kind: 'endpoint', can: everything };

export interface Bench {
  readonly machine: Machine;
  readonly go: (stimulus: Stimulus) => readonly Observation[];
  /** Little-endian 64-bit words of memory. */
  readonly put: (at: number, ...words: readonly bigint[]) => void;
  readonly peek: (at: number) => bigint;
  readonly write: (at: number, value: bigint, width?: 4 | 8) => readonly Observation[];
  readonly read: (at: number, width?: 4 | 8) => bigint;
  /** The outcome of a one-byte access. */
  readonly dma: (at: bigint, kind: 'read' | 'write', more?: object) => string;
  /** Reason of fault record n and whether it was a read; clears it. */
  readonly fault: (n?: number) => string;
}

export const bench = (profile: ProfileOf, requesters: readonly Requester[] = [ENDPOINT]): Bench => {
  const config: MachineConfig = { memory: 0x10_0000, fill: 0, bus: 'none', vtd: { ...profile, requesters } };
  const machine = createMachine(config);
  const go = (stimulus: Stimulus): readonly Observation[] => {
    const answer = machine.apply(stimulus);
    if (!('saw' in answer)) throw new Error(JSON.stringify(answer));
    return answer.saw;
  };
  const write: Bench['write'] = (at, value, width = at === 0x18 || at === 0x34 || at === 0x38 ? 4 : 8) =>
    go({ do: 'vtd.write', at, width, value });
  const read: Bench['read'] = (at, width = 8) => {
    const [seen] = go({ do: 'vtd.read', at, width });
    if (seen?.saw !== 'vtd.register') throw new Error('no register');
    return seen.value;
  };
  const faultAt = Number((profile.cap >> 24n) & 0x3ffn) * 16;
  return {
    machine,
    go,
    write,
    read,
    put: (at, ...words) => {
      const bytes = new Uint8Array(8 * words.length);
      const view = new DataView(bytes.buffer);
      for (const [i, word] of words.entries()) view.setBigUint64(8 * i, word, true);
      go({ do: 'memory.write', at: BigInt(at) as Gpa, bytes });
    },
    peek: (at) => {
      // Translation is off in the tests that look: an untranslated read shows memory.
      const [seen] = go({ do: 'dma.read', requester: 0, at: BigInt(at) as Iova, length: 8 });
      if (seen?.saw !== 'dma.done' || seen.bytes === undefined) throw new Error('no bytes');
      return new DataView(seen.bytes.buffer, seen.bytes.byteOffset, 8).getBigUint64(0, true);
    },
    dma: (at, kind, more = {}) => {
      const target = { requester: 0, at: at as Iova, ...more };
      const seen = go(kind === 'read' ? { do: 'dma.read', length: 1, ...target } : { do: 'dma.write', bytes: Uint8Array.of(1), ...target });
      const done = seen.find((o) => o.saw === 'dma.done');
      return done?.saw === 'dma.done' ? done.outcome : 'nothing';
    },
    fault: (n = 0) => {
      const high = read(faultAt + 16 * n + 8);
      if (high >> 63n === 0n) return 'none';
      write(faultAt + 16 * n + 12, 0x8000_0000n, 4);
      return `${(high & 0x4000_0000_0000_0000n) === 0n ? 'write' : 'read'} ${((high >> 32n) & 0xffn).toString(16)}`;
    },
  };
};

/** Legacy tables: root 1000H, context table 2000H, second stage 3000H to 6000H; page 8000H maps to 9000H with `flags`. */
export const legacyTables = (b: Bench, levels: 3 | 4 = 3, flags = 3n): void => {
  b.put(0x1000, 0x2001n, 0n);
  b.put(0x2000 + 0x10 * 16, 0x3001n, 0x100n | BigInt(levels - 2)); // DID 1
  const tables = levels === 3 ? [0x3000, 0x4000, 0x5000] : [0x3000, 0x6000, 0x4000, 0x5000];
  for (let i = 0; i + 1 < tables.length; i += 1) b.put(tables[i] as number, BigInt(tables[i + 1] as number) | 3n);
  b.put(0x5000 + 8 * 8, 0x9000n | flags);
};
/** SRTP, TE. */
export const enable = (b: Bench, root = 0x1000n): void => {
  b.write(0x20, root);
  b.write(0x18, 0x4000_0000n);
  b.write(0x18, 0x8000_0000n);
};
