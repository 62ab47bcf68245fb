// Decides what the configuration space of each requester's function holds, which virtual functions exist, and what a function-level reset undoes.
// PCI Express Base, Type 0 Configuration Space Header; Single Root I/O Virtualization, SR-IOV Extended Capability.

import type { Requester } from '../../spec/vt-d/vocabulary.ts';

/** Offsets of the header. */
const COMMAND = 0x04;
const BUS_MASTER = 1 << 2;
const MEMORY_SPACE = 1 << 1;
const INTERRUPT_DISABLE = 1 << 10;
const STATUS = 0x06;
const CAPABILITIES_LIST = 1 << 4;
/** PCI Express Capability: Device Capabilities at 4, Device Control at 8. */
const EXPRESS = 0x40;
const FLR_CAPABLE = 2 ** 28;
const INITIATE_FLR = 1 << 15;
/** SR-IOV Extended Capability. */
const SRIOV = 0x100;
const CONTROL: number = SRIOV + 0x08;
const INITIAL_VFS: number = SRIOV + 0x0c;
const TOTAL_VFS: number = SRIOV + 0x0e;
const NUM_VFS: number = SRIOV + 0x10;
const FIRST_OFFSET: number = SRIOV + 0x14;
const STRIDE: number = SRIOV + 0x16;
const DEVICE_ID: number = SRIOV + 0x1a;
const PAGE_SIZES: number = SRIOV + 0x1c;
const SYSTEM_PAGE_SIZE: number = SRIOV + 0x20;
const VF_BAR: number = SRIOV + 0x24;
const VF_ENABLE = 1;
const VF_MEMORY_SPACE = 1 << 3;
/** VF BAR0: 16 KiB each. */
const VF_BAR_BYTES = 0x4000;
const SPACE = 4096;

export interface Functions {
  /** Whether the function is there at all: a virtual function while its physical function has it enabled. */
  readonly exists: (index: number) => boolean;
  /** Whether it may send requests. */
  readonly masters: (index: number) => boolean;
  readonly read: (index: number, at: number, width: 1 | 2 | 4) => number;
  readonly write: (index: number, at: number, width: 1 | 2 | 4, value: number) => void;
  /** Function-level reset. */
  readonly reset: (index: number) => void;
  readonly powerOn: () => void;
}
interface Space {
  readonly bytes: DataView;
  readonly writable: DataView;
}

/** Positions of a physical function's virtual functions, in order. */
const virtualsOf = (requesters: readonly Requester[], physical: number): readonly number[] =>
  requesters.flatMap((r, i) => (r.physical === physical ? [i] : []));

/** First VF Offset and VF Stride that give the virtual functions their numbers. */
const spread = (requesters: readonly Requester[], physical: number): readonly [offset: number, stride: number] => {
  const [first, second] = virtualsOf(requesters, physical).map((i) => requesters[i]?.sourceId ?? 0);
  if (first === undefined) return [0, 0];
  return [first - (requesters[physical]?.sourceId ?? 0), second === undefined ? 1 : second - first];
};

/** Why the functions cannot be built. */
export const functionsRefusal = (requesters: readonly Requester[]): string | undefined => {
  const taken = new Set<number>();
  for (const [index, r] of requesters.entries()) {
    if (r.sourceId < 0 || r.sourceId > 0xffff || !Number.isInteger(r.sourceId)) return `source ID ${r.sourceId}`;
    if (taken.has(r.sourceId)) return `two requesters with source ID ${r.sourceId}`;
    taken.add(r.sourceId);
    if (r.physical === undefined) continue;
    const parent = requesters[r.physical];
    if (parent === undefined || r.physical === index || parent.physical !== undefined)
      return `virtual function ${index} of requester ${r.physical}`;
    if (!parent.can.includes('config')) return `virtual functions of requester ${r.physical}, which has no configuration space`;
    const [offset, stride] = spread(requesters, r.physical);
    const n = virtualsOf(requesters, r.physical).indexOf(index);
    if (offset <= 0 || stride <= 0 || r.sourceId !== parent.sourceId + offset + n * stride)
      return `virtual function ${index} with source ID ${r.sourceId}`;
  }
  return undefined;
};

