// How the area remembers a case: what it may do is foretold when it starts, what it did is collected, and one outcome is derived when it stops.
// Contract of cpu.run and cpu.stopped: vocabulary.ts.

import { copyOf } from './copy.ts';
import type { Moment } from '../clause.ts';
import type { Event, EventName, EventOf } from '../vocabulary.ts';
import { low, segments } from './bits.ts';
import { changesOf } from './changes.ts';
import { differences, word } from './compare.ts';
import { expect } from './expect.ts';
import { type Ending, type InstructionsGhost, noChanges, nothing, wordOf } from './ghost.ts';
import type { CpuDerived, CpuState, SeenState } from './vocabulary.ts';
import { cpl, ia32e, protectedMode } from './work.ts';

const none: readonly Event[] = [];
/** A state of which every part was seen: what a run without a state goes on from. */
const whole = (state: SeenState | undefined): CpuState | undefined => {
  if (state === undefined || state.cr0 === undefined || state.efer === undefined || state.tscAux === undefined) return undefined;
  for (const name of segments) if (state[name]?.access === undefined || state[name]?.base === undefined) return undefined;
  if (state.ldtr?.access === undefined || state.tr?.access === undefined || state.shadow === undefined) return undefined;
  return state as CpuState;
};

const matches = (e: Ending, event: EventOf<'cpu.stopped'>, g: InstructionsGhost, m: Moment<InstructionsGhost>): boolean => {
  if (e.by === 'event') {
    if (g.exception !== undefined) {
      if (g.exception.vector !== e.vector) return false;
      return e.error === undefined || e.error === 'any' || g.exception.error === undefined || g.exception.error === e.error;
    }
    const there = event.by === 'stop' ? event.stop === e.stop : event.by === 'limit' && event.state.rip === e.s.rip;
    if (!there) return false;
    if (e.error === undefined || e.error === 'any' || e.frame === undefined) return true;
    const at = wordOf(e.frame, 'error')?.at;
    const saw = at === undefined ? undefined : word(m.memory, at, e.frame.size);
    return saw === undefined || (low(saw) & 0xffff) === e.error;
  }
  if (e.by === 'end') return event.by === 'stop' && event.stop === e.stop && g.exception === undefined;
  return event.by === e.by;
};
/** Vectors with an error code outside real-address mode. SDM volume 3, table Protected-Mode Exceptions and Interrupts. */
const withError = new Set([8, 10, 11, 12, 13, 14, 17, 21]);

const nowhere = {};
/** Error code and RIP of the frame: where a permitted ending says, else where the stack pointer points. */
const saved = (
  g: InstructionsGhost,
  event: EventOf<'cpu.stopped'>,
  m: Moment<InstructionsGhost>,
  e: Ending | undefined,
): { error?: number; rip?: bigint } => {
  if (g.exception !== undefined)
    return {
      ...(g.exception.error === undefined ? {} : { error: g.exception.error }),
      ...(event.state.rip === undefined ? {} : { rip: event.state.rip }),
    };
  const before = g.state as CpuState;
  const size = e?.frame?.size ?? (ia32e(before) ? 8 : protectedMode(before) ? 4 : 2);
  const top = (): number | undefined =>
    event.state.rsp === undefined ? undefined : Number(event.state.rsp + (size === 8 ? 0n : (event.state.ss?.base ?? 0n)));
  const at = (wordOf(e?.frame, 'error') ?? wordOf(e?.frame, 'rip'))?.at ?? top();
  if (at === undefined || !Number.isSafeInteger(at)) return {};
  const pushes = e?.frame === undefined ? withError.has(event.stop ?? 0) && protectedMode(before) : wordOf(e.frame, 'error') !== undefined;
  const error = pushes ? word(m.memory, at, size) : undefined;
  const rip = word(m.memory, pushes ? at + size : at, size);
  const told: { error?: number; rip?: bigint } = {};
  if (error !== undefined) told.error = low(error);
  if (rip !== undefined) told.rip = rip;
  return told;
};

