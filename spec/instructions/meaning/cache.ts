// Caches, translations and waiting: instructions whose effect is not in registers or memory, and what they refuse.
// Intel SDM volume 2: INVD, WBINVD, INVLPG, INVPCID, CLFLUSH, MONITOR, MWAIT, WAIT/FWAIT, PAUSE, LFENCE, MFENCE, SFENCE.

import { faultsOf, load, readAt } from '../access.ts';
import { perhapsSeen } from '../breakpoints.ts';
import { cr0, type SegmentName, segments } from '../bits.ts';
import { memoryPlace } from '../operands.ts';
import { canonicalBase, gp, like8086, low, ofSystem, raise, register, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';
import { nothing } from './move.ts';

const INVPCID: Meaning = (w) => {
  const type = register(w, w.i.reg, w.i.code === 64 ? 8 : 4);
  const place = (): readonly number[] => memoryPlace(w, 16, 'read', 0n, 1);
  // Whether the operand is read before the type is looked at the page does not say.
  if (type > 3n) raise({ vector: 13, error: 0, rule: 'cache.invpcid' }, ...faultsOf(place));
  const descriptor = load(w, place(), 16);
  if (type <= 1n) {
    if ((descriptor & 0xffffffffffffffffn) >> 12n !== 0n) gp('cache.invpcid');
    if (type === 0n && !canonicalBase(w, descriptor >> 64n)) gp('cache.invpcid');
    if ((low(w.s.cr4) & 0x20000) === 0 && (descriptor & 0xfffn) !== 0n) gp('cache.invpcid');
  } else if ((descriptor & 0xffffffffffffffffn) >> 12n !== 0n) undecided('reserved bits of a descriptor that the type does not use');
};
/** An address in an execute-only segment may be flushed. SDM volume 2, CLFLUSH. */
const readable = (w: Work, access: () => unknown): void => {
  const name = segments[w.i.address?.segment ?? 3] as SegmentName;
  const kept = w.s[name];
  if (like8086(w.s) || (kept.access & 0x1000a) !== 8) {
    access();
    return;
  }
  if (w.cpu.vendor !== 'intel') undecided('CLFLUSH of an execute-only segment');
  w.s[name] = { ...kept, access: kept.access | 2 };
  try {
    access();
  } finally {
    w.s[name] = kept;
  }
};
/** Its operand is checked as a load of a byte is. What it arms is in no register. */
const MONITOR: Meaning = (w) => {
  const access = (): unknown => readAt(w, w.i.override >= 0 ? w.i.override : 3, register(w, 0, w.i.addressSize), 1);
  // Of bits 63:32 the pages of 64-bit mode say RCX in some editions and ECX in others; no order to the faults of the access is given.
  if (low(w.s.rcx) !== 0) raise({ vector: 13, error: 0, rule: 'privileged.monitor' }, ...faultsOf(access));
  if (w.s.rcx !== 0n && w.i.code === 64) undecided('upper half of the extensions of MONITOR');
  perhapsSeen(w, 'a breakpoint on what is monitored', access);
};
/** Extensions that some processor has, in ECX: interrupts that are masked, and waiting without MONITOR. */
const extensions = 0x7;
const MWAIT: Meaning = (w) => {
  if ((low(w.s.rcx) & ~extensions) !== 0) gp('privileged.monitor');
  undecided('how long MWAIT waits');
};
export const cache: Meanings = {
  NOP: nothing,
  PAUSE: nothing,
  INVD: (w) => {
    // Where memory is reserved for the processor itself.
    if (w.cpu.vendor === 'intel') w.also.push({ vector: 13, error: 0, rule: 'privileged.gp' });
  },
  WBINVD: nothing,
  INVLPG: nothing,
  INVPCID,
  CLFLUSH: (w) => {
    perhapsSeen(w, 'a breakpoint on what is flushed', () => readable(w, () => memoryPlace(w, 1, 'read')));
  },
  LFENCE: nothing,
  MFENCE: nothing,
  SFENCE: nothing,
  MONITOR,
  MWAIT,
  WAIT: (w) => {
    const both = cr0.MP | cr0.TS;
    ofSystem(w, 'CR0');
    if ((low(w.s.cr0) & both) === both) raise({ vector: 7, rule: 'cache.nm' });
  },
};
