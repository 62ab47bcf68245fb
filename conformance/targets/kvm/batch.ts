// Programs through a child that works on shared memory: as many as fit at once, their answers, and what becomes of them when the child dies.
// The target that owns the child says how a state is asked for and how a record is read; both lie in layout.ts.

import type { CpuState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import type { Worker } from '../host/worker.ts';
import { records } from './decode.ts';
import { requests } from './encode.ts';
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
  /** Why a run cannot be asked of this target, or undefined. */
  readonly refuses: (stimulus: Extract<Stimulus, { do: 'cpu.run' }>, writes: readonly Stimulus[]) => string | undefined;
}

/** Milliseconds that a round may take: a run is ended by the child long before, so only a child that is stuck needs them. */
const patience = (runs: number): number => 10_000 + 200 * runs;
const nothing: Answer = { saw: [] };
const settled: Answer = { saw: [{ saw: 'settled', by: 'sync' }] };
type Run = Extract<Stimulus, { do: 'cpu.run' }>;

export const openBatch = (owner: Owner): Batch => {
  let worker: Worker | undefined;
  let machine: MachineConfig | undefined;
  let furnished = false;
  let encode: ReturnType<typeof requests> | undefined;
  let decode: ReturnType<typeof records> | undefined;
  const closing = new Set<Promise<void>>();
  const alive = (): Worker => {
    if (worker !== undefined) return worker;
    worker = owner.start();
    encode = requests(worker.shared);
    decode = records(worker.shared);
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
    const e = encode as ReturnType<typeof requests>;
    const mark = e.mark();
    const plan: Plan = [];
    let runs = 0;
    let fits = !fresh || e.program();
    const writes: Stimulus[] = [];
    for (const stimulus of stimuli) {
      if (!fits) break;
      if (stimulus.do === 'memory.write') {
        const { at, bytes } = stimulus;
        if (at < 0n || at + BigInt(bytes.length) > BigInt(machine?.memory ?? 0)) plan.push({ unsupported: 'a write outside guest memory' });
        else {
          fits = e.write(at, bytes);
          writes.push(stimulus);
          plan.push(nothing);
        }
      } else if (stimulus.do === 'cpu.run') {
        const why = owner.refuses(stimulus, writes);
        if (why !== undefined) plan.push({ unsupported: why });
        else {
          fits = e.run((stimulus as Run & { state: CpuState }).state);
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
    const d = decode as ReturnType<typeof records>;
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

  const begin = (): void => {
    alive();
    encode?.clear();
    if (!furnished && machine !== undefined && encode?.machine(machine) !== true) throw new Error('a machine too large to ask for');
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
      begin();
      const lowered = lower(stimuli, fresh);
      if (lowered === undefined) return [{ unsupported: 'a program too large to ask for' }];
      // memory.write must reach the child even where nothing runs yet
      return round([lowered.plan], Math.max(1, lowered.runs), false).answers[0] ?? [];
    },
    runAll: (programs) => {
      const all: (readonly Answer[])[] = [];
      while (all.length < programs.length) {
        begin();
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