const createSpace = (requesters: readonly Requester[], index: number): Space => {
  const bytes = new DataView(new ArrayBuffer(SPACE));
  const writable = new DataView(new ArrayBuffer(SPACE));
  const isVirtual = requesters[index]?.physical !== undefined;
  // A virtual function's IDs are those that its physical function tells, and its memory is enabled there.
  bytes.setUint16(0x00, isVirtual ? 0xffff : 0x1b36, true);
  bytes.setUint16(0x02, isVirtual ? 0xffff : 0x0d1d, true);
  writable.setUint16(COMMAND, BUS_MASTER | (isVirtual ? 0 : MEMORY_SPACE | INTERRUPT_DISABLE), true);
  bytes.setUint16(STATUS, CAPABILITIES_LIST, true);
  bytes.setUint8(0x0b, 0xff); // class code: unassigned
  bytes.setUint8(0x34, EXPRESS);
  bytes.setUint8(EXPRESS, 0x10);
  bytes.setUint16(EXPRESS + 2, 2, true);
  bytes.setUint32(EXPRESS + 4, FLR_CAPABLE, true);
  if (isVirtual) return { bytes, writable };
  writable.setUint8(0x3c, 0xff);

  const total = virtualsOf(requesters, index).length;
  if (total === 0) return { bytes, writable };
  const [offset, stride] = spread(requesters, index);
  bytes.setUint32(SRIOV, 0x0001_0010, true);
  writable.setUint16(CONTROL, VF_ENABLE | VF_MEMORY_SPACE, true);
  bytes.setUint16(INITIAL_VFS, total, true);
  bytes.setUint16(TOTAL_VFS, total, true);
  writable.setUint16(NUM_VFS, 0xffff, true);
  bytes.setUint16(FIRST_OFFSET, offset, true);
  bytes.setUint16(STRIDE, stride, true);
  bytes.setUint16(DEVICE_ID, 0x0d1e, true);
  bytes.setUint32(PAGE_SIZES, 1, true);
  bytes.setUint32(SYSTEM_PAGE_SIZE, 1, true);
  writable.setUint32(VF_BAR, ~(VF_BAR_BYTES - 1) >>> 0, true);
  return { bytes, writable };
};

export const createFunctions = (requesters: readonly Requester[]): Functions => {
  const spaces = requesters.map((r, i) => (r.can.includes('config') ? createSpace(requesters, i) : undefined));
  const virtuals = requesters.map((_, i) => virtualsOf(requesters, i));

  const enabled = (space: Space): boolean => (space.bytes.getUint16(CONTROL, true) & VF_ENABLE) !== 0;
  const exists = (index: number): boolean => {
    const physical = requesters[index]?.physical;
    if (physical === undefined) return true;
    const space = spaces[physical];
    if (space === undefined || !enabled(space)) return false;
    // More than there are: none appears.
    const number = space.bytes.getUint16(NUM_VFS, true);
    if (number > space.bytes.getUint16(TOTAL_VFS, true)) return false;
    return (virtuals[physical] ?? []).indexOf(index) < number;
  };
  const clear = (index: number): void => {
    const space = spaces[index];
    if (space === undefined) return;
    for (let at = 0; at < SPACE; at += 1) space.bytes.setUint8(at, space.bytes.getUint8(at) & ~space.writable.getUint8(at));
  };
  const reset = (index: number): void => {
    clear(index);
    for (const child of virtuals[index] ?? []) clear(child);
  };
  return {
    exists,
    masters: (index) => {
      const space = spaces[index];
      return exists(index) && (space === undefined || (space.bytes.getUint16(COMMAND, true) & BUS_MASTER) !== 0);
    },
    read: (index, at, width) => {
      const space = exists(index) ? spaces[index] : undefined;
      let value = 0;
      for (let i = 0; i < width; i += 1) value += (space !== undefined && at + i < SPACE ? space.bytes.getUint8(at + i) : 0xff) * 256 ** i;
      return value;
    },
    write: (index, at, width, value) => {
      const space = exists(index) ? spaces[index] : undefined;
      if (space === undefined) return;
      const before = (virtuals[index]?.length ?? 0) > 0 && enabled(space);
      for (let i = 0; i < width && at + i < SPACE; i += 1) {
        const offset = at + i;
        // NumVFs stands still while virtual functions are enabled.
        if (before && (offset === NUM_VFS || offset === NUM_VFS + 1)) continue;
        const mask = space.writable.getUint8(offset);
        space.bytes.setUint8(offset, (space.bytes.getUint8(offset) & ~mask) | ((value >>> (8 * i)) & mask));
        if (offset === EXPRESS + 9 && ((value >>> (8 * i)) & (INITIATE_FLR >> 8)) !== 0) reset(index);
      }
      // What vanishes is as new when it comes again.
      if (before && !enabled(space)) for (const child of virtuals[index] ?? []) clear(child);
    },
    reset,
    powerOn: () => {
      for (const index of requesters.keys()) clear(index);
    },
  };
};
