// What is tested before anything of the operands: LOCK, mode, features, and the privilege that the instruction itself needs.
// Intel SDM volume 2, LOCK—Assert LOCK# Signal Prefix, and the exception lists of the pages; volume 3, Privileged Instructions.

import { cr4 } from './bits.ts';
import { BD, GD } from './breakpoints.ts';
import type { Form } from './forms/index.ts';
import type { CpuFeature } from './vocabulary.ts';
import { cpl, gp, has, ia32e, like8086, low, ofSystem, raise, ud, undecided, type Work } from './work.ts';

const absent = (w: Work): never => {
  ofSystem(w, 'the set of features');
  return ud('ud.feature');
};
/** Control registers that exist: 0, 2, 3, 4, and 8 in 64-bit mode. SDM volume 2, MOV—Move to/from Control Registers. */
export const controlRegisterExists = (w: Work): boolean => {
  const n = w.i.reg;
  return n === 0 || n === 2 || n === 3 || n === 4 || (n === 8 && w.i.code === 64);
};

const vmx: ReadonlySet<string> = new Set('VMREAD VMWRITE VMLAUNCH VMRESUME VMXOFF VMPTRLD VMPTRST VMCLEAR VMXON'.split(' '));
/** #UD; but in VMX operation, which code above CPL 0 cannot tell, what VMX brings is #GP(0) there. SDM volume 3, VMX Instruction Reference. */
const reserved = (w: Work): never => {
  const { s, i } = w;
  const unseen = !w.system || (low(s.cr4) & cr4.VMXE) !== 0;
  if (!vmx.has(i.form.mnemonic) || w.cpu.vendor === 'amd' || !unseen || i.lock || like8086(s) || (ia32e(s) && i.code !== 64))
    return ud('ud.reserved');
  if (cpl(s) === 0) undecided('VMX operation');
  return raise({ vector: 6, rule: 'ud.reserved' }, { vector: 13, error: 0, rule: 'privileged.gp' });
};
/** What CPUID tells of besides: without its bit the opcode is #UD on the processors of old, but a list of features may be older than the name.
 *  SDM volume 2, CPUID, table More on Feature Information Returned in the EDX Register. */
const told: Readonly<Record<string, CpuFeature>> = {
  CMPXCHG8B: 'cx8',
  RDTSC: 'tsd',
  CLFLUSH: 'clflush',
  SFENCE: 'sse',
  LFENCE: 'sse2',
  MFENCE: 'sse2',
};
/** CMOVcc, and NOP of 0F1FH, which came with it. */
const featureOf = ({ map, opcode, mnemonic }: Form): CpuFeature | undefined =>
  map === 1 && (opcode >> 4 === 4 || opcode === 0x1f) ? 'cmov' : told[mnemonic];
