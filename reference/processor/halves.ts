// Decides how 64 bits are taken apart into 32-bit halves and put together: by way of memory, because conversions of big integers are calls out of
// compiled code, and because Number() makes a double of 2^31-1 and of -2^31, which then spreads over all that holds it.

const word = new BigInt64Array(1);
const unsigned = new BigUint64Array(word.buffer);
const parts = new Int32Array(word.buffer);
const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 0 : 1;

/** Bits 31:0, signed. */
export const low = (x: bigint): number => {
  word[0] = x;
  return parts[LITTLE]!;
};
/** Bits 63:32, signed. */
export const high = (x: bigint): number => {
  word[0] = x;
  return parts[1 - LITTLE]!;
};
/** Of two halves. */
export const wide = (lo: number, hi: number): bigint => {
  parts[LITTLE] = lo;
  parts[1 - LITTLE] = hi;
  return unsigned[0]!;
};
