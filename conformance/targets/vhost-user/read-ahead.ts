// Configuration that is asked for once for several reads: each message costs the back end some 20 µs, and brings everything up to its last byte.
// What was read is good until something is said to the back end, and each of its fields once.

import type { Stimulus } from '../../../spec/vocabulary.ts';
import type { Waits } from '../host/lanes.ts';
import { configSizeMax } from './messages.ts';

/** A field of configuration space. */
interface Field {
  readonly at: number;
  readonly width: number;
}
const overlap = (a: Field, b: Field): boolean => a.at < b.at + b.width && b.at < a.at + a.width;

export interface ReadAhead {
  /** Something is said to the back end: what was read before may no longer hold. */
  readonly forget: () => void;
  /** Configuration that came with something else. */
  readonly give: (bytes: Buffer) => void;
  /** Bytes of it that programs read. */
  readonly usual: () => number;
  /** The bytes of a read, up to its last one. Reads in a row, of fields that have nothing in common, are one message. */
  readonly read: (stimuli: readonly Stimulus[], which: number) => Waits<Buffer | undefined>;
}
export const readAhead = (ask: (size: number) => Waits<Buffer | undefined>): ReadAhead => {
  let ahead: { readonly bytes: Buffer; readonly taken: Field[] } | undefined;
  let usual = 0;
  return {
    forget: () => {
      ahead = undefined;
    },
    give: (bytes) => {
      ahead = { bytes, taken: [] };
    },
    usual: () => usual,
    read: function* (stimuli, which) {
      const s = stimuli[which];
      if (s?.do !== 'virtio.config.read') return undefined;
      if (ahead !== undefined && s.at + s.width <= ahead.bytes.length && !ahead.taken.some((o) => overlap(o, s))) {
        ahead.taken.push(s);
        return ahead.bytes;
      }
      ahead = undefined;
      const together: Field[] = [s];
      let size = s.at + s.width;
      for (let i = which + 1; ; i++) {
        const next = stimuli[i];
        if (next?.do !== 'virtio.config.read' || next.at + next.width > configSizeMax || together.some((o) => overlap(o, next))) break;
        together.push(next);
        size = Math.max(size, next.at + next.width);
      }
      const bytes = yield* ask(size);
      if (bytes === undefined) return size === s.at + s.width ? undefined : yield* ask(s.at + s.width);
      usual = Math.max(usual, size);
      ahead = { bytes, taken: [s] };
      return bytes;
    },
  };
};
