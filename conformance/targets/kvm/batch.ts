// Programs through a child that works on shared memory: as many as fit at once, their answers, and what becomes of them when the child dies.
// The target that owns the child says how a state is asked for and how a record is read; both lie in layout.ts.

import type { CpuState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, MachineConfig } from '../../../spec/units.ts';
import type { MemoryWrite, Stimulus } from '../../../spec/vocabulary.ts';
import { numberOf } from '../../numbers.ts';
import type { Worker } from '../host/worker.ts';
import type { Records } from './decode.ts';
import { type Requests, requests } from './encode.ts';
import { control } from './layout.ts';

export interface Batch {
  /** The machine that all programs from now on are for. */
  readonly furnish: (machine: MachineConfig) => void;
  /** One program, from a fresh machine on or going on with the last one. */
  readonly apply: (stimuli: readonly Stimulus[], fresh: boolean) => readonly Answer[];
  /** Each on a fresh machine. */
  readonly runAll: (programs: readonly (readonly Stimulus[])[]) => readonly (readonly Answer[])[];
  readonly close: () => Promise<void>;
}
export interface Owner {
  readonly start: () => Worker;
  /** Why a run cannot be asked of this target, or undefined. `writes`: of the program so far; `again`: it has run before. */
  readonly refuses: (run: Run, writes: readonly MemoryWrite[], again: boolean) => string | undefined;
  /** Asks for the machine. `first`: the state that it will run first, if that is known. False where it is too large. */
  readonly furnish: (requests: Requests, shared: Buffer, machine: MachineConfig, first: CpuState | undefined) => boolean;
  readonly records: (shared: Buffer) => Records;
  /** Runs of one program at most; default any number. */
  readonly runsMax?: number;
}
export type Run = Extract<Stimulus, { do: 'cpu.run' }>;

/** Milliseconds that a round may take: a run is ended by the child long before, so only a child that is stuck needs them. */
const patience = (runs: number): number => 10_000 + 200 * runs;
/** No guest has as much memory. */
const outside = 1n << 48n;
const nothing: Answer = { saw: [] };
const settled: Answer = { saw: [{ saw: 'settled', by: 'sync' }] };

