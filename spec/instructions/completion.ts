// What follows an instruction that completed: RF, single-step trap, a pending interrupt, the step limit, and the INT3 that ends the program.
// Intel SDM volume 3, Single-Step Exception Condition; Priority Among Concurrent Events; Masking Exceptions and Interrupts When Switching Stacks.

import { BS, BT, codeBreakpoints, setStatus } from './breakpoints.ts';
import { copyOf, type Draft } from './copy.ts';
import { flag, gpr, numberOf, ones, bigOf } from './bits.ts';
import { arrivalOf, arrive, endingOf, type Told } from './event.ts';
import { fetcher, reach } from './fetch.ts';
import type { Ending } from './ghost.ts';
import { bothPending } from './virtual-interrupts.ts';
import type { CpuStimulus } from './vocabulary.ts';
import { begin, codeSize, cpl, flagsOf, isRaised, leave, protectedMode, startedAfter, undecided, type Work } from './work.ts';

const INT3 = 0xcc;
/** Vector of #GP, and the stop of its handler. */
const GP = 13;
const NOP = 0x90;
/** Why nothing is said of how the run ends by its first instruction alone. */
export const goesOnStill = 'the program goes on';
/** Which bytes a bit string is read from, and whether ARPL writes what it does not change, is open. */
const unwatched = new Set(['BT', 'BTS', 'BTR', 'BTC', 'ARPL', 'INT', 'INT3', 'INTO', 'INT1', 'BOUND', 'HLT']);
const systemCalls = new Set(['SYSCALL', 'SYSRET', 'SYSENTER', 'SYSEXIT']);
const noBytes: ReadonlyMap<number, number> = new Map();

/** TF was set before a switch of tasks, or before INT n that went to virtual-8086 mode's own handler: neither is said to be followed by a trap, nor not to be. */
const stepsPerhaps = ({ s, before, i, event }: Work): boolean =>
  (flagsOf(before) & flag.TF) !== 0 &&
  event === undefined &&
  (i.form.mnemonic === 'INT' || (s.tr !== before.tr && i.form.mnemonic !== 'LTR'));
/** Besides these, SYSRET that sets TF: whether the trap comes after it, or after the next instruction, is open. */
export const trapsPerhaps = (w: Work): boolean =>
  stepsPerhaps(w) || (w.i.form.mnemonic === 'SYSRET' && (flagsOf(w.before) & flag.TF) === 0 && (flagsOf(w.s) & flag.TF) !== 0);
