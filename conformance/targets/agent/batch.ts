// Runs programs through an agent, as many as fit an image at once. A program that ends the machine is found by the agent's own progress mark; the
// rest goes on in a fresh machine. What comes back is one answer a stimulus.

import type { CpuMachine } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, MachineConfig, WholeAnswers } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { type AgentCase, encodeCase } from '../../agents/case.ts';
import { machineBytes } from '../../agents/image.ts';
import { alone, brief, caseAt, everywhere } from '../../agents/map.ts';
import { interruptible } from '../../agents/interrupted.ts';
import { decodeResult, nextResult } from '../../agents/result.ts';

/** What one start of the machine left behind. */
export interface Ran {
  /** How many cases were finished; less than were given: the next one ended the machine. Undefined: it cannot be known. */
  readonly finished: number | undefined;
  /** How many of them have results that stand; absent: all. The others' group was not closed. */
  readonly verified?: number;
  /** Result records, from the first; may be missing although cases were finished. */
  readonly results: Uint8Array | undefined;
  /** How the machine ended where not all cases were finished. */
  /** `lines`: nothing is wrong with the next case; a fresh start goes on with it. */
  readonly ended: 'shutdown' | 'hang' | 'lines' | { readonly broke: string; readonly hung?: true } | { readonly unsupported: string };
}
/** How a start runs its cases. `grouped`: memory that few write to is compared once a group. `whole`: all of memory is compared after each case. `patient`: that,
 *  and the watchdog comes later than otherwise. */
export type How = 'grouped' | 'whole' | 'patient';
export interface Runner {
  /** Bytes of cases that fit one start. */
  readonly room: number;
  /** A watchdog ends cases that do not end: where it comes is then its own doing. */
  readonly watched?: true;
  readonly run: (machine: MachineConfig, cases: readonly Uint8Array[], how: How) => Promise<Ran>;
  /** Ends the start that is under way. */
  readonly abort?: () => void;
}

const done = { saw: [] } as const;
/** The answers of a program whose run was answered so: memory writes are done by then. */
const answersOf = (stimuli: readonly Stimulus[], last: Answer): readonly Answer[] =>
  stimuli.map((s) => (s.do === 'cpu.run' || 'unsupported' in last ? last : done));

const undelivered: Answer = { unsupported: 'a program with which the emulator hangs, where the watchdog’s interrupt may find no stack' };
const ending = (ended: Ran['ended']): Answer => {
  if (typeof ended === 'object') return ended;
  // A guest that never comes back: the limit was time. Nothing is seen of the state.
  return { saw: [{ saw: 'cpu.stopped', by: ended === 'hang' ? 'limit' : 'shutdown', state: {} }] };
};

