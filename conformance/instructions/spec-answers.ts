// Answers written down as the manual says them, for the furniture: what delivery of an event leaves in state and stack, mode by mode.
// Intel SDM volume 3, Exception- or Interrupt-Handler Procedures; Handler Procedures in 64-Bit Mode. Nothing here is taken from the spec.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import { unusable } from './descriptors.ts';
import * as at from './layout.ts';
import { type Answered, machineOf, type Setting } from './spec-history.ts';
import { segmentOf } from './state.ts';

export interface Event {
  readonly vector: number;
  readonly error?: number;
  /** Saved instruction pointer. */
  readonly rip: bigint;
  /** Saved flags. */
  readonly rflags: bigint;
  /** What the instruction changed before the event. */
  readonly after?: Partial<CpuState>;
  readonly writes?: Answered['writes'];
  readonly ports?: Answered['ports'];
}
const [TF, IF, NT, RF, VM, AC] = [0x100n, 0x200n, 0x4000n, 0x10000n, 0x20000n, 0x40000n];
/** The answer of a target that delivers the event to its handler, which is a stop. */
export const delivers = (setting: Setting, start: CpuState, e: Event): Answered => {
  const machine = machineOf(setting);
  const mode = setting.mode ?? 'long64';
  const s: CpuState = { ...start, ...e.after };
  const level = setting.level ?? 0;
  const writes: [number, bigint, number][] = [...(e.writes ?? [])] as [number, bigint, number][];
  const words: bigint[] = [];
  const outer = level > 0 || mode === 'v86';
  let size = 4;
  let rsp = outer ? BigInt(at.stackTops.ring0) : s.rsp;
  let base = 0n;
  const kernel: Partial<Record<keyof CpuState, unknown>> = {};
  if (mode === 'real') {
    size = 2;
    base = s.ss.base;
    words.push(e.rflags & 0xffffn, BigInt(s.cs.selector), e.rip);
    kernel.cs = { ...s.cs, selector: 0, base: 0n };
    kernel.rflags = e.rflags & ~(TF | IF | AC | RF);
  } else if (mode === 'long64' || mode === 'compat') {
    size = 8;
    if (e.vector === 8) rsp = BigInt(at.stackTops.ist);
    rsp &= ~15n;
    words.push(BigInt(s.ss.selector), s.rsp, e.rflags, BigInt(s.cs.selector), e.rip);
    kernel.cs = segmentOf(machine, at.selectors.kernelCode64);
    kernel.ss = outer ? unusable(0) : s.ss;
  } else {
    if (mode === 'v86') {
      words.push(...[s.gs, s.fs, s.ds, s.es].map((segment) => BigInt(segment.selector)));
      for (const name of ['ds', 'es', 'fs', 'gs'] as const) kernel[name] = unusable(0);
    }
    if (outer) words.push(BigInt(s.ss.selector), s.rsp);
    words.push(e.rflags, BigInt(s.cs.selector), e.rip);
    kernel.cs = segmentOf(machine, at.selectors.kernelCode32);
    kernel.ss = outer ? segmentOf(machine, at.selectors.kernelData) : s.ss;
  }
  kernel.rflags ??= e.rflags & ~(TF | NT | RF | VM | IF);
  if (e.error !== undefined && mode !== 'real') words.push(BigInt(e.error));
  for (const word of words) {
    rsp -= BigInt(size);
    writes.push([Number(base + rsp), word, size]);
  }
  return {
    by: 'stop',
    stop: e.vector,
    state: { ...e.after, ...(kernel as Partial<CpuState>), rsp, rip: at.stops.at + BigInt(e.vector * at.stops.stride) },
    writes,
    ...(e.ports === undefined ? {} : { ports: e.ports }),
  };
};
/** A fault of the instruction: RF is set in the saved flags, except where they have 16 bits. */
export const faults = (setting: Setting, start: CpuState, vector: number, error?: number, cr2?: bigint): Answered =>
  delivers(setting, start, {
    vector,
    ...(error === undefined ? {} : { error }),
    rip: start.rip,
    rflags: start.rflags | RF,
    ...(cr2 === undefined ? {} : { after: { cr2 } }),
  });
/** The instruction completes and INT3 behind it, at `rip`, ends the program. */
export const completes = (setting: Setting, start: CpuState, rip: bigint, more: Partial<Event> = {}): Answered =>
  delivers(setting, start, { vector: 3, rip: rip + 1n, rflags: start.rflags, ...more });
