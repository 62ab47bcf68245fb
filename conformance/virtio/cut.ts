// How a request's byte stream is cut into descriptors: anywhere at all, never across the border from readable to writable.
// VIRTIO 1.4, Message Framing: framing is independent of the contents.

export interface Pieces {
  /** Bytes of each piece, in order; none is 0. */
  readonly lengths: readonly number[];
  /** How many of them, at the front, are device-readable. */
  readonly readable: number;
}

const insert = (at: number[], cut: number): void => {
  let i = at.length;
  while (i > 0 && (at[i - 1] as number) > cut) i--;
  if (at[i - 1] !== cut) at.splice(i, 0, cut);
};

/**
 * Cuts `readable` and then `writable` bytes at `cuts` (modulo the total; negative from the end) and at every multiple of `every`
 * (0: none), into at most `most` pieces of at most `longest` bytes. Undefined when that cannot be done.
 */
export const cut = (
  readable: number,
  writable: number,
  cuts: readonly number[],
  every: number,
  most: number,
  longest: number,
): Pieces | undefined => {
  const total = readable + writable;
  const border = readable > 0 && writable > 0;
  const at: number[] = border ? [readable] : [];
  if (longest < total) {
    for (let p = longest; p < readable; p += longest) insert(at, p);
    for (let p = readable + longest; p < total; p += longest) insert(at, p);
  }
  if (at.length + 1 > most) return undefined;
  for (const c of cuts) {
    if (at.length + 1 >= most) break;
    const p = ((c % total) + total) % total;
    if (p > 0) insert(at, p);
  }
  if (every > 0) for (let p = every; p < total && at.length + 1 < most; p += every) insert(at, p);
  const lengths: number[] = [];
  let from = 0;
  let front = 0;
  for (const p of at) {
    lengths.push(p - from);
    if (p <= readable) front++;
    from = p;
  }
  lengths.push(total - from);
  return { lengths, readable: writable === 0 ? lengths.length : front };
};
