// Lets QEMU finish and says by what evidence: the awaited words (and interrupt) came, or the process was proved idle, or time ran out.
// Devices complete under QEMU's big lock, so one answered access after a copy of memory makes the interrupts for that copy final.

import type { Observation, Settle, Settled } from '../../../spec/vocabulary.ts';
import type { LiftedDevice } from '../../bus/bus.ts';
import { idle } from './idle.ts';
import type { GuestMemory } from './memory.ts';

/** Round trips before the proof of idleness is tried where something is awaited: most requests are done by then. */
const patience = 12;
const bound = 2_000; // ms

/** Queues first, in order, then the configuration. */
const rank = (o: Observation): number => (o.saw === 'interrupt' && o.from === 'queue' ? (o.queue ?? 0) : Number.MAX_SAFE_INTEGER);

export function settle(s: Settle, pid: number, memory: GuestMemory, device: LiftedDevice): readonly Observation[] {
  const started = performance.now();
  const expired = (): boolean => performance.now() - started > bound;
  const interrupts = new Map<string, Observation>();
  const look = (): void => {
    for (const seen of device.look()) interrupts.set(JSON.stringify(seen), seen);
  };
  /** Memory and interrupts as they were at one moment: nothing changed while the interrupts were read. */
  const snapshot = (): void => {
    do {
      memory.copy();
      look();
    } while (!memory.unchanged() && !expired());
  };
  const words = s.until ?? [];
  const awaited = words.length > 0 || s.interrupt === true;
  const came = (): boolean => awaited && memory.holds(words) && (s.interrupt !== true || interrupts.size > 0);
  const evidence = (): Settled['by'] => {
    for (let round = 0; ; round++) {
      if (awaited && memory.holds(words)) {
        snapshot();
        if (came()) return 'until';
      } else if (awaited) look();
      const proved = (!awaited || round >= patience) && idle(pid);
      if (!proved && !expired()) continue;
      snapshot();
      return came() ? 'until' : proved ? 'idle' : 'bound';
    }
  };
  const by = evidence();
  const writes = memory.difference();
  return [
    ...(writes.length === 0 ? [] : [{ saw: 'memory.changed', writes } as const]),
    ...[...interrupts.values()].sort((a, b) => rank(a) - rank(b)),
    { saw: 'settled', by },
  ];
}