/** `trapped`: with the trap that only perhaps comes. `trouble`: which of the faults of a new task is reported. Undefined where the program goes on. */
export const complete = (w: Work, run: CpuStimulus, trapped = false, trouble = 0): Ending | undefined => {
  const { s, before, i } = w;
  const { mnemonic } = i.form;
  // What follows is translated anew: by entries that the instruction may have changed.
  if (w.stores.size > 0) w.walks.length = 0;
  if (!w.moved) {
    s.rip = before.rip + bigOf(i.length);
    const size = codeSize(s);
    if (size === 64) s.rip = BigInt.asUintN(64, s.rip);
    else if (s.rip > ones(size / 8)) undecided('code that runs over the end of its segment');
  }
  // Not preserved, so not to be told (SDM volume 1, General-Purpose Registers in 64-Bit Mode). One that is 0 stays 0 whether it is kept or cleared.
  if (i.code === 64 && codeSize(s) !== 64) for (const name of gpr) if (s[name as 'rax'] > ones(4)) leave(w, name, ones(8) - ones(4));
  const told = (rule: string, completed: Draft): Told => ({ rule, fault: false, completed, perhaps: noBytes });
  const { watch } = w;
  const met = watch?.met ?? 0;
  if (watch !== undefined) {
    watch.over = true;
    if (met !== 0 && (unwatched.has(mnemonic) || loadsSs(w) || w.repeats)) undecided('a breakpoint that this instruction met');
  }
  if (w.event !== undefined) {
    // Of a software interrupt the image has RF as it is when the handler is called; whether it is cleared by then is not said.
    const open = flagsOf(s) & flag.RF;
    s.rflags &= ~BigInt(flag.RF);
    return arrive(w, arrivalOf(w.event.vector, s.rip, flagsOf(s), { ...w.event, open }), told('complete', copyOf(s)));
  }
  const bad = w.troubles[trouble];
  if (bad !== undefined) {
    if ((flagsOf(before) & flag.TF) !== 0 || run.interrupt !== undefined)
      undecided('an event after a switch to a task that cannot be loaded');
    // A fault of the new task, before its first instruction; RF in its image is left open.
    const completed = copyOf(s);
    return arrive(w, arrivalOf(bad.vector, s.rip, flagsOf(s), { error: bad.error, open: flag.RF }), told(bad.rule, completed));
  }
  if (mnemonic !== 'IRET' && mnemonic !== 'SYSRET') s.rflags &= ~BigInt(flag.RF);
  if (w.taskTrap) {
    // Whether the single-step trap of the old task comes with it is as open as whether it comes at all.
    if ((flagsOf(before) & flag.TF) !== 0) undecided('single-stepping into a task with the debug trap flag');
    const completed = copyOf(s);
    setStatus(w, BT, 0);
    return arrive(w, arrivalOf(1, s.rip, flagsOf(s)), told('debug.task', completed));
  }
  if (s.shadow === before.shadow && mnemonic !== 'STI' && !loadsSs(w)) s.shadow = 'none';
  const stepping = (flagsOf(before) & flag.TF) !== 0 && !stepsPerhaps(w);
  if (stepping && systemCalls.has(mnemonic)) {
    // SYSCALL that masks TF is followed by no trap; what happens where TF stays set, or was set, is left open.
    if (mnemonic !== 'SYSCALL' || (flagsOf(s) & flag.TF) !== 0) undecided('single-stepping a fast system call');
  } else if (stepping && mnemonic === 'STI' && s.shadow === 'sti' && w.cpu.vendor !== 'intel') {
    undecided('single-stepping an STI that sets IF');
  } else if (before.shadow === 'mov-ss' && loadsSs(w) && (stepping || run.interrupt !== undefined)) {
    undecided('what a load of SS right after another holds back');
  } else if ((stepping || trapped || met !== 0) && !loadsSs(w)) {
    if (w.halted) undecided('single-stepping HLT');
    const completed = copyOf(s);
    setStatus(w, met | (stepping || trapped ? BS : 0), watch?.enabled ?? 0);
    return arrive(
      w,
      arrivalOf(1, s.rip, w.between ? flagsOf(s) | flag.RF : flagsOf(s)),
      told(met === 0 ? 'step.trap' : watch?.memory === true ? 'debug.data' : 'debug.port', completed),
    );
  }
  const { interrupt } = run;
  const pending = interrupt !== undefined && interrupt.after <= 1;
  const held = pending && (flagsOf(s) & flag.IF) !== 0 && s.shadow !== 'none';
  if (interrupt !== undefined && pending) {
    if (interrupt.after === 0 && (flagsOf(before) & flag.IF) !== 0 && (w.carried === undefined || before.shadow === 'none'))
      undecided('an interrupt before the first instruction');
    if (w.repeats) undecided('an interrupt between iterations');
    // Of several that hold it back in a row the first alone is sure to. SDM volume 2, MOV—Move.
    if (held && before.shadow !== 'none') undecided('what holds an interrupt back right after what held it back');
    if ((flagsOf(s) & flag.IF) !== 0 && s.shadow === 'none') {
      if (intoStops(w) >= 0) undecided('an interrupt where the run ends');
      const completed = copyOf(s);
      return arrive(w, arrivalOf(interrupt.vector, s.rip, flagsOf(s), { external: true }), told('interrupt.taken', completed));
    }
  }
  if (w.halted) return endingOf(w, told('complete', copyOf(s)), 'halt', 'complete');
  if (run.limit === 1) return endingOf(w, told('complete', copyOf(s)), 'limit', 'complete');
  const ending = goesOn(w);
  return held && ending !== undefined ? heldBack(ending) : ending;
};
/** How the run ends behind an instruction that holds an interrupt back: with the next one's event, whose handler has IF clear. */
const heldBack = (e: Ending): Ending => {
  if (e.by !== 'event' || (flagsOf(e.s) & flag.IF) !== 0) undecided('an interrupt where the run ends');
  return e.rule === 'complete' ? { ...e, rule: 'interrupt.taken' } : e;
};
/** MOV SS and POP SS hold back traps and interrupts until after the next instruction; LSS does not. */
const loadsSs = (w: Work): boolean => {
  const { mnemonic } = w.i.form;
  return mnemonic === 'POPSS' || (mnemonic === 'MOV' && w.i.form.operands[0]?.at === 'S' && (w.i.reg & 7) === 2);
};

