// PCI configuration space as far as reads have shown it: header bytes, the capability list, sizes of base address registers.
// Bytes that the driver can change are not remembered; everything else is read-only for the driver and stays.

import type { Structure } from './layout.ts';
import { barCount, capabilityId, header, structureOf } from './layout.ts';

/** One capability, as far as its bytes are known. */
export interface Capability {
  readonly at: number;
  readonly id: number;
  readonly next: number;
  readonly length?: number;
  readonly type?: number;
  readonly structure?: Structure;
  readonly bar?: number;
  readonly offset?: number;
  /** Length of the structure in its BAR. */
  readonly size?: number;
  readonly multiplier?: number;
  /** MSI-X: table size field, entries less one. */
  readonly table?: number;
  /** MSI-X: table and pending bits, BAR in the low three bits and offset above. */
  readonly tablePlace?: number;
  readonly pendingPlace?: number;
}
export interface Space {
  /** Bytes last read; -1 where not known. */
  readonly bytes: Int16Array;
  readonly capabilities: readonly Capability[];
  /** The list was followed to its end. */
  readonly complete: boolean;
  /** What is wrong with the list itself. */
  readonly fault: 'pointer' | 'loop' | undefined;
  /** Bytes behind each BAR whose size was probed. */
  readonly bars: ReadonlyMap<number, number>;
}
export const unknownSpace: Space = {
  bytes: new Int16Array(256).fill(-1),
  capabilities: [],
  complete: false,
  fault: undefined,
  bars: new Map(),
};

export const valueAt = (bytes: Int16Array, at: number, width: number): number | undefined => {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) {
    const byte = bytes[at + i] ?? -1;
    if (byte < 0) return undefined;
    value = value * 256 + byte;
  }
  return value;
};

const defined = <K extends string>(key: K, value: number | undefined): { readonly [P in K]?: number } =>
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: number };

const capabilityAt = (bytes: Int16Array, at: number, id: number, next: number): Capability => {
  if (id === capabilityId.msix) {
    const control = valueAt(bytes, at + 2, 2);
    return {
      at,
      id,
      next,
      ...defined('table', control === undefined ? undefined : control & 0x7ff),
      ...defined('tablePlace', valueAt(bytes, at + 4, 4)),
      ...defined('pendingPlace', valueAt(bytes, at + 8, 4)),
    };
  }
  if (id !== capabilityId.vendor) return { at, id, next };
  const type = valueAt(bytes, at + 3, 1);
  const structure = type === undefined ? undefined : structureOf.get(type);
  // The window's fields are the driver's.
  const fixed = structure !== undefined && structure !== 'window';
  return {
    at,
    id,
    next,
    ...defined('length', valueAt(bytes, at + 2, 1)),
    ...defined('type', type),
    ...(structure === undefined ? {} : { structure }),
    ...defined('bar', fixed ? valueAt(bytes, at + 4, 1) : undefined),
    ...defined('offset', fixed ? valueAt(bytes, at + 8, 4) : undefined),
    ...defined('size', fixed ? valueAt(bytes, at + 12, 4) : undefined),
    ...defined('multiplier', structure === 'notify' ? valueAt(bytes, at + 16, 4) : undefined),
  };
};

/** Follows the capability list as far as it is known. */
const walk = (bytes: Int16Array): Pick<Space, 'capabilities' | 'complete' | 'fault'> => {
  const capabilities: Capability[] = [];
  const seen = new Set<number>();
  let at = valueAt(bytes, header.capabilities, 1);
  while (at !== undefined && at !== 0) {
    if (seen.has(at)) return { capabilities, complete: true, fault: 'loop' };
    // Pointers stay out of the 64-byte header, and their low two bits are reserved.
    if (at < 0x40 || at % 4 !== 0) return { capabilities, complete: true, fault: 'pointer' };
    seen.add(at);
    const id = valueAt(bytes, at, 1);
    const next = valueAt(bytes, at + 1, 1);
    if (id === undefined || next === undefined) return { capabilities, complete: false, fault: undefined };
    capabilities.push(capabilityAt(bytes, at, id, next));
    at = next;
  }
  return { capabilities, complete: at === 0, fault: undefined };
};

const inBars = (at: number): boolean => at >= header.bars && at < header.bars + 4 * barCount;

/** Size of a BAR from what it reads after all ones were written. */
const sizeOf = (mask: number): number => {
  const io = (mask & 1) === 1;
  const bits = (mask & (io ? ~0x3 : ~0xf)) >>> 0;
  const low = io && bits < 0x10000 ? (bits | 0xffff0000) >>> 0 : bits;
  return low === 0 ? 0 : 2 ** 32 - low;
};

/** The space after a read. `probed`: BARs to which all ones were last written. */
export const learned = (space: Space, at: number, width: number, value: number, probed: ReadonlySet<number>): Space => {
  if (inBars(at)) {
    const bar = (at - header.bars) / 4;
    if (width !== 4 || !Number.isInteger(bar) || !probed.has(bar)) return space;
    const size = sizeOf(value);
    return size === 0 ? space : { ...space, bars: new Map([...space.bars, [bar, size]]) };
  }
  let fresh = false;
  for (let i = 0; i < width; i++) fresh ||= space.bytes[at + i] !== Math.floor(value / 256 ** i) % 256;
  if (!fresh) return space;
  const bytes = space.bytes.slice();
  for (let i = 0; i < width && at + i < bytes.length; i++) bytes[at + i] = Math.floor(value / 256 ** i) % 256;
  return { ...space, bytes, ...walk(bytes) };
};

/** A structure found in the list: where it lies. */
export interface Region {
  readonly structure: Structure;
  readonly bar: number;
  readonly offset: number;
  readonly size: number;
}
/** By the list of capabilities, which is made anew when anything in it is learned: most rules ask this of every access. */
const regions = new WeakMap<Space['capabilities'], readonly Region[]>();
export const regionsOf = ({ capabilities }: Space): readonly Region[] => {
  const known = regions.get(capabilities);
  if (known !== undefined) return known;
  const found = capabilities.flatMap(({ structure, bar, offset, size }) =>
    structure !== undefined && bar !== undefined && bar < barCount && offset !== undefined && size !== undefined
      ? [{ structure, bar, offset, size }]
      : [],
  );
  regions.set(capabilities, found);
  return found;
};
/** Whether every byte of a virtio capability that the text gives a meaning is known. */
export const whole = (c: Capability): boolean =>
  c.structure !== undefined &&
  c.length !== undefined &&
  (c.structure === 'window' || (c.bar !== undefined && c.offset !== undefined && c.size !== undefined)) &&
  (c.structure !== 'notify' || c.multiplier !== undefined);
