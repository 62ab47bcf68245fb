// The guest's memory between runs: what differs from what is known, found by halving, and made pristine again for the next program.
// Only pages that were written by a program or seen to differ are ever put back.

export interface Range {
  readonly at: number;
  readonly length: number;
}
export interface KnownMemory {
  /** A new machine: every byte becomes what `pristine` holds. */
  readonly furnish: (size: number, pristine: Buffer) => void;
  readonly size: () => number;
  /** Whether these bytes are as they were furnished. */
  readonly furnished: (at: number, length: number) => boolean;
  readonly write: (at: number, bytes: Uint8Array) => boolean;
  /** Ranges that differ from what is known, ascending; they are known afterwards. `within`: only in these pages, one bit each. */
  readonly changes: (within?: Uint32Array) => readonly Range[];
  /** Every byte as furnished. */
  readonly restore: () => void;
  /** Pages that were written or differed since the last `restore`. */
  readonly touched: ReadonlySet<number>;
}

const pageBytes = 4096;
/** Sizes compared at once, from the whole downwards; below the last, word by word. */
const steps = [65536, 16384, 4096, 512] as const;
const pageDepth = 3;

export const knownMemory = (guest: Buffer): KnownMemory => {
  const guestWords = new Uint32Array(guest.buffer, guest.byteOffset, guest.length >> 2);
  const known = Buffer.alloc(guest.length);
  const knownWords = new Uint32Array(known.buffer, known.byteOffset, known.length >> 2);
  let clean: Buffer = Buffer.alloc(0);
  let size = 0;
  const touched = new Set<number>();

  let found: { at: number; length: number }[] = [];
  const differ = (at: number): void => {
    const last = found[found.length - 1];
    if (last !== undefined && last.at + last.length === at) last.length++;
    else found.push({ at, length: 1 });
  };
  const words = (from: number, to: number): void => {
    for (let i = from >> 2; i < to >> 2; i++) {
      const difference = (guestWords[i] as number) ^ (knownWords[i] as number);
      if (difference === 0) continue;
      for (let b = 0; b < 4; b++) if (((difference >>> (8 * b)) & 0xff) !== 0) differ(4 * i + b);
      knownWords[i] = guestWords[i] as number;
      touched.add((4 * i) >>> 12);
    }
  };
  const look = (from: number, to: number, depth: number): void => {
    const step = steps[depth];
    if (step === undefined) return words(from, to);
    for (let at = from; at < to; at += step) {
      const end = at + step < to ? at + step : to;
      if (known.compare(guest, at, end, at, end) !== 0) look(at, end, depth + 1);
    }
  };
  return {
    touched,
    size: () => size,
    furnished: (at, length) => at + length <= size && guest.compare(clean, at, at + length, at, at + length) === 0,
    furnish: (bytes, pristine) => {
      size = bytes;
      clean = pristine;
      clean.copy(guest);
      clean.copy(known);
      touched.clear();
    },
    write: (at, bytes) => {
      if (at + bytes.length > size) return false;
      for (let i = 0; i < bytes.length; i++) known[at + i] = guest[at + i] = bytes[i] as number;
      if (bytes.length > 0) for (let page = at >>> 12; page <= (at + bytes.length - 1) >>> 12; page++) touched.add(page);
      return true;
    },
    changes: (within) => {
      found = [];
      if (within === undefined) look(0, size, 0);
      else
        for (let w = 0; w < size >> 17 || w === 0; w++)
          for (let bits = within[w] as number, page = 32 * w; bits !== 0; bits >>>= 1, page++)
            if ((bits & 1) !== 0) look(page * pageBytes, (page + 1) * pageBytes, pageDepth);
      return found;
    },
    restore: () => {
      for (const page of touched) {
        clean.copy(guest, page * pageBytes, page * pageBytes, (page + 1) * pageBytes);
        clean.copy(known, page * pageBytes, page * pageBytes, (page + 1) * pageBytes);
      }
      touched.clear();
    },
  };
};
