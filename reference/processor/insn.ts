// Decides what a decoded instruction is to the rest of the processor: plain data, read once from the decoder's object.
// Registers are indices; memory operands are base, index, scale, displacement and segment; everything else is numbers.

import type { Instruction } from 'iced-x86';
import { high, low } from './halves.ts';
import { iced } from './iced.ts';

export type Size = 8 | 16 | 32 | 64 | 128;
export type Operand =
  /** Register `index` of 0–15; of size 8, `index` is the byte among the general registers' bytes. */
  | { readonly kind: 'register'; readonly size: Size; readonly index: number }
  | { readonly kind: 'segment' | 'control' | 'debug' | 'test' | 'other'; readonly index: number; readonly size: Size }
  | { readonly kind: 'immediate'; readonly lo: number; readonly hi: number; readonly size: Size }
  /** Through `mem`; of strings, through rSI or rDI. */
  | { readonly kind: 'memory'; readonly size: Size };
export interface Mem {
  /** Size of the address; index of the registers, or -1. */
  readonly asize: 16 | 32 | 64;
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly lo: number;
  readonly hi: number;
  readonly seg: number;
}
export interface Insn {
  /** The mnemonic, and the form: mnemonic and operands. */
  readonly name: string;
  readonly form: string;
  /** The decoder's number of the form. */
  readonly code: number;
  readonly bits: 16 | 32 | 64;
  readonly lo: number;
  readonly hi: number;
  readonly nextLo: number;
  readonly nextHi: number;
  readonly ops: readonly Operand[];
  readonly mem: Mem | undefined;
  /** Size of the operation: of its first operand. */
  readonly size: Size;
  readonly lock: boolean;
  readonly repe: boolean;
  readonly repne: boolean;
  /** Of near branches. */
  readonly targetLo: number;
  readonly targetHi: number;
  /** Of direct far branches. */
  readonly farSelector: number;
  readonly farOffset: number;
}

const [SS, DS, FS] = [2, 3, 4];
const [RSP, RBP] = [4, 5];

const KINDS = [
  'Register',
  'NearBranch64',
  'FarBranch16',
  'FarBranch32',
  'Immediate8_2nd',
  'Immediate16',
  'Immediate32',
  'Immediate32to64',
  'Memory',
  'MemorySegESI',
  'MemorySegRSI',
] as const;
interface Tables {
  readonly register: readonly Operand[];
  readonly memory: readonly Size[];
  readonly mnemonic: readonly string[];
  readonly code: readonly string[];
  /** By form, of those that were met: mnemonic and number of operands. */
  readonly forms: (Form | undefined)[];
  /** Of the enumeration of operand kinds what is asked for: the whole of it is slow to look things up in. */
  readonly kinds: Kinds;
}
interface Form {
  readonly name: string;
  readonly operands: number;
}
type Kinds = Readonly<Record<(typeof KINDS)[number], number>>;
/** The names of an enumeration by their numbers. */
const namesOf = (enumeration: object): readonly string[] => {
  const names: string[] = [];
  for (const [name, value] of Object.entries(enumeration)) if (typeof value === 'number') names[value] = name;
  return names;
};
let made: Tables | undefined;
const tables = (): Tables => {
  if (made !== undefined) return made;
  const { Code, MemorySize, Mnemonic, OpKind, Register } = iced();
  const names = Object.values(Register).filter((v): v is string => typeof v === 'string');
  const number = (name: string): number => (Register as unknown as Readonly<Record<string, number>>)[name] ?? 0;
  const register: Operand[] = [];
  for (const name of names)
    register[number(name)] = operandOf(name, number(name), number('AL'), number('AX'), number('EAX'), number('RAX'));
  const memory: Size[] = [];
  for (const [name, value] of Object.entries(MemorySize)) if (typeof value === 'number') memory[value] = sizeOf(name);
  const kinds = Object.fromEntries(KINDS.map((name) => [name, OpKind[name]])) as Kinds;
  const code = namesOf(Code);
  const forms = new Array<Form | undefined>(code.length).fill(undefined);
  made = { register, memory, mnemonic: namesOf(Mnemonic), code, forms, kinds };
  return made;
};
const operandOf = (name: string, n: number, al: number, ax: number, eax: number, rax: number): Operand => {
  if (n >= al && n < al + 20) {
    const i = n - al;
    // AL CL DL BL AH CH DH BH, then the low bytes from SPL on.
    return { kind: 'register', size: 8, index: i < 4 ? 8 * i : i < 8 ? 8 * (i - 4) + 1 : 8 * (i - 4) };
  }
  if (n >= ax && n < ax + 16) return { kind: 'register', size: 16, index: n - ax };
  if (n >= eax && n < eax + 16) return { kind: 'register', size: 32, index: n - eax };
  if (n >= rax && n < rax + 16) return { kind: 'register', size: 64, index: n - rax };
  const segment = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'].indexOf(name);
  if (segment >= 0) return { kind: 'segment', index: segment, size: 16 };
  const [, kind, index] = /^(CR|DR|TR)(\d+)$/.exec(name) ?? [];
  if (kind !== undefined) return { kind: kind === 'CR' ? 'control' : kind === 'DR' ? 'debug' : 'test', index: Number(index), size: 64 };
  return { kind: 'other', index: Number(/\d+$/.exec(name)?.[0] ?? 0), size: name.startsWith('XMM') ? 128 : 64 };
};
const sizeOf = (name: string): Size => {
  if (name === 'WordOffset') return 16;
  if (name === 'DwordOffset') return 32;
  if (name === 'QwordOffset') return 64;
  const bits = Number(/^(?:U?Int|Bcd|Float)(\d+)$/.exec(name)?.[1] ?? 0);
  return bits === 8 || bits === 16 || bits === 32 || bits === 64 || bits === 128 ? bits : 32;
};