/** A task starts with TF set: its first instruction, a NOP, is followed by the trap. SDM volume 3, Single-Step Exception Condition. */
const steppedOver = (w: Work): Ending => {
  const { s } = w;
  s.rip += 1n;
  s.rflags &= ~BigInt(flag.RF);
  s.shadow = 'none';
  const completed = copyOf(s);
  setStatus(w, BS, 0);
  return arrive(w, arrivalOf(1, s.rip, flagsOf(s)), { rule: 'step.trap', fault: false, completed, perhaps: noBytes });
};
/** A stop is the target's own code, and what it does above CPL 0 may be #GP: where that does not lead to its own stop, in the same task, how the run
 *  ends is not told. */
const leavable = (w: Work, told: Told): void => {
  const { s, stores, lowest, highest, marks, around, ports } = w;
  if (!w.system || !protectedMode(s) || cpl(s) === 0) return;
  const probe = startedAfter(begin(copyOf(s), w.memory, w.granted, w.cpu), { stores, lowest, highest, marks, around, ports });
  probe.i = w.i;
  const { by, stop, switched } = arrive(probe, arrivalOf(GP, s.rip, flagsOf(s), { error: 0 }), told);
  if (by !== 'event' || stop !== GP || switched) undecided('a stop above CPL 0 that #GP does not lead away from');
};
/** How far into the stops the next instruction is; negative where it is none. */
const intoStops = ({ s, cpu }: Work): number => {
  const { at, stride, count } = cpu.stops;
  const past = numberOf(codeSize(s) === 64 ? s.rip : (s.cs.base + s.rip) & 0xffffffffn) - numberOf(at);
  return past < stride * count ? past : -1;
};
/** The next instruction: INT3, a stop, or a fault of fetching it; undefined where it is another one. */
const goesOn = (w: Work): Ending | undefined => {
  const { s, cpu } = w;
  if (bothPending(w)) undecided('VIF and VIP both set');
  const completed = copyOf(s);
  const told: Told = { rule: 'complete', fault: false, completed, perhaps: noBytes };
  const past = intoStops(w);
  const stop = past >= 0;
  const { stride } = cpu.stops;
  if (stop && past % stride !== 0) undecided('the program jumps into a stop');
  const hit = w.watch === undefined ? 0 : codeBreakpoints(w.watch, s);
  if (hit !== 0) {
    if (loadsSs(w)) undecided('an instruction breakpoint after a load of SS');
    setStatus(w, hit, w.watch?.enabled ?? 0);
    return arrive(w, arrivalOf(1, s.rip, flagsOf(s)), { rule: 'debug.code', fault: false, completed, perhaps: noBytes });
  }
  let next = INT3;
  try {
    if (stop) reach(w);
    else next = fetcher(w)(0);
  } catch (thrown) {
    if (!isRaised(thrown)) throw thrown;
    const { faults } = thrown;
    const fault = faults[0];
    if (fault === undefined || faults.length > 1) return undecided('several faults of the next instruction');
    return arrive(w, arrivalOf(fault.vector, s.rip, flagsOf(s) | flag.RF, { error: fault.error, cr2: fault.cr2 }), {
      rule: fault.rule,
      fault: false,
      completed,
      perhaps: noBytes,
    });
  }
  if (stop) {
    leavable(w, told);
    return endingOf(w, told, 'end', 'complete', undefined, past / stride);
  }
  if (next === NOP && (flagsOf(s) & flag.TF) !== 0 && s.tr !== w.before.tr && w.watch === undefined) return steppedOver(w);
  if (next !== INT3) return undefined;
  w.after = s.rip;
  return arrive(w, arrivalOf(3, s.rip + 1n, flagsOf(s) & ~flag.RF, { software: true, open: flagsOf(s) & flag.RF }), told);
};
