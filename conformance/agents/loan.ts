// Copies of a machine's memory for those who need to know what stands in it while one case is put together or read: lent, and given back as pristine.
// Cases come one after the other, so one pair a machine is enough.

export interface Patch {
  readonly at: number;
  readonly bytes: Uint8Array;
}
/** Copies of a machine's memory, as it is before and after a case. They are lent from case to case, and given back as pristine: a copy for each case
 *  would cost more than all else that is done for it here. */
export interface Loan {
  readonly before: Uint8Array;
  readonly beforeView: DataView;
  readonly after: Uint8Array;
  readonly afterView: DataView;
}
const loans = new WeakMap<Uint8Array, Loan>();
export const loanOf = (pristine: Uint8Array): Loan => {
  let loan = loans.get(pristine);
  if (loan === undefined) {
    const [before, after] = [pristine.slice(), pristine.slice()];
    loans.set(pristine, (loan = { before, beforeView: new DataView(before.buffer), after, afterView: new DataView(after.buffer) }));
  }
  return loan;
};
/** Copying is called for where there is much; of a few bytes the call is what costs. */
const few = 64;
export const putBytes = (memory: Uint8Array, at: number, bytes: Uint8Array): void => {
  if (bytes.length > few) memory.set(bytes, at);
  else for (let i = 0; i < bytes.length; i++) memory[at + i] = bytes[i] as number;
};
export const giveBack = (memory: Uint8Array, pristine: Uint8Array, patches: readonly Patch[]): void => {
  for (const { at, bytes } of patches) {
    const end = at + bytes.length;
    if (bytes.length > few) memory.set(pristine.subarray(at, end), at);
    else for (let i = at; i < end; i++) memory[i] = pristine[i] as number;
  }
};
