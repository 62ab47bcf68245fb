// Names of the bits of RFLAGS, CR0, CR4 and EFER, and masks by operand size, each as the manual numbers them.
// Intel SDM volume 1, EFLAGS Register; volume 3, Control Registers; Extended Feature Enable Register.

export const flag = {
  CF: 0x1,
  PF: 0x4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  VIF: 0x80000,
  VIP: 0x100000,
  ID: 0x200000,
} as const;
/** CF, PF, AF, ZF, SF, OF. */
export const statusFlags: number = flag.CF | flag.PF | flag.AF | flag.ZF | flag.SF | flag.OF;

export const cr0 = {
  PE: 0x1,
  MP: 0x2,
  EM: 0x4,
  TS: 0x8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: 0x80000000,
} as const;
export const cr4 = {
  VME: 0x1,
  PVI: 0x2,
  TSD: 0x4,
  DE: 0x8,
  PSE: 0x10,
  PAE: 0x20,
  MCE: 0x40,
  PGE: 0x80,
  PCE: 0x100,
  OSFXSR: 0x200,
  OSXMMEXCPT: 0x400,
  UMIP: 0x800,
  LA57: 0x1000,
  VMXE: 0x2000,
  SMXE: 0x4000,
  FSGSBASE: 0x10000,
  PCIDE: 0x20000,
  OSXSAVE: 0x40000,
  SMEP: 0x100000,
  SMAP: 0x200000,
  PKE: 0x400000,
  CET: 0x800000,
  PKS: 0x1000000,
} as const;
export const efer = { SCE: 0x1, LME: 0x100, LMA: 0x400, NXE: 0x800 } as const;

export type GprName =
  | 'rax'
  | 'rcx'
  | 'rdx'
  | 'rbx'
  | 'rsp'
  | 'rbp'
  | 'rsi'
  | 'rdi'
  | 'r8'
  | 'r9'
  | 'r10'
  | 'r11'
  | 'r12'
  | 'r13'
  | 'r14'
  | 'r15';
/** General registers in the order of their numbers. */
export const gpr: readonly GprName[] = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];
/** Segment registers in the order of their numbers. */
export type SegmentName = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs';
export const segments: readonly SegmentName[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
export type Size = 1 | 2 | 4 | 8;

const masks: readonly bigint[] = Array.from({ length: 17 }, (_, size) => (1n << BigInt(size * 8)) - 1n);
const word = new BigUint64Array(1);
const halves = new Uint32Array(word.buffer);
/** The half of a word that holds bits 31:0, in the order of the host. */
const LOW = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 0 : 1;
/** Bits 31:0. Number() of a bigint is a call out of compiled code; through a typed array it costs a fortieth. */
export const low = (value: bigint): number => {
  word[0] = value;
  return halves[LOW] as number;
};
/** Two halves as a number. Small ones stay whole numbers of the machine: what is multiplied by 2^32 is a double, kept apart on the heap. */
export const joined = (high: number, lower: number): number => (high === 0 ? lower : high * 0x1_0000_0000 + lower);
/** Number() of a value of at most 64 bits that is not negative. */
export const numberOf = (value: bigint): number => {
  word[0] = value;
  return joined(halves[1 - LOW] as number, halves[LOW] as number);
};
/** The other way: a number from 0 to 2^53 as a bigint. */
export const bigOf = (value: number): bigint => {
  halves[LOW] = value;
  halves[1 - LOW] = value <= 0xffff_ffff ? 0 : value / 0x1_0000_0000;
  return word[0] as bigint;
};
/** All ones of `size` bytes, at most 16. */
export const ones = (size: number): bigint => masks[size] as bigint;
/** The sign bit of `size` bytes. */
export const top = (size: number): bigint => (ones(size) >> 1n) + 1n;
/** `value` cut to `size` bytes and read as two's complement. */
export const signed = (value: bigint, size: number): bigint => BigInt.asIntN(size * 8, value);

export const hex = (value: bigint | number | undefined): string => (value === undefined ? 'nothing' : `${value.toString(16)}H`);