/** General register of an iced register number, or -1. */
const general = (t: Tables, register: number): number => {
  const o = t.register[register];
  return o?.kind === 'register' ? o.index : -1;
};
const memOf = (t: Tables, i: Instruction, bits: 16 | 32 | 64): Mem => {
  const { Register } = iced();
  const [base, index] = [i.memoryBase, i.memoryIndex];
  const displacement = i.memoryDisplacement;
  const relative = base === Register.RIP || base === Register.EIP;
  const sized = t.register[base === 0 ? index : base];
  const displSize = i.memoryDisplSize;
  let asize: 16 | 32 | 64 = bits;
  if (relative) asize = base === Register.RIP ? 64 : 32;
  else if (sized?.kind === 'register') asize = sized.size === 16 ? 16 : sized.size === 32 ? 32 : 64;
  else if (displSize > 1) asize = displSize === 2 ? 16 : displSize === 4 ? 32 : 64;
  return {
    asize,
    base: relative ? -1 : general(t, base),
    index: general(t, index),
    scale: i.memoryIndexScale,
    lo: low(displacement),
    hi: high(displacement),
    seg: segmentOf(t, i, bits, base),
  };
};
/** In 64-bit mode overrides but of FS and GS are ignored: then rSP and rBP as base make it a stack reference. SDM volume 1, Canonical Addressing. */
const segmentOf = (t: Tables, i: Instruction, bits: 16 | 32 | 64, base: number): number => {
  const named = t.register[i.memorySegment];
  const seg = named?.kind === 'segment' ? named.index : DS;
  if (bits !== 64 || seg >= FS) return seg;
  const register = general(t, base);
  return register === RSP || register === RBP ? SS : DS;
};

export const insnOf = (i: Instruction, bits: 16 | 32 | 64, lo: number, hi: number): Insn => {
  const t = tables();
  const OpKind = t.kinds;
  const { code } = i;
  const form = (t.forms[code] ??= { name: t.mnemonic[i.mnemonic] ?? '', operands: i.opCount });
  const ops: Operand[] = [];
  let mem: Mem | undefined;
  let targetLo = 0;
  let targetHi = 0;
  let farSelector = 0;
  let farOffset = 0;
  for (let n = 0; n < form.operands; n++) {
    const kind = i.opKind(n);
    if (kind === OpKind.Register) ops.push(t.register[i.opRegister(n)] ?? { kind: 'other', index: 0, size: 64 });
    else if (kind <= OpKind.NearBranch64) {
      const target = i.nearBranchTarget;
      [targetLo, targetHi] = [low(target), high(target)];
    } else if (kind <= OpKind.FarBranch32) {
      farSelector = i.farBranchSelector;
      farOffset = kind === OpKind.FarBranch16 ? i.farBranch16 : i.farBranch32;
    } else if (kind <= OpKind.Immediate32to64) {
      const value = i.immediate(n);
      const size = kind <= OpKind.Immediate8_2nd ? 8 : kind === OpKind.Immediate16 ? 16 : kind === OpKind.Immediate32 ? 32 : 64;
      ops.push({ kind: 'immediate', lo: low(value), hi: high(value), size });
    } else {
      mem ??= memOf(t, i, bits);
      if (kind < OpKind.Memory) mem = stringMem(t, i, bits, kind, mem, OpKind.MemorySegESI, OpKind.MemorySegRSI);
      ops.push({ kind: 'memory', size: t.memory[i.memorySize] ?? 32 });
    }
  }
  // Its address is in rAX, and an override counts.
  if (form.name === 'Monitor') mem = memOf(t, i, bits);
  const length = i.length;
  const sum = (lo >>> 0) + length;
  const wraps = sum > 0xffff_ffff;
  return {
    name: form.name,
    form: t.code[code] ?? '',
    code,
    bits,
    lo,
    hi,
    nextLo: sum | 0,
    nextHi: bits === 64 && wraps ? (hi + 1) | 0 : hi,
    ops,
    mem,
    size: ops[0]?.size ?? 32,
    lock: i.hasLockPrefix,
    repe: i.hasRepePrefix,
    repne: i.hasRepnePrefix,
    targetLo,
    targetHi,
    farSelector,
    farOffset,
  };
};
/** The same instruction somewhere else. Said in full: instructions of one shape are quicker to read. */
export const moved = (i: Insn, lo: number, hi: number, nextLo: number, nextHi: number): Insn => ({
  name: i.name,
  form: i.form,
  code: i.code,
  bits: i.bits,
  lo,
  hi,
  nextLo,
  nextHi,
  ops: i.ops,
  mem: i.mem,
  size: i.size,
  lock: i.lock,
  repe: i.repe,
  repne: i.repne,
  targetLo: i.targetLo,
  targetHi: i.targetHi,
  farSelector: i.farSelector,
  farOffset: i.farOffset,
});
/** Of a string instruction: the address size is that of rSI or rDI; the segment is that of the source. */
const stringMem = (t: Tables, i: Instruction, bits: 16 | 32 | 64, kind: number, mem: Mem, esi: number, rsi: number): Mem => {
  const which = (kind - (esi - 1)) % 3;
  const source = kind <= rsi;
  const named = t.register[i.memorySegment];
  const seg = source && named?.kind === 'segment' && !(bits === 64 && named.index < FS) ? named.index : mem.seg;
  const { base, index, scale, lo, hi } = mem;
  return { asize: which === 0 ? 16 : which === 1 ? 32 : 64, base, index, scale, lo, hi, seg };
};
