// Where everything stands in the memory that a processor's programs run in, and which selector names what.
// Linear addresses equal physical ones. What a user touches lies at 64 KiB and above, so that a program can run in ring 3 of a host too.

/** Bytes of guest memory. */
export const memorySize = 0x40000;
/** INT3: a stray jump ends in #BP, and a page-table entry of these bytes is not present. */
export const fill = 0xcc;

export const ivt = 0x0;
export const gdt = 0x1000;
export const ldt = 0x1800;
export const idt = 0x2000;
export const tss = 0x3000;
/** A second TSS, for task switches and LTR. */
export const tss2 = 0x3800;
export const stops: { readonly at: bigint; readonly stride: number; readonly count: number } = { at: 0x4000n, stride: 16, count: 257 };
export const pml5 = 0x6000;
export const pml4 = 0x7000;
export const pdpt = 0x8000;
export const pageDirectory = 0x9000;
export const pageTable = 0xa000;
/** Tops of stacks: they grow down. */
export const stackTops: {
  readonly ring0: number;
  readonly ring1: number;
  readonly ring2: number;
  readonly ist: number;
  readonly user: number;
} = {
  ring0: 0xdff0,
  ring1: 0xe7f0,
  ring2: 0xeff0,
  ist: 0xf7f0,
  user: 0x21ff0,
};
/** SP of 16-bit code, from its segment base: in the data pages. */
export const stackTop16 = 0x7ff0;
export const code = 0x10000;
export const data = 0x14000;
/** Base of 16-bit segments. */
export const base16 = 0x10000;

/** Pages with rights of their own; all others below 64 KiB and from 192 KiB are supervisor, read/write, the rest user, read/write. */
export const pages: {
  readonly userReadOnly: number;
  readonly supervisor: number;
  readonly absent: number;
  readonly noExecute: number;
  readonly spare: number;
  readonly fresh: number;
  readonly supervisorReadOnly: number;
  readonly userReadOnlyNoExecute: number;
} = {
  userReadOnly: 0x18000,
  supervisor: 0x19000,
  absent: 0x1a000,
  noExecute: 0x1b000,
  /** A page whose entry programs edit. */
  spare: 0x1c000,
  /** Accessed and dirty flags clear. */
  fresh: 0x1d000,
  supervisorReadOnly: 0x1e000,
  userReadOnlyNoExecute: 0x1f000,
};
/** Linear addresses where all of memory appears once more, through entries that programs lay themselves. */
export const aliases: { readonly large: number; readonly parent: number; readonly huge: number; readonly top: number } = {
  large: 0x400000,
  parent: 0x800000,
  huge: 0x40000000,
  top: 0x80_0000_0000,
};
/** Nothing that a program names lies here and above: an agent inside the guest lives there. */
export const agent = 0x30000;

/** Selectors, RPL 0; user ones as Linux has them. */
export const selectors = {
  null: 0x00,
  kernelCode32: 0x08,
  kernelCode64: 0x10,
  kernelData: 0x18,
  userCode32: 0x20,
  userData: 0x28,
  userCode64: 0x30,
  tss: 0x40,
  ldt: 0x50,
  kernelCode16: 0x60,
  kernelData16: 0x68,
  userCode16: 0x70,
  userData16: 0x78,
  conforming0: 0x80,
  conforming3: 0x88,
  expandDown: 0x90,
  readOnly: 0x98,
  executeOnly: 0xa0,
  absentData: 0xa8,
  absentCode: 0xb0,
  data1: 0xb8,
  code1: 0xc0,
  data2: 0xc8,
  code2: 0xd0,
  small: 0xd8,
  unaccessed: 0xe0,
  callGate3: 0xe8,
  callGate0: 0xf8,
  callGate16: 0x108,
  taskGate: 0x110,
  busyTss: 0x118,
  otherTss: 0x128,
  codeLongAndBig: 0x138,
  expandDown16: 0x140,
  absentLdt: 0x148,
} as const;
export type SelectorName = keyof typeof selectors;
export const gdtLimit = 0x15f;
/** Entries 0–3 of the LDT: data DPL 3, code DPL 3, data DPL 0, nothing. */
export const ldtLimit = 0x1f;
/** Gates stand for the first 48 vectors and for 80H; what is between is fill, which is no gate. */
export const gates: readonly number[] = [...Array(48).keys(), 0x80];
export const lastGate = 0x80;
/** Gates that ring 3 may use by INT n. SDM volume 3, Privilege Level Checks for interrupt gates. */
export const openGates: readonly number[] = [3, 4, 0x21, 0x80];
/** I/O bitmap of the TSS: ports 0–3FFH; only these are open. */
export const openPorts: readonly (readonly [from: number, to: number])[] = [
  [0x60, 0x6f],
  [0x3f8, 0x3f9],
];
