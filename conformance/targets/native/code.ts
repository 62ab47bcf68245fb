// Instructions whose outcome in ring 3 of the host depends on what the guest cannot have there: its own descriptor tables, control registers,
// I/O bitmap, interrupt gates. Such runs are unsupported: the host's answer would say nothing about the processor.
//
// The kernel stands in for some instructions: with CR4.UMIP it answers SGDT, SIDT and SMSW itself (Linux, arch/x86/kernel/umip.c).

import type * as Iced from 'iced-x86';
import type { CpuState } from '../../../spec/instructions/vocabulary.ts';
import { type Before, operandAt, registerOf, stackAt, type Where, wordAt } from './operands.ts';

let iced: typeof Iced | undefined;
const load = (): typeof Iced => {
  iced ??= process.getBuiltinModule('node:module').createRequire(import.meta.url)('iced-x86') as typeof Iced;
  return iced;
};

/** What a run's answer depends on, asked when the state is known. */
export interface Surroundings extends Before {
  /** CR4 bits that user code feels, as the host has them. */
  readonly cr4: bigint;
}
type Question = (state: CpuState, around: Surroundings) => string | undefined;

const TSD = 1n << 2n;
const DE = 1n << 3n;
const PCE = 1n << 8n;
export const FSGSBASE: bigint = 1n << 16n;
export const OSXSAVE: bigint = 1n << 18n;
const always =
  (why: string): Question =>
  () =>
    why;
const agrees =
  (bit: bigint, what: string): Question =>
  (state, { cr4 }) =>
    ((state.cr4 ^ cr4) & bit) === 0n ? undefined : `the host's CR4 has another ${what}`;
const clear =
  (bit: bigint, what: string): Question =>
  (state) =>
    (state.cr4 & bit) === 0n ? undefined : `the host's CR4.${what} is 0`;

/** Linux's descriptors of these selectors, without the accessed flag: asm/segment.h and kernel/cpu/common.c. */
const linux: Readonly<Record<number, bigint>> = {
  0x08: 0x00cf_9b00_0000_ffffn,
  0x10: 0x00af_9b00_0000_ffffn,
  0x18: 0x00cf_9300_0000_ffffn,
  0x20: 0x00cf_fb00_0000_ffffn,
  0x28: 0x00cf_f300_0000_ffffn,
  0x30: 0x00af_fb00_0000_ffffn,
};
/** Whether guest and host mean the same by a selector. */
const shared = (selector: bigint, state: CpuState, memory: Buffer): boolean => {
  const value = Number(selector & 0xffffn);
  if (value < 4) return true;
  const index = value & 0xfff8;
  const at = Number(state.gdtr.base) + index;
  const same = linux[index];
  if ((value & 4) !== 0 || same === undefined || index + 7 > state.gdtr.limit || at + 8 > memory.length) return false;
  return memory.readBigUInt64LE(at) === same;
};

/** IA32_EFER.LMA: elsewhere the descriptor of 33H is one of 16-bit code, and IRET with NT returns from a task. */
const LMA = 0x400n;
const NT = 1n << 14n;
const LONG_CODE = 0x30;

const openPort = (port: number, state: CpuState, memory: Buffer): boolean => {
  const tss = Number(state.tr.base);
  if (tss + 0x68 > memory.length) return true;
  const at = tss + memory.readUInt16LE(tss + 0x66) + (port >> 3);
  return at - tss < state.tr.limit && ((((memory[at] ?? 0xff) | ((memory[at + 1] ?? 0xff) << 8)) >> (port & 7)) & 0xf) !== 0xf;
};
const openGate = (vector: number, state: CpuState, memory: Buffer): boolean => {
  const size = (state.efer & 0x400n) !== 0n ? 16 : 8;
  const at = Number(state.idtr.base) + size * vector;
  return size * vector + size - 1 <= state.idtr.limit && ((memory[at + 5] ?? 0) & 0xe0) === 0xe0 && ((memory[at + 5] ?? 0) & 0x1f) >= 5;
};

