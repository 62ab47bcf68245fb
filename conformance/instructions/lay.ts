// Lays out the operands of a form: a legal case first, with values, selectors and addresses as chosen. What an instruction finds on the stack, in
// memory or in fixed registers is put there. Intel SDM volume 2, the instruction pages' Description sections.

import type { Form, Operand } from '../../spec/instructions/index.ts';
import type { Case } from './choice.ts';
import { codeWidth, type Desk, fit, putWord, setRegister } from './desk.ts';
import { operands, places } from './edges.ts';
import { address, placeOf } from './address.ts';
import { type Encoding, operandSize, vvvvOf } from './encode.ts';
import { far, flagToggles, outer, pushFrame } from './lay-far.ts';
import { chosenSelector, pick, plainCode, plainData, targets } from './lay-targets.ts';
import * as at from './layout.ts';

/** Masks, shift counts, and start with length: what stands in the register that VEX.vvvv names. */
const bitOperands: readonly bigint[] = [0x0804n, 0n, 0x1fn, 0x20n, 0x3fn, 0x40n, 0x2010n, 0xffn, ...operands];
/** SDM volume 4: time-stamp, SYSENTER, EFER, STAR, LSTAR, SFMASK, FS and GS bases; one that does not exist; TSC_AUX, PAT, the counter.
 *  A case that reads or writes one is named after it. */
export const msrNumbers: readonly number[] = [
  0x174, 0x175, 0x176, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0x4000_0000, 0xc0000103, 0x277,
  0x10,
];
const ports = [0x60, 0x61, 0x3f8, 0x3f9, 0x3fa, 0x5f, 0x6f, 0x70, 0x80, 0x3ff, 0x400, 0xffff, 0x3f7];
/** For a descriptor table: beyond all memory, so that no handler is found by accident, and such as are not canonical. */
const farBases = [1n << 47n, 1n << 63n, 0xffff_8000_0000_0000n, 0x1234_5678_9abc_0000n, 0xffff_ffff_8000_0000n, 1n << 31n, 0x4000_0000n];
/** PCIDs with reserved bits beside them: 12, 31, 32, 63. What late recipes draw beyond the operands. */
const lateDescriptors = [0x1000n, 0x8000_0000n, 1n << 32n, 1n << 63n, (1n << 63n) | 1n];
const vectors = [3, 4, 0x21, 0x80, 0, 1, 13, 8, 0x30, 0x81, 0xff, 14, 2];

