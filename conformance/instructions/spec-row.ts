// How a row of the spec's own tests is written: a case, its right answer, and the same with one thing spoilt.
// Frames stand where the furniture's ring-0 stack is; their order is the manual's.

import type { CpuState, Segment } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { completes, delivers, type Event, faults } from './spec-answers.ts';
import { type Answered, machineOf, type Setting } from './spec-history.ts';
import { segmentOf } from './state.ts';

export type Change = Partial<CpuState> | ((s: CpuState) => Partial<CpuState>);
export type Patches = readonly (readonly [at: number, bytes: string])[];
export interface Row {
  readonly clause: string;
  readonly setting?: Setting;
  readonly code: string;
  readonly change?: Change;
  readonly patches?: Patches;
  /** The right answer. */
  readonly good: (start: CpuState, setting: Setting) => Answered;
  /** The same with one thing spoilt. */
  readonly spoil: (answer: Answered, start: CpuState, setting: Setting) => Answered;
  readonly run?: { readonly limit?: number; readonly interrupt?: { readonly vector: number; readonly after: number } };
}
export const user: Setting = { level: 3, features: ['nx'] };
export const kernel: Setting = { level: 0, features: ['nx'] };
export const p32: Setting = { mode: 'prot32', paging: '32-bit', level: 3 };
export const sys: Setting = { level: 3, features: ['nx', 'syscall'] };
export const d: number = at.data + 0x100;
export const s: typeof at.selectors = at.selectors;
export const CF = 1n;
export const PF = 4n;
export const AF = 0x10n;
export const ZF = 0x40n;

/** INT3 ends it behind `length` bytes, with these flags and changes. */
export const ends =
  (length: number, more: Partial<Event> & { readonly flags?: bigint } = {}) =>
  (b: CpuState, setting: Setting): Answered =>
    completes(setting, b, b.rip + BigInt(length), { ...more, rflags: more.flags ?? more.rflags ?? b.rflags });
/** By the step limit, state as it is then. */
export const steps =
  (length: number, state: (b: CpuState) => Partial<CpuState>, writes: Answered['writes'] = []) =>
  (b: CpuState): Answered => ({ by: 'limit', state: { rip: b.rip + BigInt(length), ...state(b) }, writes });
export const state =
  (change: (a: Partial<CpuState>, b: CpuState) => Partial<CpuState>) =>
  (answer: Answered, b: CpuState): Answered => ({ ...answer, state: { ...answer.state, ...change(answer.state ?? {}, b) } });
/** Changes the bytes written at an address. */
export const write =
  (where: number, change: (v: bigint) => bigint) =>
  (answer: Answered): Answered => ({
    ...answer,
    writes: (answer.writes ?? []).map(([a, v, n]) => (a === where ? [a, change(v), n] : [a, v, n])),
  });
/** Flips bits of a frame word: 64-bit ring-3 frames stand below the ring-0 stack top in the order SS, RSP, RFLAGS, CS, RIP, error. */
export const word = (n: number, bits: bigint): Row['spoil'] => write(at.stackTops.ring0 - 8 * (n + 1), (v) => v ^ bits);
export const flags = (bits: bigint): Row['spoil'] => word(2, bits);
export const without: Row['spoil'] = (_answer, b, setting) => faults(setting, b, 6);
export const also =
  (where: number, v: bigint): Row['spoil'] =>
  (answer) => ({ ...answer, writes: [...(answer.writes ?? []), [where, v, 1]] });
export const cs32: Segment = segmentOf(machineOf(user), s.userCode32 | 3);
export const far = (selector: number): Patches => [[d, `00000100${(selector & 0xff).toString(16).padStart(2, '0')}00`]];
export const spoilSegment = (name: 'cs' | 'ds' | 'fs', change: (g: Segment) => Segment): Row['spoil'] =>
  state((a, b) => ({ [name]: change((a[name] ?? b[name]) as Segment) }));
export const once: { readonly limit: number } = { limit: 1 };
export const stopped = (b: CpuState): Answered => ({
  by: 'stop',
  stop: 200,
  state: {
    rip: b.lstar,
    rcx: b.rip + 2n,
    r11: b.rflags,
    rflags: b.rflags & ~b.sfmask,
    cs: { selector: s.kernelCode64, base: 0n, limit: 0xffffffff, access: 0xa09b },
    ss: { selector: s.kernelData, base: 0n, limit: 0xffffffff, access: 0xc093 },
  },
});
export const port = { port: 0x60, width: 1, direction: 'in', value: 0xff } as const;
export const TFset: Change = (b) => ({ rflags: b.rflags | 0x100n });
export const stepped = (b: CpuState, setting: Setting): Answered =>
  delivers(setting, b, { vector: 1, rip: b.rip + 1n, rflags: b.rflags, after: { dr6: b.dr6 | 0x4000n } });
