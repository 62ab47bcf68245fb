// Pieces as code: each encoded, placed one after the other, jumps led to where pieces start. Behind the last one stands INT3, as everywhere.
// Intel SDM volume 2, Instruction Format; LOOP, Jcc, CALL and RET pages.

import type { Form } from '../../spec/instructions/index.ts';
import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import { type CourseChoice, type Jump, jumps, type Loop, type Single, type Start, straight } from './course-choice.ts';
import { codeWidth, type Desk, fit, put, putWord } from './desk.ts';
import { operands } from './edges.ts';
import { encode } from './encode.ts';
import { entryOf } from './state.ts';

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
/** All but rBX, rSI and rDI, which point to the data, rSP, and rBP, which counts the loop: a program that reads its own page tables would be shown what
 *  an agent under it has made of accessed and dirty flags. */
const wide: readonly number[] = [0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15];
const narrow: readonly number[] = [0, 1, 2];
/** Bytes: without REX 4 to 6 are AH, CH and DH, with it SPL, BPL and SIL. */
const wideBytes: readonly number[] = [0, 1, 2, 8, 9, 10, 11, 12, 13, 14, 15];
const narrowBytes: readonly number[] = [0, 1, 2, 4, 5, 6];
const MOV_BP = 0xbd;
const MOV_CX = 0xb9;
const little = (value: number, size: number): number[] => Array.from({ length: size }, (_, i) => (value >> (8 * i)) & 0xff);
const immediate = (d: Desk, opcode: number, value: number): readonly number[] => [opcode, ...little(value, codeWidth(d) === 16 ? 2 : 4)];

type Mode = CpuMachine['mode'];
const ofMode = new Map<string, readonly Form[]>();
/** Those of the list that exist in the mode. */
const existing = (mode: Mode, name: string, list: readonly Form[]): readonly Form[] => {
  const key = `${name} ${mode}`;
  let known = ofMode.get(key);
  if (known === undefined) {
    const old = mode === 'real' || mode === 'v86';
    const exists = ({ modes }: Form): boolean =>
      modes === 'all' || (modes === 'protected' ? !old : (modes === 'only64') === (mode === 'long64'));
    ofMode.set(key, (known = list.filter(exists)));
  }
  return known;
};
/** The form that the choice stands for in this mode. */
export const formOf = (mode: Mode, c: Single | Jump): Form =>
  c.op === 'jump' ? pick(existing(mode, 'jumps', jumps), c.form) : pick(existing(mode, 'straight', straight), c.form);

/** Whether a shift by 0 accesses memory is open: a count that may be 0 shifts a register. */
const byCl = (form: Form): boolean => form.operands.some((o) => o.at === 'CL');
/** A bit string by a register that earlier instructions have computed lies anywhere: in what an agent in the guest has for its own, too. */
const bitString = ({ mnemonic, operands }: Form): boolean => /^BT[CRS]?$/.test(mnemonic) && operands[1]?.at === 'G';
const single = (d: Desk, c: Single): readonly number[] => {
  const form = formOf(d.mode, c);
  const of64 = d.mode === 'long64';
  const registers = (places: string): readonly number[] => {
    const byte = form.operands.find((o) => places.includes(o.at))?.width === 'b';
    return byte ? (of64 ? wideBytes : narrowBytes) : of64 ? wide : narrow;
  };
  const memory = form.mod === 'memory' || (form.mod === 'any' && c.memory && !byCl(form) && !bitString(form));
  // Eight words on either side of where rBX points, at any byte of them.
  const displacement = ((c.slot >> 2) - 8) * 8 + (c.slot & 3);
  const repeats = form.topic === 'string' && c.prefix >= 2;
  const address = (d.s.rbx + BigInt(displacement)) & 0xffffn;
  const code = encode({
    code: codeWidth(d),
    form,
    toggle: c.size === 1 && form.prefix === undefined && form.mnemonic !== 'BSWAP',
    rexW: c.size === 2 && of64,
    narrow: false,
    before: repeats ? [c.prefix === 2 ? 0xf3 : 0xf2] : c.prefix === 1 && form.lock && memory ? [0xf0] : [],
    reg: pick(registers('GZ'), c.reg),
    rm: memory ? { base: 3, displacement, dispSize: 1 } : { register: pick(registers('ER'), c.rm) },
    imm: form.operands.some((o) => o.at === 'O')
      ? codeWidth(d) === 16
        ? address
        : d.s.rbx + BigInt(displacement)
      : form.topic === 'shift'
        ? BigInt((c.imm & 3) === 0 ? 1 + ((c.imm >> 2) & 7) : 1) // by more than 1 leaves OF undefined
        : pick(operands, c.imm),
    imm2: 0,
  });
  return repeats ? [...immediate(d, MOV_CX, c.imm & 7), ...code] : [...code];
};
/** A CALL over a short jump to the RET behind it. */
const call = (d: Desk): readonly number[] => [0xe8, ...little(2, codeWidth(d) === 16 ? 2 : 4), 0xeb, 0x01, 0xc3];
const JNZ = 0x75;