const operandWidth = (o: Operand, size: 2 | 4 | 8, d: Desk): number => {
  switch (o.width) {
    case 'b':
    case 's':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return 8;
    case 'z':
      return Math.min(size, 4);
    case 'y':
      return size === 8 ? 8 : 4;
    case 'p':
      return size + 2;
    case 't':
      return 2 + (d.mode === 'long64' ? 8 : 4);
    case 'a':
      return 2 * size;
    case 'x':
      return size === 8 ? 16 : 8;
    case 'n':
      return 1;
    default:
      return size;
  }
};
/** Not canonical with 48 bits, or with 57 either. */
const beyond = (n: number): bigint => (n % 2 === 0 ? 1n << 47n : 1n << 62n);
/** What stands in the r/m operand. */
const rmValue = (d: Desk, form: Form, c: Case): bigint => {
  const value = pick(operands, c.value);
  const cr = [d.s.cr0, d.s.cr2, d.s.cr3, d.s.cr4, d.s.cr8, undefined, undefined][c.reg % 7];
  switch (form.topic) {
    case 'segment':
      return form.mnemonic.startsWith('WR')
        ? pick([...operands.slice(0, 4), beyond(c.value2), BigInt(at.data), ...operands.slice(4)], c.value)
        : BigInt(chosenSelector(d, c, plainData(d)));
    case 'probe':
      return BigInt(chosenSelector(d, c, form.mnemonic === 'ARPL' ? at.selectors.userData : plainData(d)));
    case 'table':
      return BigInt(chosenSelector(d, c, form.mnemonic === 'LTR' ? at.selectors.otherTss : at.selectors.ldt));
    case 'control':
      if (form.mnemonic === 'LMSW') return (d.s.cr0 ^ (1n << BigInt(c.imm % 6))) & 0xffffn;
      if (c.reg % 7 === 2 && d.machine.cpu?.paging === 'pae' && c.imm % 3 !== 0) {
        // Another set of PDPTEs, one bit of the first of them toggled.
        putWord(d, at.pdpt + 0x100, BigInt(at.pageDirectory | 1) ^ (1n << BigInt((c.imm + c.value) % 64)), 8);
        for (let n = 1; n < 4; n++) putWord(d, at.pdpt + 0x100 + 8 * n, 0n, 8);
        return BigInt(at.pdpt + 0x100);
      }
      return cr === undefined ? 0n : c.imm % 3 === 0 ? cr : cr ^ (1n << BigInt((c.imm + c.value) % (codeWidth(d) === 64 ? 64 : 32)));
    case 'debug':
      return pick([0x400n, 0n, 0xffff0ff0n, 1n << 32n, 0x14000n, 1n << 63n, BigInt(at.data)], c.value);
    case 'branch':
    case 'stack':
      return form.topic === 'branch' ? pick(targets(d), c.value) : value;
    default:
      return value;
  }
};
const fixed = (d: Desk, form: Form, c: Case, size: 2 | 4 | 8): void => {
  const { s } = d;
  switch (form.topic) {
    case 'string':
    case 'io': {
      const offset = (where: number, base: bigint): bigint => fit(d, BigInt(where) - (d.mode === 'long64' ? 0n : base));
      const usable = places.filter((p) => p.only64 !== true && (p.paged !== true || (s.cr0 & (1n << 31n)) !== 0n));
      if (form.topic === 'string') s.rax = fit(d, pick(operands, c.imm));
      s.rsi = offset(Number(placeOf(usable, c.place).at(size)), s.ds.base);
      s.rdi = offset(c.reg > 8 ? Number(pick(usable, c.imm).at(size)) : at.data + 0x180, s.es.base);
      s.rcx = pick([3n, 0n, 1n, 2n, 5n, 0x10n, 0x21n, 0x80n], c.count);
      putWord(d, at.data + 0x100, pick(operands, c.value), 8);
      putWord(d, at.data + 0x180, pick(operands, c.value2), 8);
      if (form.topic === 'io') s.rdx = BigInt(pick(ports, c.value)) | (pick(operands, c.value2) & 0xffff0000n);
      return;
    }
    case 'msr':
      s.rcx = BigInt(form.mnemonic.endsWith('GETBV') || form.mnemonic.endsWith('SETBV') ? c.value % 3 : pick(msrNumbers, c.value));
      s.rax = fit(
        d,
        pick([s.efer, 0n, 0x500n, BigInt(at.data), 0xffff_ffffn, 0x7040600n, 0x7010506n, 0x6030006n, 0x4000806n], c.value2) & 0xffffffffn,
      );
      s.rdx = pick([0n, 0n, 0x8000n, 0xffff_8000n, 0xffff_ffffn, 0x7040600n, 0x2040600n], c.imm);
      return;
    case 'call':
      if (form.mnemonic === 'SYSEXIT') {
        s.rdx = pick(targets(d), c.value);
        s.rcx = BigInt(at.stackTops.user);
      } else {
        s.rcx = pick(targets(d), c.value);
        s.r11 = d.mode === 'long64' ? pick([0x202n, 0x3202n, 0x10202n, 0x24702n, 0x0n, 0xffff_ffffn], c.value2) : s.r11;
      }
      return;
    case 'segment':
      if (form.mnemonic.startsWith('POP')) pushFrame(d, [BigInt(chosenSelector(d, c, plainData(d)))], d.mode === 'long64' ? 8 : size);
      return;
    case 'branch':
      if (form.mnemonic === 'RET') pushFrame(d, [pick(targets(d), c.value)], d.mode === 'long64' ? 8 : size);
      s.rcx =
        pick([3n, 0n, 1n, 2n, 0x10000n, 5n, 0x1_0000_0000n, 7n], c.count) & (d.mode === 'long64' ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
      return;
    case 'flag':
      if (form.mnemonic === 'POPF')
        pushFrame(
          d,
          [s.rflags ^ (1n << BigInt(pick([0, 9, 12, 13, 14, 8, 18, 21, 17, 16, 19, 20, 11, 10], c.value)))],
          d.mode === 'long64' ? (size === 2 ? 2 : 8) : size,
        );
      if (form.mnemonic === 'PUSHF') s.rflags ^= pick(flagToggles, c.value);
      if (form.mnemonic === 'SAHF') s.rax = fit(d, pick(operands, c.value) << 8n);
      return;
    case 'far':
      far(d, form, c, size);
      return;
    case 'shift':
      s.rcx = fit(d, pick([1n, 0n, 2n, 7n, 8n, 0x1fn, 0x20n, 0x3fn], c.count));
      return;
    case 'time':
      s.rax = BigInt(pick([0, 1, 7, 0x80000000, 0x80000001, 0x80000008, 13, 0x40000000, 0x80000007, 2], c.value));
      s.rcx = BigInt(c.count % 2);
      return;
    case 'cache':
      if (form.mnemonic === 'MONITOR') [s.rax, s.rcx, s.rdx] = [BigInt(at.data) - (d.mode === 'long64' ? 0n : s.ds.base), 0n, 0n];
      if (form.mnemonic === 'MWAIT') [s.rax, s.rcx] = [0n, 0n];
      return;
    default:
      // Instructions with fixed registers that the table does not name: the accumulator and its extension, comparands, bases.
      s.rax = fit(d, pick(operands, c.value2));
      s.rdx = fit(d, pick(operands, c.imm));
      if (form.mnemonic === 'XLAT') {
        s.rbx = fit(d, BigInt(at.data + 0x100) - (d.mode === 'long64' ? 0n : s.ds.base));
        // A byte unlike its neighbours.
        putWord(d, at.data + 0x100 + Number(s.rax & 0xffn), BigInt(0x40 + (c.imm % 64)), 1);
      }
      if (form.mnemonic === 'LEAVE') s.rbp = s.rsp;
      if (form.mnemonic === 'POPA')
        pushFrame(
          d,
          Array.from({ length: 8 }, (_, i) => pick(operands, c.value + i)),
          size,
        );
      if (form.mnemonic === 'POP') pushFrame(d, [pick(operands, c.value2)], d.mode === 'long64' ? (size === 2 ? 2 : 8) : size);
  }
};
/** What the memory operand holds. */
const fill = (d: Desk, form: Form, c: Case, size: 2 | 4 | 8, where: bigint, o: Operand, width: number): void => {
  if (o.width === 'p') {
    const selector =
      form.topic === 'segment' ? chosenSelector(d, c, plainData(d)) : (outer(d, c)?.cs ?? chosenSelector(d, c, plainCode(d)));
    putWord(d, where, form.topic === 'segment' ? pick(operands, c.value) : pick(targets(d), c.value), size);
    putWord(d, where + BigInt(size), BigInt(selector), 2);
  } else if (o.width === 't') {
    const register = form.mnemonic === 'LIDT' ? d.s.idtr : d.s.gdtr;
    putWord(d, where, BigInt(register.limit), 2);
    putWord(d, where + 2n, c.value % 4 === 3 ? pick(farBases, c.value2) : register.base, d.mode === 'long64' ? 8 : 4);
  } else if (form.mnemonic === 'INVPCID') {
    const late = lateDescriptors[c.value - operands.length];
    putWord(d, where, late ?? pick([0n, 1n, 0x1000n, 0xfffn], c.value), 8);
    putWord(d, where + 8n, c.value2 % 2 === 0 ? BigInt(at.data) : beyond((c.value2 >> 1) + 1), 8);
  } else {
    putWord(d, where, rmValue(d, form, c), Math.min(width, 8));
    if (width > 8) putWord(d, where + 8n, pick(operands, c.imm), 8);
  }
};
const immediate = (d: Desk, form: Form, c: Case): { readonly imm: bigint; readonly imm2: number } => {
  const [, , third] = form.operands;
  if (form.mnemonic === 'INT') return { imm: BigInt(pick(vectors, c.imm)), imm2: 0 };
  if (form.topic === 'io') return { imm: BigInt(pick([0x60, 0x61, 0x80, 0x5f, 0x6f, 0xff, 0x6d], c.imm)), imm2: 0 };
  if (form.mnemonic === 'ENTER')
    return { imm: pick([0x10n, 0n, 1n, 0x20n, 0x1000n, 0x8000n, 0xffffn], c.imm), imm2: pick([0, 1, 2, 3, 0, 31, 32, 0xff], c.count) };
  if (form.operands.some((o) => o.at === 'A'))
    return { imm: pick(targets(d), c.value), imm2: outer(d, c)?.cs ?? chosenSelector(d, c, plainCode(d)) };
  if (form.operands.some((o) => o.at === 'J'))
    return { imm: pick([0x10n, 0n, 0x7fn, -0x20n, -0x80n, 0x8000_0000n, 0x7fff_fff0n], c.imm), imm2: c.imm };
  if (form.operands.some((o) => o.at === 'O'))
    return { imm: BigInt(at.data + 0x100) - (d.mode === 'long64' ? 0n : d.s.ds.base), imm2: c.imm };
  if (form.topic === 'shift' || third !== undefined)
    return { imm: pick([1n, 0n, 7n, 8n, 0x1fn, 0x20n, 0x3fn, 0xffn, 9n, 0x11n], c.imm), imm2: c.imm };
  return { imm: pick(operands, c.imm), imm2: c.imm };
};

/** Everything but where the code stands. */
export const layOut = (d: Desk, form: Form, c: Case): Encoding => {
  const code = codeWidth(d);
  const rexW = c.size === 2 && code === 64;
  const head = { code, form, toggle: c.size === 1, rexW, narrow: c.prefix === 4 } as const;
  const size = operandSize(head);
  const before =
    c.prefix === 0 || c.prefix === 4 ? [] : [([0, 0xf0, 0xf2, 0xf3, 0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65] as const)[c.prefix] ?? 0xf0];
  fixed(d, form, c, size);
  const high = code === 64 ? 15 : 7;
  const reg = form.operands.some((o) => o.at === 'S')
    ? c.reg % 7
    : form.operands.some((o) => o.at === 'C' || o.at === 'D')
      ? pick(form.topic === 'control' ? [0, 2, 3, 4, 8, 1, 5] : [0, 6, 7, 3, 4, 5, 8], c.reg) & high
      : // A stack pointer of 16 address bits would lie among the stops.
        form.mnemonic === 'LEA' && (c.reg & high) === 4
        ? 5
        : c.reg & high;
  const memoryOperand = form.operands.find((o) => o.at === 'E' || o.at === 'M');
  const registerOperand = form.operands.find((o) => o.at === 'E' || o.at === 'R');
  let rm: Encoding['rm'] = { register: c.rm & high };
  const { imm, imm2 } = immediate(d, form, c);
  if (form.map >= 3 && form.operands.some((o) => o.at === 'B')) {
    const n = vvvvOf({ code, imm2 });
    if (n !== 4) setRegister(d, n, pick(bitOperands, c.count + 8 * (c.imm & 3)));
  }
  const general = form.operands.find((o) => o.at === 'G' || o.at === 'Z');
  if (general !== undefined && reg !== 4) setRegister(d, reg, form.topic === 'probe' ? BigInt(c.value2 & 3) : pick(operands, c.value2));
  if (memoryOperand !== undefined && form.mod !== 'register' && (c.memory || form.mod === 'memory')) {
    const width = operandWidth(memoryOperand, size, d);
    const found = address(d, c, head, width);
    ({ rm } = found);
    if (memoryOperand.width !== 'n') fill(d, form, c, size, found.linear, memoryOperand, width);
  } else if (form.mod === 'memory') {
    const found = address(d, c, head, size);
    ({ rm } = found);
  } else if (registerOperand !== undefined && (c.rm & high) !== 4) setRegister(d, c.rm & high, rmValue(d, form, c));
  return { code, form, toggle: head.toggle, rexW, narrow: head.narrow, before, reg, rm, imm, imm2 };
};