export const openBatch = (owner: Owner): Batch => {
  let worker: Worker | undefined;
  let machine: MachineConfig | undefined;
  let furnished = false;
  let encode: Requests | undefined;
  let decode: Records | undefined;
  let waiting: readonly Stimulus[] = [];
  let restart = true;
  let runsOfProgram = 0;
  const closing = new Set<Promise<void>>();
  const alive = (): Worker => {
    if (worker !== undefined) return worker;
    worker = owner.start();
    encode = requests(worker.shared);
    decode = owner.records(worker.shared);
    furnished = false;
    return worker;
  };
  const dismiss = (): void => {
    const done = worker?.close();
    worker = undefined;
    if (done === undefined) return;
    const gone: Promise<void> = done.finally(() => closing.delete(gone));
    closing.add(gone);
  };

  /** What each stimulus of a program was answered, or a run still to be read from the records. */
  type Plan = (Answer | undefined)[];
  /** Undefined where the requests are full. */
  const lower = (stimuli: readonly Stimulus[], fresh: boolean): { plan: Plan; runs: number } | undefined => {
    const e = encode as Requests;
    const mark = e.mark();
    const plan: Plan = [];
    let runs = 0;
    if (fresh) runsOfProgram = 0;
    let fits = !fresh || e.program();
    const writes: MemoryWrite[] = [];
    for (const stimulus of stimuli) {
      if (!fits) break;
      if (stimulus.do === 'memory.write') {
        const { at, bytes } = stimulus;
        if (at < 0n || at > outside || numberOf(at) + bytes.length > (machine?.memory ?? 0))
          plan.push({ unsupported: 'a write outside guest memory' });
        else {
          fits = e.write(at, bytes);
          writes.push(stimulus);
          plan.push(nothing);
        }
      } else if (stimulus.do === 'cpu.run') {
        const many = owner.runsMax !== undefined && runsOfProgram + runs >= owner.runsMax;
        const why = many ? `more than ${owner.runsMax} runs of one program` : owner.refuses(stimulus, writes, runsOfProgram + runs > 0);
        if (why !== undefined) plan.push({ unsupported: why });
        else {
          fits = e.run((stimulus as Run & { state: CpuState }).state, stimulus.limit);
          plan.push(undefined);
          runs++;
        }
      } else plan.push(stimulus.do === 'settle' ? settled : { unsupported: `${stimulus.do} on a processor` });
    }
    if (fits) return { plan, runs };
    e.back(mark);
    return undefined;
  };
  /** Fills plans from the records; `limit` runs were made. */
  const read = (plans: readonly Plan[], limit: number, broke: string | undefined): readonly (readonly Answer[])[] => {
    const d = decode as Records;
    d.clear();
    let runs = 0;
    return plans.map((plan) => {
      const answers: Answer[] = [];
      for (const answer of plan) {
        if (answer !== undefined) answers.push(answer);
        else if (runs < limit) {
          runs++;
          answers.push(d.next());
        } else {
          answers.push({ broke: broke ?? 'the child left a run out' });
          break;
        }
      }
      return answers;
    });
  };

  const begin = (stimuli: readonly Stimulus[]): void => {
    const { shared } = alive();
    const e = encode as Requests;
    e.clear();
    if (furnished || machine === undefined) return;
    const first = stimuli.find((s) => s.do === 'cpu.run');
    if (!owner.furnish(e, shared, machine, first?.state)) throw new Error('a machine too large to ask for');
  };
  /** One round over what was lowered: programs worked through, the last perhaps not to its end. */
  const round = (plans: readonly Plan[], runs: number, counted: boolean): { answers: readonly (readonly Answer[])[]; alive: boolean } => {
    encode?.end();
    const w = alive();
    w.shared.writeUInt32LE(0, control.programs);
    w.shared.writeUInt32LE(0, control.runs);
    const end = runs === 0 && furnished ? 'done' : w.round(patience(runs));
    if (end === 'done') {
      furnished = true;
      const done = counted && runs > 0 ? w.shared.readUInt32LE(control.programs) : plans.length;
      return { answers: read(plans.slice(0, done), Number.POSITIVE_INFINITY, undefined), alive: true };
    }
    const made = w.shared.readUInt32LE(control.runs);
    const programs = counted ? w.shared.readUInt32LE(control.programs) : plans.length;
    const why = end === 'late' ? 'did not come back' : 'died in a run';
    const answers = read(plans.slice(0, programs), made, `the process that runs the guest ${why}`);
    dismiss();
    return { answers, alive: false };
  };

  return {
    furnish: (next) => {
      if (next === machine) return;
      machine = next;
      furnished = false;
    },
    apply: (stimuli, fresh) => {
      if (fresh) waiting = [];
      restart ||= fresh;
      // What runs nothing waits for what does: it can only be seen then.
      const asked = [...waiting, ...stimuli];
      const idle = !stimuli.some((s) => s.do === 'cpu.run');
      begin(asked);
      const lowered = lower(asked, restart);
      if (lowered === undefined) return [{ unsupported: 'a program too large to ask for' }];
      const before = waiting.length;
      if (idle) {
        waiting = asked;
        return lowered.plan.slice(before) as readonly Answer[];
      }
      waiting = [];
      restart = false;
      runsOfProgram += lowered.runs;
      return round([lowered.plan], Math.max(1, lowered.runs), false).answers[0]?.slice(before) ?? [];
    },
    runAll: (programs) => {
      const all: (readonly Answer[])[] = [];
      waiting = [];
      restart = true;
      while (all.length < programs.length) {
        begin(programs.find((p, i) => i >= all.length && p.some((s) => s.do === 'cpu.run')) ?? []);
        const plans: Plan[] = [];
        let runs = 0;
        for (let i = all.length; i < programs.length; i++) {
          const lowered = lower(programs[i] as readonly Stimulus[], true);
          if (lowered === undefined) break;
          plans.push(lowered.plan);
          runs += lowered.runs;
        }
        if (plans.length === 0) {
          all.push([{ unsupported: 'a program too large to ask for' }]);
          continue;
        }
        const { answers, alive: lives } = round(plans, Math.max(1, runs), true);
        all.push(...answers);
        if (answers.length === 0) {
          if (lives) throw new Error('the child does no work');
          all.push([{ broke: 'the process that runs the guest died before a program began' }]);
        }
      }
      return all;
    },
    close: async () => {
      dismiss();
      await Promise.all(closing);
    },
  };
};
