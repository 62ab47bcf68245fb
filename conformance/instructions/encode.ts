// A form with chosen operands as bytes. Intel SDM volume 2, Instruction Format; Addressing-Mode Encoding of ModR/M and SIB Bytes.

import type { Form, Operand } from '../../spec/instructions/index.ts';

export interface Encoding {
  /** Code width: 16, 32 or 64. */
  readonly code: 16 | 32 | 64;
  readonly form: Form;
  /** 66H (unless the form has one of its own), REX.W. */
  readonly toggle: boolean;
  readonly rexW: boolean;
  /** 67H. */
  readonly narrow: boolean;
  /** Prefixes as they are, before all others: LOCK, F2H, F3H, segment overrides. */
  readonly before: readonly number[];
  readonly reg: number;
  /** A register, or memory. */
  readonly rm: { readonly register: number } | Memory;
  readonly imm: bigint;
  /** Second immediate (ENTER), or the selector of a far pointer. */
  readonly imm2: number;
}
/** A memory operand: ModRM and SIB fields worked out for an effective address; `rip`: the displacement is from the next instruction. */
export interface Memory {
  readonly base: number | undefined;
  readonly index?: number;
  readonly scale?: 0 | 1 | 2 | 3;
  readonly displacement: number;
  readonly dispSize: 0 | 1 | 4 | 2;
  readonly rip?: true;
}

const little = (value: bigint, size: number): number[] => {
  const bytes: number[] = [];
  let rest = value;
  for (let i = 0; i < size; i += 4) {
    let low = Number(BigInt.asUintN(32, rest));
    for (let k = i; k < i + 4 && k < size; k++) {
      bytes.push(low & 0xff);
      low >>>= 8;
    }
    if (i + 4 < size) rest >>= 32n;
  }
  return bytes;
};
/** 16-bit addressing knows BX, BP, SI and DI alone as bases: their r/m numbers. */
const bases16: Readonly<Record<number, number>> = { 3: 7, 5: 6, 6: 4, 7: 5 };

/** Operand size in bytes. SDM volume 1, Operand-Size and Address-Size Attributes. */
export const operandSize = (e: Pick<Encoding, 'code' | 'form' | 'toggle' | 'rexW'>): 2 | 4 | 8 => {
  const { form, code } = e;
  const prefixed = e.toggle || form.prefix === 0x66;
  if (form.map >= 3) return code === 64 && e.rexW ? 8 : 4;
  if (code === 64) {
    if (e.rexW || form.size64 === 'forced') return 8;
    if (form.size64 === 'default') return prefixed ? 2 : 8;
    return prefixed ? 2 : 4;
  }
  return (code === 32) === prefixed ? 2 : 4;
};
export const addressSize = (e: Pick<Encoding, 'code' | 'narrow'>): 2 | 4 | 8 =>
  e.code === 64 ? (e.narrow ? 4 : 8) : (e.code === 32) === e.narrow ? 2 : 4;

const modrm = (e: Encoding, field: number, fixups: { rip: number }, out: number[]): { x: number; b: number } => {
  const { rm } = e;
  const reg = (field & 7) << 3;
  if ('register' in rm) {
    out.push(0xc0 | reg | (rm.register & 7));
    return { x: 0, b: rm.register >> 3 };
  }
  const { base, index, scale = 0, displacement, dispSize } = rm;
  const mod = base === undefined || dispSize === 0 ? 0 : dispSize === 1 ? 0x40 : 0x80;
  if (addressSize(e) === 2) {
    if (base === undefined) out.push(reg | 6, ...little(BigInt(displacement), 2));
    else if (index !== undefined) {
      out.push(mod | reg | (base === 5 ? 2 : 0) | (index & 1), ...little(BigInt(displacement), dispSize === 4 ? 2 : dispSize));
    } else {
      // [BP] has no form without a displacement.
      const plain = mod === 0 && base === 5;
      out.push(
        (plain ? 0x40 : mod) | reg | (bases16[base] ?? 7),
        ...(plain ? [0] : little(BigInt(displacement), dispSize === 4 ? 2 : dispSize)),
      );
    }
    return { x: 0, b: 0 };
  }
  if (rm.rip === true) {
    out.push(reg | 5);
    fixups.rip = out.length;
    out.push(...little(BigInt(displacement), 4));
    return { x: 0, b: 0 };
  }
  if (base === undefined && index !== undefined) {
    out.push(reg | 4, (scale << 6) | ((index & 7) << 3) | 5, ...little(BigInt(displacement), 4));
    return { x: index >> 3, b: 0 };
  }
  if (base === undefined) {
    // In 64-bit mode a displacement alone needs a SIB byte without base.
    if (e.code === 64) out.push(reg | 4, 0x25);
    else out.push(reg | 5);
    out.push(...little(BigInt(displacement), 4));
    return { x: 0, b: 0 };
  }
  const needsDisp = mod === 0 && (base & 7) === 5;
  const realMod = needsDisp ? 0x40 : mod;
  if (index !== undefined || (base & 7) === 4) {
    out.push(realMod | reg | 4, (scale << 6) | (((index ?? 4) & 7) << 3) | (base & 7));
  } else out.push(realMod | reg | (base & 7));
  out.push(...(needsDisp ? [0] : little(BigInt(displacement), dispSize)));
  return { x: (index ?? 0) >> 3, b: base >> 3 };
};
const immediateSize = (o: Operand, e: Encoding, size: number): number => {
  if (o.at === 'J') return o.width === 'b' ? 1 : e.code === 64 ? 4 : size === 2 ? 2 : 4;
  if (o.at === 'O') return addressSize(e);
  switch (o.width) {
    case 'b':
    case 's':
      return 1;
    case 'w':
      return 2;
    case 'z':
      return Math.min(size, 4);
    default:
      return size;
  }
};

