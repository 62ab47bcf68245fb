// The memory image of each machine: descriptor tables, TSS, page tables. What a system programmer would set up before the first user
// instruction. Intel SDM volume 3: System Architecture Overview; Paging; Task Management; Interrupt and Exception Handling.

import type { CpuFeature, CpuMode, PagingMode } from '../../spec/instructions/vocabulary.ts';
import type { Gpa, MachineConfig } from '../../spec/units.ts';
import {
  code16,
  code32,
  code64,
  type Descriptor,
  data16,
  data32,
  dataType,
  codeType,
  descriptorBytes,
  gateBytes,
  system,
} from './descriptors.ts';
import * as at from './layout.ts';

type Image = NonNullable<MachineConfig['image']>;
const S_P = 0x90;
const G_D = 0xc000;
const piece = (where: number, bytes: Uint8Array): Image[number] => ({ at: BigInt(where) as Gpa, bytes });
const isLong = (mode: CpuMode): boolean => mode === 'long64' || mode === 'compat';

/** The GDT's descriptors; gates and 16-byte ones are put over it. */
const descriptors = (mode: CpuMode): Readonly<Partial<Record<at.SelectorName, Descriptor>>> => {
  const level = (n: number): number => n << 5;
  // In IA-32e mode the conforming segments are 64-bit ones; both kinds of conforming code are reached from either sub-mode.
  const wide = mode === 'long64' ? 0xa000 : G_D;
  return {
    kernelCode32: code32(0),
    kernelCode64: code64(0),
    kernelData: data32(0),
    userCode32: code32(3),
    userData: data32(3),
    userCode64: code64(3),
    ldt: system(2, at.ldt, at.ldtLimit),
    kernelCode16: code16(0, at.base16),
    kernelData16: data16(0, at.base16),
    userCode16: code16(3, at.base16),
    userData16: data16(3, at.base16),
    conforming0: { base: 0, limit: 0xfffff, access: codeType | 4 | S_P | wide },
    conforming3: { base: 0, limit: 0xfffff, access: codeType | 4 | S_P | level(3) | wide },
    expandDown: { base: 0, limit: 0x14, access: dataType | 4 | S_P | level(3) | G_D },
    readOnly: { base: 0, limit: 0xfffff, access: 1 | S_P | level(3) | G_D },
    executeOnly: { base: 0, limit: 0xfffff, access: 9 | S_P | level(3) | wide },
    absentData: { base: 0, limit: 0xfffff, access: dataType | 0x10 | level(3) | G_D },
    absentCode: { base: 0, limit: 0xfffff, access: codeType | 0x10 | level(3) | wide },
    data1: data32(1),
    code1: { ...(mode === 'long64' ? code64(1) : code32(1)) },
    data2: data32(2),
    code2: { ...(mode === 'long64' ? code64(2) : code32(2)) },
    small: { base: at.data, limit: 0xfff, access: dataType | S_P | level(3) | 0x4000 },
    unaccessed: { base: 0, limit: 0xfffff, access: 2 | S_P | level(3) | G_D },
    busyTss: system(11, at.tss2, 0x67),
    otherTss: system(9, at.tss2, 0x67),
    codeLongAndBig: { base: 0, limit: 0xfffff, access: codeType | S_P | level(3) | 0xe000 },
    expandDown16: { base: at.base16, limit: 0x3fff, access: dataType | 4 | S_P | level(3) },
    absentLdt: system(2, at.ldt, at.ldtLimit, false),
  };
};

const globalTable = (mode: CpuMode): Uint8Array => {
  const long = isLong(mode);
  const bytes = new Uint8Array(at.gdtLimit + 1);
  for (const [name, descriptor] of Object.entries(descriptors(mode)))
    bytes.set(descriptorBytes(descriptor), at.selectors[name as at.SelectorName]);
  bytes.set(descriptorBytes(system(11, at.tss, tssLimit)), at.selectors.tss);
  const kernel = mode === 'long64' || mode === 'compat' ? at.selectors.kernelCode64 : at.selectors.kernelCode32;
  const end = Number(at.stops.at) + at.stops.stride * 256;
  bytes.set(gateBytes(kernel, end, 12, 3, { long }), at.selectors.callGate3);
  bytes.set(gateBytes(kernel, end, 12, 0, { long }), at.selectors.callGate0);
  if (!long) bytes.set(gateBytes(at.selectors.kernelCode16, end, 4, 3, { long, parameters: 1 }), at.selectors.callGate16);
  if (!long) bytes.set(gateBytes(at.selectors.otherTss, 0, 5, 3, { long }), at.selectors.taskGate);
  return bytes;
};
const localTable = (): Uint8Array => {
  const bytes = new Uint8Array(at.ldtLimit + 1);
  for (const [i, d] of [data32(3), code32(3), data32(0)].entries()) bytes.set(descriptorBytes(d), i * 8);
  return bytes;
};

