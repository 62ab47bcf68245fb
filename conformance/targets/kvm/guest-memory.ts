// The guest's memory between runs: what differs from what is known, and made pristine again for the next program.
// Only what was written by a program or seen to differ is ever put back: of each page, from the first such byte to the last.

export interface Range {
  readonly at: number;
  readonly length: number;
}
export interface KnownMemory {
  /** A new machine: every byte becomes what `pristine` holds; a multiple of 4 KiB. */
  readonly furnish: (size: number, pristine: Buffer) => void;
  readonly size: () => number;
  /** Whether these bytes are as they were furnished. */
  readonly furnished: (at: number, length: number) => boolean;
  readonly write: (at: number, bytes: Uint8Array, from: number, length: number) => boolean;
  /** Ranges that differ from what is known, ascending; they are known afterwards. `within`: only in these pages, one bit each. */
  readonly changes: (within?: Uint32Array) => readonly Range[];
  /** Every byte as furnished. */
  readonly restore: () => void;
  /** Pages that were written or differed since the last `restore`, each once. */
  readonly touched: readonly number[];
}

const pageWords = 1024;
/** Bytes compared at once where all of memory is. */
const block = 65536;
/** More words than this are put back by a call: a loop is faster for few. */
const fewWords = 128;

export const knownMemory = (guest: Buffer): KnownMemory => {
  const guestWords = new Uint32Array(guest.buffer, guest.byteOffset, guest.length >> 2);
  const known = Buffer.alloc(guest.length);
  const knownWords = new Uint32Array(known.buffer, known.byteOffset, known.length >> 2);
  let clean: Buffer = Buffer.alloc(0);
  let cleanWords: Uint32Array = new Uint32Array(0);
  let size = 0;
  const touched: number[] = [];
  /** Of a touched page the first word to put back and the one behind the last; of the others nothing, the first not below the last. */
  const first = new Uint32Array(guest.length >> 12).fill(guestWords.length);
  const behind = new Uint32Array(guest.length >> 12);
  const touch = (word: number, end: number): void => {
    for (let from = word; from < end; ) {
      const page = (from / pageWords) | 0;
      const to = Math.min(end, (page + 1) * pageWords);
      if (behind[page] === 0) touched.push(page);
      if (from < (first[page] as number)) first[page] = from;
      if (to > (behind[page] as number)) behind[page] = to;
      from = to;
    }
  };
  const forget = (): void => {
    for (const page of touched) {
      first[page] = guestWords.length;
      behind[page] = 0;
    }
    touched.length = 0;
  };

  let found: { at: number; length: number }[] = [];
  const differ = (at: number): void => {
    const last = found[found.length - 1];
    if (last !== undefined && last.at + last.length === at) last.length++;
    else found.push({ at, length: 1 });
  };
  const word = (i: number): void => {
    const difference = (guestWords[i] as number) ^ (knownWords[i] as number);
    if (difference === 0) return;
    for (let b = 0; b < 4; b++) if (((difference >>> (8 * b)) & 0xff) !== 0) differ(4 * i + b);
    knownWords[i] = guestWords[i] as number;
    touch(i, i + 1);
  };
  const unlike = (i: number): number => (guestWords[i] as number) ^ (knownWords[i] as number);
  const page = (number: number): void => {
    for (let i = number * pageWords, end = i + pageWords; i < end; i += 4)
      if ((unlike(i) | unlike(i + 1) | unlike(i + 2) | unlike(i + 3)) !== 0) for (let k = i; k < i + 4; k++) word(k);
  };
  return {
    touched,
    size: () => size,
    furnished: (at, length) => at + length <= size && guest.compare(clean, at, at + length, at, at + length) === 0,
    furnish: (bytes, pristine) => {
      size = bytes;
      clean = pristine;
      cleanWords = new Uint32Array(clean.buffer, clean.byteOffset, clean.length >> 2);
      clean.copy(guest);
      clean.copy(known);
      forget();
    },
    write: (at, bytes, from, length) => {
      if (at + length > size) return false;
      for (let i = 0; i < length; i++) known[at + i] = guest[at + i] = bytes[from + i] as number;
      if (length > 0) touch(at >> 2, (at + length + 3) >> 2);
      return true;
    },
    changes: (within) => {
      found = [];
      if (within === undefined) {
        for (let at = 0; at < size; at += block) {
          const end = Math.min(at + block, size);
          if (known.compare(guest, at, end, at, end) !== 0) for (let p = at >> 12; p < end >> 12; p++) page(p);
        }
      } else
        for (let w = 0; w < size >> 17 || w === 0; w++)
          for (let bits = within[w] as number, p = 32 * w; bits !== 0; bits >>>= 1, p++) if ((bits & 1) !== 0) page(p);
      return found;
    },
    restore: () => {
      for (const p of touched) {
        const [from, to] = [first[p] as number, behind[p] as number];
        if (to - from > fewWords) for (const copy of [guest, known]) clean.copy(copy, 4 * from, 4 * from, 4 * to);
        else for (let i = from; i < to; i++) knownWords[i] = guestWords[i] = cleanWords[i] as number;
      }
      forget();
    },
  };
};