/** What one instruction asks; `first`: registers still hold what the state says. */
const questions = (x: typeof Iced, i: Iced.Instruction, first: boolean, bitness: 32 | 64): readonly Question[] => {
  const { Mnemonic: M, OpKind, Register: R } = x;
  const tables = always("the host's descriptor tables are not the guest's");
  const kernel = always("it calls the host's kernel");
  /** `code`: it is for CS. */
  const means = (selector: bigint | undefined, state: CpuState, around: Surroundings, code: boolean): string | undefined => {
    const same = selector !== undefined && shared(selector, state, around.memory);
    const other = code && (state.efer & LMA) === 0n && (Number(selector) & 0xfff8) === LONG_CODE;
    return same && !other ? undefined : tables(state, around);
  };
  const inMemory =
    (where: Where, offset: number, code = false): Question =>
    (state, around) => {
      const word = first ? wordAt(around, where(state) + BigInt(offset)) : undefined;
      return means(word === undefined ? undefined : BigInt(word), state, around, code);
    };
  const selector = (operand: number): Question => {
    if (i.opKind(operand) === OpKind.Memory) return inMemory(operandAt(x, i), 0);
    const name = first && i.opKind(operand) === OpKind.Register ? registerOf(x, i.opRegister(operand)) : undefined;
    return (state, around) => means(name === undefined ? undefined : state[name], state, around, false);
  };
  const pointer = (code: boolean): Question => {
    const { SegPtr16, SegPtr32 } = x.MemorySize;
    return inMemory(operandAt(x, i), i.memorySize === SegPtr16 ? 2 : i.memorySize === SegPtr32 ? 4 : 8, code);
  };
  const iret = (size: number): readonly Question[] => [
    (state, around) => ((state.rflags & NT) !== 0n && (state.efer & LMA) === 0n ? tables(state, around) : undefined),
    inMemory(stackAt(bitness, size), 0, true),
    ...(bitness === 64 ? [inMemory(stackAt(bitness, 4 * size), 0)] : []),
  ];
  const port = (operand: number | undefined): Question => {
    const fixed = operand !== undefined && i.opKind(operand) === OpKind.Immediate8 ? i.immediate8 : undefined;
    return (state, { memory }) => {
      const number = fixed ?? (first ? Number(state.rdx & 0xffffn) : undefined);
      return number === undefined || openPort(number, state, memory) ? "the host's I/O bitmap is not the guest's" : undefined;
    };
  };
  switch (i.mnemonic) {
    case M.Sgdt:
    case M.Sidt:
    case M.Sldt:
    case M.Str:
    case M.Smsw:
      return [tables];
    case M.Lds:
    case M.Les:
    case M.Lfs:
    case M.Lgs:
    case M.Lss:
      return [pointer(false)];
    case M.Retf: {
      const { Retfw, Retfw_imm16, Retfd, Retfd_imm16 } = x.Code;
      const size = i.code === Retfw || i.code === Retfw_imm16 ? 2 : i.code === Retfd || i.code === Retfd_imm16 ? 4 : 8;
      return [inMemory(stackAt(bitness, size), 0, true)];
    }
    case M.Iret:
      return iret(2);
    case M.Iretd:
      return iret(4);
    case M.Iretq:
      return iret(8);
    case M.Jmp:
    case M.Call: {
      if (i.isJmpFarIndirect || i.isCallFarIndirect) return [pointer(true)];
      if (!i.isJmpFar && !i.isCallFar) return [];
      const to = BigInt(i.farBranchSelector);
      return [(state, around) => means(to, state, around, true)];
    }
    case M.Lar:
    case M.Lsl:
      return [selector(1)];
    case M.Verr:
    case M.Verw:
      return [selector(0)];
    case M.Mov: {
      const to = i.opKind(0) === OpKind.Register ? i.opRegister(0) : R.None;
      if (to >= R.ES && to <= R.GS) return [selector(1)];
      const drs = [i.opRegister(0), i.opRegister(1)];
      return drs.includes(R.DR4) || drs.includes(R.DR5) ? [agrees(DE, 'DE')] : [];
    }
    case M.Pop:
      return i.opRegister(0) >= R.ES && i.opRegister(0) <= R.GS ? [inMemory(stackAt(bitness, 0), 0)] : [];
    case M.Syscall:
    case M.Sysenter:
    case M.Sysexit:
    case M.Sysret:
    case M.Sysexitq:
    case M.Sysretq:
    case M.Vmcall:
    case M.Vmmcall:
    case M.Vmfunc:
    case M.Vmgexit:
      return [kernel];
    case M.Int: {
      const vector = i.immediate8;
      return [
        (state, { memory }) =>
          openGate(vector, state, memory) === (vector === 3 || vector === 4) ? undefined : `the host's gate ${vector} is not the guest's`,
      ];
    }
    case M.In:
      return [port(1)];
    case M.Out:
      return [port(0)];
    case M.Insb:
    case M.Insw:
    case M.Insd:
    case M.Outsb:
    case M.Outsw:
    case M.Outsd:
      return [port(undefined)];
    case M.Rdtsc:
      return [clear(TSD, 'TSD')];
    case M.Rdtscp:
    case M.Rdpid:
      return [always("IA32_TSC_AUX is the host's")];
    case M.Rdpmc:
      return [clear(PCE, 'PCE')];
    case M.Rdpkru:
    case M.Wrpkru:
    case M.Xbegin:
      return [always("the host's kernel has a part in it")];
    case M.Rdfsbase:
    case M.Rdgsbase:
    case M.Wrfsbase:
    case M.Wrgsbase:
      return [agrees(FSGSBASE, 'FSGSBASE')];
    case M.Xgetbv:
      return [agrees(OSXSAVE, 'OSXSAVE')];
    default:
      // VEX-coded instructions on general registers need no XSAVE: SDM volume 2, Type 13 Class Exception Conditions.
      if (i.encoding === x.EncodingKind.VEX && i.cpuidFeatures().some((f) => f === x.CpuidFeature.BMI1 || f === x.CpuidFeature.BMI2))
        return [];
      return i.encoding !== x.EncodingKind.Legacy ||
        x.Mnemonic[i.mnemonic]?.startsWith('Xsave') ||
        x.Mnemonic[i.mnemonic]?.startsWith('Xrstor')
        ? [agrees(OSXSAVE, 'OSXSAVE')]
        : [];
  }
};