const ofForm = new Map<Form, CpuFeature | undefined>();
const perhapsAbsent = (w: Work, form: Form): void => {
  if (!ofForm.has(form)) ofForm.set(form, featureOf(form));
  const feature = ofForm.get(form);
  // All that have SSE2 have CX8: a list with the one and without the other is from before the names, and the opcode was there.
  const old = has(w, 'sse2') && !has(w, 'cx8');
  if (feature !== undefined && !has(w, feature) && !old) undecided('whether the processor has the instruction');
};
/** #UD where CR4.FRED is set, which a host may have done. SDM volume 3, Flexible Return and Event Delivery (FRED), what becomes of existing instructions. */
const FRED = 1n << 32n;
const ofFred: ReadonlySet<string> = new Set(['SWAPGS', 'SYSRET', 'SYSEXIT']);
const mayHaveFred = (w: Work): boolean => !w.system || (w.s.cr4 & FRED) !== 0n;
/** APX needs XCR0, and so CR4.OSXSAVE. */
const mayExtend = (w: Work): boolean => w.i.code === 64 && w.cpu.vendor !== 'amd' && (!w.system || (low(w.s.cr4) & cr4.OSXSAVE) !== 0);
const later: ReadonlySet<string> = new Set(['popcnt', 'lzcnt', 'movbe', 'bmi1', 'bmi2', 'adx']);
export const legal = (w: Work): void => {
  const { i } = w;
  const { form } = i;
  if (form.topic === 'undefined') reserved(w);
  if (i.wrongMode && form.opcode === 0xd5 && form.map === 0 && mayExtend(w)) undecided('REX2, the prefix of APX');
  if (i.wrongMode) ud(form.modes === 'protected' ? 'ud.protected' : 'ud.mode');
  if (i.lock && !(form.lock && i.address !== undefined)) {
    // LOCK MOV CR0 names CR8 on processors of one vendor.
    if (w.cpu.vendor !== 'intel' && form.topic === 'control' && form.mnemonic === 'MOV')
      undecided('LOCK before a move of a control register');
    ud('ud.lock');
  }
  if (form.feature !== undefined && !has(w, form.feature as CpuFeature)) {
    // Without LZCNT and BMI1 the opcodes are BSR and BSF; and a list of features may be older than these.
    if (later.has(form.feature)) undecided('whether the processor has the instruction');
    absent(w);
  }
  // LAHF and SAHF are always there but in 64-bit mode: SDM volume 2, LAHF—Load Status Flags Into AH Register, 64-Bit Mode Exceptions.
  if (i.code === 64 && (form.mnemonic === 'LAHF' || form.mnemonic === 'SAHF') && !has(w, 'lahf'))
    undecided('whether the processor has the instruction in 64-bit mode');
  perhapsAbsent(w, form);
  if (form.feature === 'fsgsbase' && (low(w.s.cr4) & cr4.FSGSBASE) === 0) absent(w);
  if (form.privileged && cpl(w.s) !== 0) deny(w, form);
  if ((w.s.cr4 & FRED) !== 0n && ofFred.has(form.mnemonic)) undecided('FRED');
};
/** #GP(0), after what the pages test before it. */
const deny = (w: Work, form: Form): void => {
  const control = form.topic === 'control' && form.operands.some((o) => o.at === 'C');
  if (control && !controlRegisterExists(w)) {
    // #UD or #GP(0): the page gives no order.
    raise({ vector: 6, rule: 'ud.register' }, { vector: 13, error: 0, rule: 'privileged.gp' });
  }
  if (form.topic === 'debug' && (low(w.s.dr7) & GD) !== 0)
    raise(
      { vector: 1, rule: 'debug.detect', debug: BD },
      { vector: 13, error: 0, rule: 'privileged.gp' },
      { vector: 6, rule: 'ud.register' },
    );
  if (form.topic === 'debug' && (w.i.reg >= 8 || w.i.reg === 4 || w.i.reg === 5))
    raise({ vector: 6, rule: 'ud.register' }, { vector: 13, error: 0, rule: 'privileged.gp' });
  if (form.mnemonic === 'XSETBV' && (low(w.s.cr4) & cr4.OSXSAVE) === 0) {
    ofSystem(w, 'CR4.OSXSAVE');
    raise({ vector: 6, rule: 'ud.feature' }, { vector: 13, error: 0, rule: 'privileged.gp' });
  }
  if (ofFred.has(form.mnemonic) && mayHaveFred(w)) raise({ vector: 6, rule: 'ud.mode' }, { vector: 13, error: 0, rule: 'privileged.gp' });
  // SYSCALL family: #UD outside 64-bit mode on one vendor's processors, or where EFER.SCE is clear.
  if (form.mnemonic === 'SYSRET' && (i64(w) === false || (low(w.s.efer) & 1) === 0))
    raise({ vector: 6, rule: 'ud.mode' }, { vector: 13, error: 0, rule: 'privileged.gp' });
  // SYSEXIT is #UD in IA-32e mode on processors of one vendor.
  if (form.mnemonic === 'SYSEXIT' && w.cpu.vendor !== 'intel' && ia32e(w.s))
    raise({ vector: 6, rule: 'ud.mode' }, { vector: 13, error: 0, rule: 'privileged.gp' });
  // MONITOR and MWAIT are #UD above CPL 0. SDM volume 2, MONITOR—Set Up Monitor Address.
  if (form.feature === 'monitor') ud('privileged.monitor');
  gp('privileged.gp');
};
const i64 = (w: Work): boolean => w.i.code === 64;