/** Puts the pieces down where the program starts. The first loop counts; others would count with its register, and are left out. */
export const layOutCourse = (d: Desk, choices: readonly CourseChoice[]): void => {
  const pieces = choices.filter((c) => c.op !== 'start');
  const loopAt = pieces.findIndex((c) => c.op === 'loop');
  const loop = pieces[loopAt] as Loop | undefined;
  const body = loop === undefined ? -1 : Math.max(0, loopAt - 1 - loop.back);
  const starts: number[] = [];
  const code: number[] = [];
  const patches: { readonly at: number; readonly piece: number; readonly to: number }[] = [];
  let inside = 0;
  for (const [i, c] of pieces.entries()) {
    starts.push(code.length);
    if (i === body && loop !== undefined) code.push(...immediate(d, MOV_BP, loop.times + 1));
    if (i === body) inside = code.length;
    if (c.op === 'instruction') code.push(...single(d, c));
    else if (c.op === 'call') code.push(...call(d));
    else if (c.op === 'jump') {
      const { opcode } = formOf(d.mode, c);
      code.push(opcode, 0);
      patches.push({ at: code.length - 1, piece: i, to: i + 1 + c.over });
    } else if (i === loopAt) {
      // DEC rBP; JNZ, as far as a short jump leads.
      const back = inside - (code.length + 4);
      code.push(0xff, 0xcd, JNZ, (back < -128 ? 0 : back) & 0xff);
    }
  }
  starts.push(code.length);
  for (const { at, to } of patches) {
    let target = Math.min(to, starts.length - 1);
    while ((starts[target] as number) - at - 1 > 127) target--;
    code[at] = Math.max(0, (starts[target] as number) - at - 1);
  }
  d.s.rip = entryOf(d.mode);
  put(d, d.s.cs.base + d.s.rip, Uint8Array.from(code));
};

const registers = ['rax', 'rcx', 'rdx', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
/** CF, PF, AF, ZF, SF, DF, OF. */
const flags = [0, 2, 4, 6, 7, 10, 11];
/** Registers, flags and data as chosen. */
export const startCourse = (d: Desk, c: Start | undefined): void => {
  const { s } = d;
  s.rbp = 1n;
  const from = c?.values ?? 0;
  for (const [i, name] of registers.entries()) if (i < 3 || d.mode === 'long64') s[name] = fit(d, pick(operands, from + i));
  for (const [i, bit] of flags.entries()) if ((((c?.flags ?? 0) >> i) & 1) !== 0) s.rflags |= 1n << BigInt(bit);
  for (let i = -8; i < 8; i++) putWord(d, s.ds.base + s.rbx + BigInt(8 * i), pick(operands, from + i + 16), 8);
};