/** First opcode bytes of what is asked about, or may be. Intel SDM volume 2, Opcode Maps; 62H and 8FH begin EVEX and XOP too. */
const special = new Uint8Array(256);
for (const byte of [0x07, 0x17, 0x1f, 0x62, 0x8e, 0x8f, 0x9a, 0xc4, 0xc5, 0xca, 0xcb, 0xcd, 0xcf, 0xea, 0xff]) special[byte] = 1;
for (const first of [0x6c, 0xe4, 0xec]) special.fill(1, first, first + 4);
/** Behind 0FH: CMOVcc, Jcc, SETcc, CPUID, bit, shift, multiply, exchange and extending moves, BSWAP, UD0 to UD2, and the maps of 38H and 3AH. */
const plain0F = new Uint8Array(256);
for (const first of [0x40, 0x80, 0x90]) plain0F.fill(1, first, first + 16);
for (const byte of [0x0b, 0x38, 0x3a, 0xa2, 0xa3, 0xa4, 0xa5, 0xab, 0xac, 0xad, 0xaf, 0xb0, 0xb1, 0xb3, 0xb6, 0xb7, 0xc0, 0xc1, 0xff])
  plain0F[byte] = 1;
plain0F.fill(1, 0xb9, 0xc0);
plain0F.fill(1, 0xc8, 0xd0);
/** Wherever instructions begin in these bytes, nothing is asked about any of them. */
const unasked = (bytes: Uint8Array): boolean => {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (special[byte] !== 0) return false;
    if (byte === 0x0f && i + 1 < bytes.length && plain0F[bytes[i + 1] as number] === 0) return false;
    if (byte === 0xc7 && bytes[i + 1] === 0xf8) return false; // XBEGIN
  }
  return true;
};

const cache = new Map<string, readonly Question[]>();
const cacheMax = 20_000;
const nothing: readonly Question[] = [];
/** Questions of all instructions in `bytes`, one after the other as they stand. */
const asked = (bytes: Uint8Array, bitness: 32 | 64): readonly Question[] => {
  if (unasked(bytes)) return nothing;
  const key = bitness + Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length);
  const known = cache.get(key);
  if (known !== undefined) return known;
  const x = load();
  const decoder = new x.Decoder(bitness, bytes, x.DecoderOptions.None);
  const found: Question[] = [];
  const instruction = new x.Instruction();
  for (let first = true; decoder.canDecode; first = false) {
    decoder.decodeOut(instruction);
    found.push(...questions(x, instruction, first, bitness));
  }
  instruction.free();
  decoder.free();
  if (cache.size >= cacheMax) cache.clear();
  cache.set(key, found);
  return found;
};

/** Why the host cannot stand in for the guest in this code, or undefined. */
export const codeRefusal = (bytes: Uint8Array, bitness: 32 | 64, state: CpuState, around: Surroundings): string | undefined => {
  for (const question of asked(bytes, bitness)) {
    const why = question(state, around);
    if (why !== undefined) return why;
  }
  return undefined;
};
