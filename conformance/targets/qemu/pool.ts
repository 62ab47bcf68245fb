// Processes of QEMU kept between programs: each kind of machine has one for each lane, reset in place; one that died, or that was left in
// the middle of something, makes room for a new one.

import type { Answer, Granted } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import type { Lane, Waits } from '../host/lanes.ts';

type Unsupported = { readonly unsupported: string };

/** A process as far as a pool knows it. */
export interface Pooled {
  readonly running: { ended(): string | undefined };
  close(): void;
}
/** Machines of one kind: how one is started and reset, and what it does. `key`: what its process is told at its start; two that are told the same are
 *  one kind. */
export interface Kind<Machine extends Pooled> {
  readonly key: string;
  start(): Waits<Machine | Unsupported>;
  /** False where the machine does not come back. */
  reset(machine: Machine): Waits<boolean>;
  granted(machine: Machine): Granted;
  applyAll(machine: Machine, stimuli: readonly Stimulus[]): Waits<readonly Answer[]>;
}
export interface Pool<Machine extends Pooled> {
  /** A lane of that number on machines of a kind, or of none for that reason; a process for each number. */
  lane(number: number, kindOf: () => Kind<Machine> | Unsupported): Lane;
  /** The process that such a lane has, if it has one. */
  get(number: number, key: string): Machine | undefined;
  close(): void;
}

/** A process that died since its last answer is replaced, and once more if the new one dies at once. */
const tries = 3;
const noMachine = { broke: 'no machine: reset comes first' };

/** A pool of at most so many processes: where one more is wanted, the one that was not used for longest ends. */
export const createPool = <Machine extends Pooled>(max: number): Pool<Machine> => {
  // In the order of use, the last used last.
  const kept = new Map<string, Machine>();
  const nameOf = (number: number, key: string): string => `${number} ${key}`;
  const drop = (name: string): void => {
    kept.get(name)?.close();
    kept.delete(name);
  };
  const room = (): void => {
    const [oldest] = kept.keys();
    if (oldest !== undefined && kept.size >= max) drop(oldest);
  };
  return {
    lane: (number, kindOf) => {
      let current: { readonly name: string; readonly machine: Machine; readonly kind: Kind<Machine> } | undefined;
      /** A dead machine, or one that is left in the middle of something. */
      const forget = (name: string): void => {
        drop(name);
        current = undefined;
      };
      return {
        reset: function* () {
          current = undefined;
          const kind = kindOf();
          if ('unsupported' in kind) return kind;
          const name = nameOf(number, kind.key);
          for (let n = 0; n < tries; n++) {
            let machine = kept.get(name);
            if (machine === undefined) {
              room();
              const started = yield* kind.start();
              if ('unsupported' in started) return started;
              machine = started;
            }
            kept.delete(name);
            kept.set(name, machine);
            try {
              if (yield* kind.reset(machine)) {
                current = { name, machine, kind };
                return { granted: kind.granted(machine) };
              }
            } catch (error) {
              if (machine.running.ended() === undefined) throw error;
            }
            drop(name);
          }
          return { broke: 'the machine does not reset' };
        },
        applyAll: function* (stimuli) {
          if (current === undefined) return [noMachine];
          const { name, machine, kind } = current;
          try {
            const answers = yield* kind.applyAll(machine, stimuli);
            // A machine that hangs while its process lives is replaced too.
            if (answers.some((a) => 'broke' in a)) forget(name);
            return answers;
          } catch (error) {
            forget(name);
            throw error;
          }
        },
      };
    },
    get: (number, key) => kept.get(nameOf(number, key)),
    close: () => {
      for (const name of kept.keys()) drop(name);
    },
  };
};
