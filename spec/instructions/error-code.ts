// What is demanded of the word that an error code is pushed as. Intel SDM volume 3, Error Code; 64-Bit Mode Stack Frame; AMD APM volume 2, Error Codes.

import { ones } from './bits.ts';
import { has, type Work } from './work.ts';

/** Bits 31:16 are reserved. */
const reserved = 0xffff0000n;
/** Bits of the word that are not judged. A null code has all bits clear but EXT, where older editions had the low word alone so: it is judged on
 *  processors with SYSCALL. In 64-bit words the high half is 0: they are zero-extended. */
export const openOfError = (w: Work, vector: number, error: number | 'any', size: 2 | 4 | 8): bigint => {
  if (error === 'any') return ones(size);
  const isNullCode = error <= 1 && vector !== 14;
  return isNullCode && (size === 8 || has(w, 'syscall')) ? 0n : reserved & ones(size);
};