/** `rip`: where in the tail a displacement from the next instruction stands, or -1. */
const joined = (head: readonly number[], tail: readonly number[], rip: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(head.length + tail.length);
  for (let i = 0; i < head.length; i++) bytes[i] = head[i] as number;
  for (let i = 0; i < tail.length; i++) bytes[head.length + i] = tail[i] as number;
  if (rip >= 0) {
    const view = new DataView(bytes.buffer);
    const at = head.length + rip;
    view.setInt32(at, view.getInt32(at, true) - bytes.length, true);
  }
  return bytes;
};
/** Which register VEX.vvvv names. */
export const vvvvOf = ({ code, imm2 }: Pick<Encoding, 'code' | 'imm2'>): number => imm2 & (code === 64 ? 15 : 7);
/** Three-byte VEX: no 66H, F2H, F3H, LOCK or REX may stand before it. SDM volume 2, VEX Prefix. */
const vexCoded = (e: Encoding, r: number, x: number, b: number, tail: readonly number[], rip: number): Uint8Array => {
  const { form } = e;
  const implied = form.prefix === 0x66 ? 1 : form.prefix === 0xf3 ? 2 : form.prefix === 0xf2 ? 3 : 0;
  const uses = form.operands.some((o) => o.at === 'B');
  const head = [
    ...e.before.filter((p) => p !== 0xf0 && p !== 0xf2 && p !== 0xf3),
    ...(e.narrow ? [0x67] : []),
    0xc4,
    (((r << 7) | (x << 6) | (b << 5)) ^ 0xe0) | (form.map - 1),
    (e.rexW ? 0x80 : 0) | (((uses ? vvvvOf(e) : 0) ^ 15) << 3) | implied,
    form.opcode,
  ];
  return joined(head, tail, rip);
};

/** The instruction's bytes. */
export const encode = (e: Encoding): Uint8Array => {
  const { form } = e;
  const size = operandSize(e);
  const tail: number[] = [];
  const fixups = { rip: -1 };
  let r = 0;
  let x = 0;
  let b = 0;
  if (form.modrm !== undefined) tail.push(form.modrm);
  else if (form.hasModrm) {
    const field = form.digit ?? e.reg;
    r = form.digit === undefined ? e.reg >> 3 : 0;
    ({ x, b } = modrm(e, field, fixups, tail));
  } else if (form.plus) b = e.reg >> 3;
  for (const o of form.operands) {
    if (o.at === 'A') tail.push(...little(e.imm, size === 2 ? 2 : 4), e.imm2 & 0xff, (e.imm2 >> 8) & 0xff);
    else if (o.at === 'I' || o.at === 'J' || o.at === 'O')
      tail.push(...little(form.mnemonic === 'ENTER' && o.width === 'b' ? BigInt(e.imm2) : e.imm, immediateSize(o, e, size)));
  }
  if (form.map >= 3) return vexCoded(e, r, x, b, tail, fixups.rip);
  const head: number[] = [...e.before];
  if (e.narrow) head.push(0x67);
  if (e.toggle && form.prefix !== 0x66) head.push(0x66);
  if (typeof form.prefix === 'number') head.push(form.prefix);
  if (e.code === 64) {
    const byteRegister = form.operands.some(
      (o) => o.width === 'b' && (o.at === 'G' || o.at === 'Z' || (o.at === 'E' && 'register' in e.rm)),
    );
    const rex = 0x40 | (e.rexW ? 8 : 0) | (r << 2) | (x << 1) | b;
    // A plain REX now and then, where it makes SPL of AH.
    if (rex !== 0x40 || (byteRegister && (e.imm2 & 1) === 1)) head.push(rex);
  }
  if (form.map === 1) head.push(0x0f);
  if (form.map === 2) head.push(0x0f, 0x38);
  head.push(form.opcode | (form.plus ? e.reg & 7 : 0));
  return joined(head, tail, fixups.rip);
};
