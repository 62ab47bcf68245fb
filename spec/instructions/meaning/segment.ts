// Segment registers moved, pushed, popped, loaded from far pointers; bases of FS and GS.
// Intel SDM volume 2: MOV—Move, PUSH, POP, LDS/LES/LFS/LGS/LSS, SWAPGS, RDFSBASE/RDGSBASE, WRFSBASE/WRGSBASE.

import { faultsOf, inAnyOrder, load } from '../access.ts';
import { ones, type Size, type SegmentName, segments } from '../bits.ts';
import { assignWord, isMemory, memoryPlace, setSelector, value } from '../operands.ts';
import { loadSegment, withBase } from '../segments.ts';
import { moveStack, popSelector, pushSegment } from '../stack.ts';
import { canonicalBase, gp, raise, register, segmentAt, setRegister, undecided } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

const SS = 2;
const MOV: Meaning = (w) => {
  const n = w.i.reg & 7;
  const toSegment = w.i.form.operands[0]?.at === 'S';
  if (n > 5 || (toSegment && n === 1)) {
    // Processors of another vendor were seen to read the operand first.
    const read =
      w.cpu.vendor === 'intel' || (!isMemory(w, 0) && !isMemory(w, 1))
        ? []
        : faultsOf(() => memoryPlace(w, 2, toSegment ? 'read' : 'write'));
    raise({ vector: 6, rule: 'ud.register' }, ...read);
  }
  if (!toSegment) {
    const selector = BigInt(segmentAt(w, n).selector);
    // 16 bits in memory; in a register as many as the operand has.
    if (isMemory(w, 0)) assignWord(w, selector);
    else setSelector(w, selector);
    return;
  }
  loadSegment(w, segments[n] as SegmentName, Number(value(w, 1)));
  if (n === SS) w.s.shadow = 'mov-ss';
};
const pushed =
  (name: SegmentName): Meaning =>
  (w) =>
    pushSegment(w, w.s[name].selector, w.i.operandSize);
const popped =
  (name: SegmentName): Meaning =>
  (w) => {
    const size = w.i.operandSize;
    loadSegment(w, name, popSelector(w, size));
    moveStack(w, BigInt(size));
    if (name === 'ss') w.s.shadow = 'mov-ss';
  };
/** Selector above the offset. */
const farLoad =
  (name: SegmentName): Meaning =>
  (w) => {
    const size = (w.i.form.operands[0]?.width === 'z' && w.i.operandSize === 8 ? 4 : w.i.operandSize) as Size;
    if (size === 8 && w.cpu.vendor !== 'intel') undecided('REX.W before a far pointer');
    const [offset = 0n, selector = 0n] = inAnyOrder(
      () => load(w, memoryPlace(w, size, 'read'), size),
      () => load(w, memoryPlace(w, 2, 'read', BigInt(size)), 2),
    );
    loadSegment(w, name, Number(selector));
    setRegister(w, w.i.reg, size, offset);
  };
const SWAPGS: Meaning = (w) => {
  const { s } = w;
  const { base } = s.gs;
  s.gs = withBase(s.gs, s.kernelGsBase);
  s.kernelGsBase = base;
};
const readBase =
  (name: 'fs' | 'gs'): Meaning =>
  (w) =>
    setRegister(w, w.i.rm, w.i.operandSize === 8 ? 8 : 4, w.s[name].base & ones(w.i.operandSize === 8 ? 8 : 4));
const writeBase =
  (name: 'fs' | 'gs'): Meaning =>
  (w) => {
    const base = register(w, w.i.rm, w.i.operandSize === 8 ? 8 : 4);
    if (!canonicalBase(w, base)) gp('segment.base');
    w.s[name] = withBase(w.s[name], base);
  };
export const segment: Meanings = {
  MOV,
  PUSHES: pushed('es'),
  PUSHCS: pushed('cs'),
  PUSHSS: pushed('ss'),
  PUSHDS: pushed('ds'),
  PUSHFS: pushed('fs'),
  PUSHGS: pushed('gs'),
  POPES: popped('es'),
  POPSS: popped('ss'),
  POPDS: popped('ds'),
  POPFS: popped('fs'),
  POPGS: popped('gs'),
  LES: farLoad('es'),
  LDS: farLoad('ds'),
  LSS: farLoad('ss'),
  LFS: farLoad('fs'),
  LGS: farLoad('gs'),
  SWAPGS,
  RDFSBASE: readBase('fs'),
  RDGSBASE: readBase('gs'),
  WRFSBASE: writeBase('fs'),
  WRGSBASE: writeBase('gs'),
};
