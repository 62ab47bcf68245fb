// Numbers of bigints, without the call out of compiled code that Number() is: through a typed array it costs a fortieth.

const word = new BigUint64Array(1);
const halves = new Uint32Array(word.buffer);
/** The half of a word that holds bits 31:0, in the order of the host. */
const LOW = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 0 : 1;
/** Bits 31:0. */
export const low = (value: bigint): number => {
  word[0] = value;
  return halves[LOW] as number;
};
/** Bits 63:0. What is multiplied by 2^32 is a double, kept apart on the heap: most values are small. */
export const numberOf = (value: bigint): number => {
  word[0] = value;
  const high = halves[1 - LOW] as number;
  const lower = halves[LOW] as number;
  return high === 0 ? lower : high * 0x1_0000_0000 + lower;
};
/** The other way: a bigint of 32 bits. */
export const bigOf = (value: number): bigint => {
  halves[LOW] = value;
  halves[1 - LOW] = 0;
  return word[0] as bigint;
};
