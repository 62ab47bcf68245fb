// Lets QEMU finish and says by what evidence: the awaited words (and interrupt) came, or the process was proved idle, or time ran out.
// Devices complete under QEMU's big lock, so one answered access after a copy of memory makes the interrupts for that copy final.

import type { Observation, Settle, Settled } from '../../../spec/vocabulary.ts';
import type { LiftedDevice, Turns } from '../../bus/bus.ts';
import { ownTime, type Waits } from '../host/lanes.ts';
import type { QemuBus } from './bus.ts';
import { idle } from './idle.ts';
import type { GuestMemory } from './memory.ts';
import { arriving } from './qtest.ts';

/** Round trips before the proof of idleness is tried where something is awaited: most requests are done by then. */
const patience = 12;
const bound = 2_000; // ms
/** Failed proofs between round trips where nothing is awaited: one that waits for QEMU leaves it the processor it may be waiting for. */
const respite = 4;
/** Looks at memory before the first round trip: one would keep QEMU from the very work that is waited for. */
const looks = 100;

/** Queues first, in order, then the configuration. */
const rank = (o: Observation): number => (o.saw === 'interrupt' && o.from === 'queue' ? (o.queue ?? 0) : Number.MAX_SAFE_INTEGER);

/** A device, its bus, and the memory that it shares with us. */
interface Settling {
  readonly bus: QemuBus;
  readonly device: LiftedDevice;
  readonly memory: GuestMemory;
}

/** Takes the turns, and stops while the bus is at work on each. */
export function* inTurns<T>(bus: QemuBus, turns: Turns<T>): Waits<T> {
  let turn = turns.next();
  while (!turn.done) {
    const results: number[] = [];
    const finish = bus.start(turn.value, results);
    yield* arriving(bus);
    finish();
    turn = turns.next(results);
  }
  return turn.value;
}

/** Gathers what the device did, until it is told. */
function gathering({ bus, device, memory }: Settling): {
  look(): Waits<void>;
  /** False: memory would not stand still. */
  snapshot(expired: () => boolean): Waits<boolean>;
  interrupted(): boolean;
  told(): readonly Observation[];
} {
  const interrupts = new Map<string, Observation>();
  const look = function* (): Waits<void> {
    for (const seen of yield* inTurns(bus, device.look())) interrupts.set(JSON.stringify(seen), seen);
  };
  return {
    look,
    /** Memory and interrupts as they were at one moment: nothing changed while the interrupts were read. */
    snapshot: function* (expired) {
      for (;;) {
        memory.copy();
        yield* look();
        if (memory.unchanged()) return true;
        if (expired()) return false;
      }
    },
    interrupted: () => interrupts.size > 0,
    told: () => {
      const writes = memory.difference();
      return [
        ...(writes.length === 0 ? [] : [{ saw: 'memory.changed', writes } as const]),
        ...[...interrupts.values()].sort((a, b) => rank(a) - rank(b)),
      ];
    },
  };
}

/** What the device has done so far, without waiting for more. */
export function* seen(on: Settling): Waits<readonly Observation[]> {
  const now = gathering(on);
  yield* now.snapshot(ownTime(bound));
  return now.told();
}

/** Waits a moment for the awaited words; proves nothing. */
export function* linger({ until = [] }: Settle, memory: GuestMemory): Waits<void> {
  if (until.length === 0) return;
  for (let i = 0; i < looks && !memory.holds(until); i++) yield;
}

export function* settle(s: Settle, pid: number, on: Settling): Waits<readonly Observation[]> {
  const { memory } = on;
  const expired = ownTime(bound);
  const now = gathering(on);
  const words = s.until ?? [];
  const awaited = words.length > 0 || s.interrupt === true;
  const came = (): boolean => awaited && memory.holds(words) && (s.interrupt !== true || now.interrupted());
  const evidence = function* (): Waits<Settled['by']> {
    for (let round = 0; ; round++) {
      if (awaited && memory.holds(words)) {
        if ((yield* now.snapshot(expired)) && came()) return 'until';
      } else if (awaited || round % respite === respite - 1) yield* now.look();
      const proved = (!awaited || round >= patience) && idle(pid);
      if (!proved && !expired()) {
        yield;
        continue;
      }
      if (!(yield* now.snapshot(expired))) return 'bound';
      return came() ? 'until' : proved ? 'idle' : 'bound';
    }
  };
  const by = yield* evidence();
  return [...now.told(), { saw: 'settled', by }];
}