/** Cases that one start is told to run in groups at most. */
const group = 32;
/** A result that nobody has read yet, and whose it is: read, it takes ten times the room. */
interface Unread {
  readonly given: AgentCase;
  readonly results: Uint8Array;
  readonly at: number;
}
/** Answers to cases, as many as fit an image at a time. */
const runQueue = async (
  runner: Runner,
  machine: MachineConfig,
  all: readonly AgentCase[],
  how: How = 'grouped',
): Promise<readonly (Answer | Unread)[]> => {
  const answers: (Answer | Unread)[] = [];
  // Those of which all memory is compared alike stand together: groups of cases are then few.
  const order = (given: AgentCase): number => (given.bytes[caseAt.flags] ?? 0) & (everywhere | alone);
  let queue = all.map((given, index) => ({ given, index })).sort((a, b) => order(a.given) - order(b.given));
  const runPart = async (part: typeof queue, inWay: How): Promise<void> => {
    const cases = part.map((p) => p.given);
    for (const [i, answer] of (await runQueue(runner, machine, cases, inWay)).entries()) answers[part[i]!.index] = answer;
  };
  const read = (results: Uint8Array | undefined, cases: typeof queue): void => {
    if (results === undefined) return;
    let end = 0;
    for (let i = 0; i < cases.length; i++) end = nextResult(results, end);
    // What lies behind them, as where the end was not told, is not kept.
    const kept = end < results.length >> 1 ? new Uint8Array(results.subarray(0, end)) : results;
    let at = 0;
    for (const { given, index } of cases) {
      answers[index] = { given, results: kept, at };
      at = nextResult(kept, at);
    }
  };
  /** A case with which the machine ended, once more by itself and with more time: the watchdog may have come while the agent took over. */
  const oncemore = async (given: AgentCase): Promise<Answer | Unread> => {
    const bytes = given.bytes.slice();
    bytes[caseAt.flags]! &= ~brief;
    const { finished, results, ended } = await runner.run(machine, [bytes], 'patient');
    if (finished === 1 && results !== undefined) return { given, results, at: 0 };
    if (typeof ended === 'object' && 'hung' in ended && !interruptible(machine.cpu as CpuMachine, given)) return undelivered;
    return ending(ended);
  };
  while (queue.length > 0) {
    let room = runner.room;
    let count = 0;
    while (count < queue.length && (room -= queue[count]!.given.bytes.length) >= 0) count++;
    if (count === 0) {
      answers[queue[0]!.index] = { unsupported: 'a case larger than the image has room for' };
      queue = queue.slice(1);
      continue;
    }
    const chunk = queue.slice(0, count);
    const ran = await runner.run(
      machine,
      chunk.map((a) => a.given.bytes),
      how,
    );
    if (ran.finished === undefined && count > 1) {
      // Which one it was is found by halving.
      const half = count >> 1;
      for (const part of [chunk.slice(0, half), chunk.slice(half)]) await runPart(part, how);
      queue = queue.slice(count);
      continue;
    }
    const finished = Math.min(ran.finished ?? 0, count);
    const verified = Math.min(ran.verified ?? finished, finished);
    if (how === 'grouped' && verified < finished) {
      // The machine ended within a group: whose doing that was is seen where each case of it is compared by itself.
      if (ran.results === undefined) await runPart(chunk.slice(0, verified), how);
      else read(ran.results, chunk.slice(0, verified));
      await runPart(chunk.slice(verified, finished + 1), 'whole');
      queue = queue.slice(finished + 1);
      continue;
    }
    if (how === 'grouped' && finished === 0 && ran.ended === 'lines') {
      // Not one group got to its end.
      await runPart(chunk.slice(0, group), 'whole');
      queue = queue.slice(Math.min(count, group));
      continue;
    }
    read(ran.results, chunk.slice(0, finished));
    const blamed = finished < count && ran.ended !== 'lines';
    const last = chunk[finished];
    if (blamed && last !== undefined) answers[last.index] = runner.watched === true ? await oncemore(last.given) : ending(ran.ended);
    else if (ran.results === undefined) for (const { index } of chunk) answers[index] = { broke: 'no results came out of the machine' };
    // Without results the finished ones are run again, without the one that ended the machine.
    const again = ran.results === undefined && finished < count ? chunk.slice(0, finished) : [];
    queue = [...again, ...queue.slice(blamed ? finished + 1 : finished < count ? finished : count)];
  }
  return answers;
};

export const runPrograms = async (
  runner: Runner,
  machine: MachineConfig,
  programs: readonly (readonly Stimulus[])[],
): Promise<WholeAnswers> => {
  const pristine = machineBytes(machine);
  const encoded = programs.map((stimuli) => encodeCase(machine, pristine, stimuli));
  const given = encoded.filter((e): e is AgentCase => !('unsupported' in e));
  const answers = await runQueue(runner, machine, given);
  let next = 0;
  const found = encoded.map((e) => ('unsupported' in e ? e : (answers[next++] as Answer | Unread)));
  return {
    at: (program) => {
      const [stimuli, one] = [programs[program], found[program]];
      if (stimuli === undefined || one === undefined) return undefined;
      return answersOf(stimuli, 'results' in one ? decodeResult(machine, one.given, one.results, one.at) : one);
    },
  };
};