const nothingMet = { met: undefined, differences: [] };
/** The permitted ending from which what was seen differs least. */
const closest = (
  endings: readonly Ending[],
  event: EventOf<'cpu.stopped'>,
  g: InstructionsGhost,
  m: Moment<InstructionsGhost>,
  before: CpuState,
): { readonly met: Ending | undefined; readonly differences: InstructionsGhost['differences'] } => {
  let best: ReturnType<typeof closest> = nothingMet;
  for (const e of endings) {
    if (!matches(e, event, g, m)) continue;
    const found = differences(g, e, event.state, before, m.memory, m.granted.offers.includes('cpu.port'));
    if (best.met === undefined || found.length < best.differences.length) best = { met: e, differences: found };
    if (found.length === 0) break;
  }
  return best;
};
const stopped = (g: InstructionsGhost, event: EventOf<'cpu.stopped'>, m: Moment<InstructionsGhost>): readonly Event[] => {
  const before = g.state;
  g.last = event.state;
  if (before === undefined) return none;
  const { course } = g.expected;
  const found = closest(course?.endings ?? g.expected.endings, event, g, m, before);
  if (course === undefined) {
    g.met = found.met;
    g.differences = found.differences;
  } else {
    g.courseMet = found.met;
    g.courseDifferences = found.differences;
  }
  g.changes = g.met === undefined ? noChanges : changesOf(g.met, before, g.expected.instruction);
  const near = found.met ?? (course?.endings ?? g.expected.endings).find((e) => e.by === 'event' && e.stop === event.stop);
  const isEvent = g.exception !== undefined || (event.by === 'stop' && near?.by !== 'end');
  const vector = g.exception?.vector ?? near?.vector ?? event.stop;
  const told = isEvent ? saved(g, event, m, near) : {};
  const outcome: { -readonly [K in keyof CpuDerived]: CpuDerived[K] } = {
    saw: 'cpu.outcome',
    by: isEvent ? 'event' : event.by === 'stop' ? 'end' : event.by,
    state: event.state,
    interrupted: told.rip === undefined ? nowhere : { rip: told.rip },
  };
  if (isEvent && vector !== undefined) outcome.vector = vector;
  if (told.error !== undefined) outcome.error = told.error;
  if (told.rip !== undefined) outcome.rip = told.rip;
  return [outcome];
};
const started = (g: InstructionsGhost, m: Moment<InstructionsGhost>, event: EventOf<'cpu.run'>): void => {
  const given = event.state ?? whole(g.last);
  g.state = given === undefined ? undefined : copyOf(given);
  g.written = [];
  g.ports = [];
  g.exception = undefined;
  g.met = undefined;
  g.differences = [];
  g.courseMet = undefined;
  g.courseDifferences = [];
  g.changes = noChanges;
  g.userStart = g.state !== undefined && cpl(g.state) === 3;
  g.expected = g.state === undefined ? nothing : expect(event, g.state, m.memory, m.granted, g.cpu);
};
type Seen = EventOf<'cpu.stopped' | 'cpu.exception' | 'cpu.port' | 'memory.changed'>;
export const observe = (g: InstructionsGhost, m: Moment<InstructionsGhost>): readonly Event[] => {
  const event = m.event as Seen | EventOf<'cpu.run'>;
  // Read, not asked for with `in`, which is slow where records have many shapes.
  switch ((event as Partial<Seen>).saw) {
    case undefined:
      started(g, m, event as EventOf<'cpu.run'>);
      return none;
    case 'memory.changed':
      for (const write of (event as EventOf<'memory.changed'>).writes) g.written.push(write);
      return none;
    case 'cpu.port':
      g.ports.push(event as EventOf<'cpu.port'>);
      return none;
    case 'cpu.exception':
      g.exception = event as EventOf<'cpu.exception'>;
      return none;
    default:
      return stopped(g, event as EventOf<'cpu.stopped'>, m);
  }
};
export const observed: readonly EventName[] = ['cpu.run', 'memory.changed', 'cpu.port', 'cpu.exception', 'cpu.stopped'];
