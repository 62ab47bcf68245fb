// Virtual interrupts: when VIF stands for IF, what is pushed and popped then, and where INT n goes in virtual-8086 mode with its extensions.
// Intel SDM volume 3, 8086 Emulation: Class 2 and Class 3 in Virtual-8086 Mode, Protected-Mode Virtual Interrupts; volume 2: CLI, STI, PUSHF, POPF, INT n.

import { faultsOf, place, readTable } from './access.ts';
import { cr4, flag } from './bits.ts';
import { go8086 } from './far.ts';
import { push } from './stack.ts';
import { cpl, flagsOf, gp, iopl, leave, low, ofSystem, protectedMode, undecided, v86, type Work } from './work.ts';

const enabled = (w: Work): boolean => {
  const { s } = w;
  if (!protectedMode(s) || cpl(s) !== 3) return false;
  return (low(s.cr4) & (v86(s) ? cr4.VME : cr4.PVI)) !== 0;
};
/** VIF stands for IF: virtual-8086 mode with CR4.VME, or CPL 3 with CR4.PVI; and IOPL below 3. */
export const virtual = (w: Work): boolean => {
  if (!enabled(w) || iopl(w.s) === 3) return false;
  ofSystem(w, 'CR4.VME and CR4.PVI');
  return true;
};
/** Whether VIP waits for VIF where both count: #GP(0) before the next instruction, and whether IOPL matters for it is not said. */
export const bothPending = (w: Work): boolean => (flagsOf(w.s) & (flag.VIF | flag.VIP)) === (flag.VIF | flag.VIP) && enabled(w);
/** For PUSHF, POPF and IRET in virtual-8086 mode below IOPL 3: #GP(0), unless the extensions are enabled and the operand has 16 bits. */
export const virtual8086 = (w: Work, size: number): boolean => {
  if (!v86(w.s) || iopl(w.s) === 3) return false;
  if (size !== 2 || !virtual(w)) gp('flag.iopl');
  return true;
};
/** What PUSHF and INT n push: VIF in place of IF, and IOPL 3. */
export const imageIn8086 = (flags: number): number => (flags & ~flag.IF) | flag.IOPL | ((flags & flag.VIF) !== 0 ? flag.IF : 0);
/** What POPF and IRET load: VIF from the place of IF. Neither TF nor, while VIP is set, IF may be asked for. */
export const takeImage = (w: Work, image: number): number => {
  if ((image & flag.TF) !== 0 || ((image & flag.IF) !== 0 && (flagsOf(w.s) & flag.VIP) !== 0)) gp('flag.virtual');
  return (image & ~flag.VIF) | ((image & flag.IF) !== 0 ? flag.VIF : 0);
};

/** Offset of the I/O map's address in the TSS; the redirection bitmap is the 32 bytes below the map. */
const mapBase = 0x66;
const bitmapSize = 32;
/** The vector's bit of the software interrupt redirection bitmap. */
const isDirected = (w: Work, vector: number): boolean => {
  const { tr } = w.s;
  if ((tr.access & 8) === 0 || mapBase + 1 > tr.limit) return undecided('a TSS without a redirection bitmap');
  const map = Number(readTable(w, tr.base + BigInt(mapBase), 2));
  const at = map - bitmapSize + (vector >> 3);
  if (at < 0 || at > tr.limit) return undecided('a redirection bitmap beyond the TSS');
  return ((Number(readTable(w, tr.base + BigInt(at), 1)) >> (vector & 7)) & 1) !== 0;
};
/** INT n in virtual-8086 mode: true where the program's own handler has been gone to; false: through the IDT; else #GP(0). */
export const redirected = (w: Work, vector: number): boolean => {
  const { s } = w;
  if (!v86(s)) return false;
  const full = iopl(s) === 3;
  if ((low(s.cr4) & cr4.VME) === 0 || isDirected(w, vector)) return full ? false : gp('interrupt.iopl');
  // The table is at linear address 0. With whose rights it is read, no page says.
  const entry = BigInt(vector * 4);
  if (faultsOf(() => place(w, entry, 4, { write: false }, 1)).length > 0) undecided('a vector table that a user cannot read');
  const vectorWords = readTable(w, entry, 4);
  const flags = flagsOf(s) & 0xffff;
  const image = full ? flags : imageIn8086(flagsOf(s)) & 0xffff;
  push(w, BigInt(image), 2);
  push(w, BigInt(s.cs.selector), 2);
  push(w, (s.rip + BigInt(w.i.length)) & 0xffffn, 2);
  const cleared = flag.TF | (full ? flag.IF : flag.VIF);
  w.flagsWritten |= cleared;
  s.rflags = BigInt(flagsOf(s) & ~cleared);
  // NT is cleared where the IDT is used; of this way nothing is said.
  if ((flags & flag.NT) !== 0) leave(w, 'rflags', BigInt(flag.NT));
  go8086(w, Number(vectorWords >> 16n), vectorWords & 0xffffn);
  return true;
};
