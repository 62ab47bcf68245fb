// What the interrupt fabric delivered: the log that the firmware writes, and a barrier after which nothing more can come.
// The barrier is an 8259A interrupt, which a processor accepts only when no APIC interrupt is pending; when it is answered, all were taken.

import fs from 'node:fs';
import type { VtdObservation } from '../../../../spec/vt-d/vocabulary.ts';
import { ownTime, type Waits } from '../../host/lanes.ts';
import { barrierLine, log, logAt, logSize } from './agent.ts';

type Interrupt = Extract<VtdObservation, { readonly saw: 'apic.interrupt' }>;

/** Raise and lower the line: an edge. */
const edge: readonly string[] = [`outb ${0x2000 + barrierLine} 1`, `outb ${0x2000 + barrierLine} 0`];

export interface InterruptLog {
  /** Before a reset: everything is forgotten. */
  clear(): void;
  /** Waits until the processor is ready. False: it is not within the bound, in ms. */
  ready(within?: number): Waits<boolean>;
  /** Commands that ask for one more barrier. Its number is written behind everything before it, so that no late answer to an older one, even from before
   *  a reset, is taken for its own. */
  barrier(): readonly string[];
  /** Waits for the answer to the last barrier. False: no answer within the bound, in ms. */
  answered(within?: number): Waits<boolean>;
  /** What came since the last look, in order. */
  take(): readonly Interrupt[];
  close(): void;
}

/** A starved machine may take long; a processor that lost an interrupt takes for ever. */
const bound = 20_000; // ms
const spins = 100;
const pause = 0.05; // ms

export const openLog = (file: string): InterruptLog => {
  const fd = fs.openSync(file, 'r+');
  const bytes = Buffer.alloc(logSize);
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let barriers = 0;
  let taken = 0;
  const word = (at: number): number => {
    fs.readSync(fd, bytes, 0, log.entries, 0);
    return bytes.readUInt32LE(at);
  };
  const comes = function* (at: number, value: number, within = bound): Waits<boolean> {
    const expired = ownTime(within);
    for (let i = 0; word(at) < value; i++) {
      yield;
      if (i < spins) continue;
      Atomics.wait(cell, 0, 0, pause);
      if (expired()) return word(at) >= value;
    }
    return true;
  };
  return {
    clear: () => {
      taken = 0;
      fs.writeSync(fd, Buffer.alloc(log.entries), 0, log.entries, 0);
    },
    ready: (within) => comes(log.ready, 1, within),
    barrier: () => [`writel ${logAt + log.asked} ${++barriers}`, ...edge],
    answered: (within) => comes(log.answered, barriers, within),
    take: () => {
      const count = word(log.count);
      if (count === taken) return [];
      fs.readSync(fd, bytes, 0, logSize, 0);
      const seen: Interrupt[] = [];
      // A ring that was overrun between two looks would tell wrong vectors: only a flood of more than its slots in one step can do that.
      for (; taken < count; taken++) {
        const entry = bytes.readUInt32LE(log.entries + 4 * (taken % log.slots));
        const [vector, level] = [entry & 0xff, (entry & 0x100) !== 0];
        seen.push({ saw: 'apic.interrupt', vector, delivery: 0, destination: 0, logical: false, level, redirectionHint: false });
      }
      return seen;
    },
    close: () => fs.closeSync(fd),
  };
};