/** SDM volume 3, 32-Bit Task-State Segment; TSS in 64-bit Mode; I/O Permission Bit Map: one byte of ones ends it. */
const ioMapAt = 0x68;
const tssLimit = ioMapAt + 0x400 / 8;
const taskState = (mode: CpuMode): Uint8Array => {
  const bytes = new Uint8Array(tssLimit + 1).fill(0xff, ioMapAt);
  const view = new DataView(bytes.buffer);
  const { ring0, ring1, ring2, ist } = at.stackTops;
  if (isLong(mode)) for (const [i, top] of [ring0, ring1, ring2].entries()) view.setBigUint64(4 + 8 * i, BigInt(top), true);
  else
    for (const [i, [top, data]] of [
      [ring0, at.selectors.kernelData],
      [ring1, at.selectors.data1 | 1],
      [ring2, at.selectors.data2 | 2],
    ].entries() as IterableIterator<[number, [number, number]]>) {
      view.setUint32(4 + 8 * i, top, true);
      view.setUint16(8 + 8 * i, data, true);
    }
  if (isLong(mode)) view.setBigUint64(0x24, BigInt(ist), true);
  view.setUint16(0x66, ioMapAt, true);
  for (const [from, to] of at.openPorts)
    for (let port = from; port <= to; port++) bytes[ioMapAt + (port >> 3)] = (bytes[ioMapAt + (port >> 3)] ?? 0xff) & ~(1 << (port & 7));
  return bytes;
};

const stopOf = (vector: number): number => Number(at.stops.at) + at.stops.stride * vector;
const interruptTable = (mode: CpuMode): Image => {
  if (mode === 'real') {
    const bytes = new Uint8Array(4 * (at.lastGate + 1));
    const view = new DataView(bytes.buffer);
    for (let vector = 0; vector <= at.lastGate; vector++) view.setUint16(4 * vector, stopOf(vector), true);
    return [piece(at.ivt, bytes)];
  }
  const long = isLong(mode);
  const selector = long ? at.selectors.kernelCode64 : at.selectors.kernelCode32;
  const gate = (vector: number): Uint8Array =>
    gateBytes(selector, stopOf(vector), 14, at.openGates.includes(vector) ? 3 : 0, {
      long,
      ...(long && vector === 8 ? { parameters: 1 } : {}),
    });
  const width = long ? 16 : 8;
  const first = at.gates.filter((v) => v < 48);
  const bytes = new Uint8Array(first.length * width);
  for (const vector of first) bytes.set(gate(vector), vector * width);
  return [piece(at.idt, bytes), piece(at.idt + at.lastGate * width, gate(at.lastGate))];
};

/** Flags of a page-table entry. SDM volume 3, Paging: P 0, R/W 1, U/S 2, A 5, D 6, XD 63. */
const P = 1n;
const RW = 2n;
const US = 4n;
const AD = 0x60n;
const XD = 1n << 63n;
const rightsOf = (page: number, nx: boolean): bigint => {
  const xd = nx ? XD : 0n;
  switch (page) {
    case at.pages.userReadOnly:
      return P | US | AD;
    case at.pages.supervisor:
      return P | RW | AD;
    case at.pages.absent:
      return 0n;
    case at.pages.noExecute:
      return P | RW | US | AD | xd;
    case at.pages.fresh:
      return P | RW | US;
    case at.pages.supervisorReadOnly:
      return P | AD;
    case at.pages.userReadOnlyNoExecute:
      return P | US | AD | xd;
    default:
      return P | RW | AD | (page >= at.code && page < at.agent ? US : 0n);
  }
};
/** Where the entry of the 4-KByte page at `page` stands. */
export const entryAt = (page: number, paging: PagingMode): number => at.pageTable + (page >> 12) * (paging === '32-bit' ? 4 : 8);
const pageTables = (paging: PagingMode, nx: boolean): Image => {
  if (paging === 'none') return [];
  const width = paging === '32-bit' ? 4 : 8;
  const bytes = new Uint8Array((at.memorySize >> 12) * width);
  const view = new DataView(bytes.buffer);
  for (let page = 0; page < at.memorySize; page += 0x1000) {
    const entry = BigInt(page) | rightsOf(page, nx);
    if (width === 4) view.setUint32((page >> 12) * 4, Number(BigInt.asUintN(32, entry)), true);
    else view.setBigUint64((page >> 12) * 8, entry, true);
  }
  const pointer = (to: number, flags: bigint): Uint8Array => {
    const entry = new Uint8Array(width);
    const value = BigInt(to) | flags;
    if (width === 4) new DataView(entry.buffer).setUint32(0, Number(value), true);
    else new DataView(entry.buffer).setBigUint64(0, value, true);
    return entry;
  };
  const down = P | RW | US | 0x20n;
  const upper: Image[number][] = [];
  if (paging === '5-level') upper.push(piece(at.pml5, pointer(at.pml4, down)));
  if (paging === '5-level' || paging === '4-level') upper.push(piece(at.pml4, pointer(at.pdpt, down)));
  // PAE: four PDPTEs are loaded at once; their R/W and U/S bits are reserved (SDM volume 3, PDPTE Registers).
  if (paging === 'pae') {
    const four = new Uint8Array(32);
    four.set(pointer(at.pageDirectory, P));
    upper.push(piece(at.pdpt, four));
  } else if (paging !== '32-bit') upper.push(piece(at.pdpt, pointer(at.pageDirectory, down)));
  return [...upper, piece(at.pageDirectory, pointer(at.pageTable, down)), piece(at.pageTable, bytes)];
};

/** A machine furnished for code of this mode. */
export const machineFor = (mode: CpuMode, paging: PagingMode, features: readonly CpuFeature[]): MachineConfig => ({
  memory: at.memorySize,
  fill: at.fill,
  bus: 'none',
  cpu: { mode, paging, features, stops: at.stops },
  image: [
    ...(mode === 'real' ? interruptTable(mode) : []),
    piece(at.gdt, globalTable(mode)),
    piece(at.ldt, localTable()),
    ...(mode === 'real' ? [] : interruptTable(mode)),
    piece(at.tss, taskState(mode)),
    ...pageTables(paging, features.includes('nx')),
  ],
});
