// Decides what guest-linear addresses mean while the guest runs: shadow page tables, filled when the processor misses, never ahead of the guest's own.
// A shadow entry exists only while the virtual processor's TLB holds the translation, so that what INVLPG and CR3 flush is flushed here too.

import { type Cpu, TLB } from '../processor/cpu.ts';
import { isFault } from '../processor/fault.ts';
import { type Class, FETCH, flushTlb, type Kind, loadPdptes, READ, translate, USER, WRITE } from '../processor/paging.ts';
import { linearIp } from './native.ts';
import type { World } from './world.ts';

/** Where the monitor's own pages lie in the linear address space: its last 4 MBytes. Supervisor pages, so that no guest touches them. */
export const OWN_LINEAR: number = 0xffc0_0000 | 0;
const OWN_PAGES = 4;
const PAGE = 4096;
const P = 1;
const RW = 2;
const US = 4;
/** Accessed and dirty already: the processor has nothing to note. */
const AD = 0x60;
const XD = 0x8000_0000 | 0;

export const classOf = (v: Cpu): Class => (v.cpl === 3 ? USER : (v.flags & (1 << 18)) !== 0 ? 1 : 0);

const put = (w: World, at: number, lo: number, hi: number): void => {
  w.host.view.setInt32(at, lo, true);
  w.host.view.setInt32(at + 4, hi, true);
};
const newTable = (w: World): number => {
  const at = w.next;
  if (at + PAGE > w.host.size) return -1;
  w.next += PAGE;
  return at;
};
/** The slot of the last-level entry, tables made on the way; -1 where there is no room for them. */
const slotOf = (w: World, lo: number, hi: number): number => {
  let table = w.tables;
  const levels = w.c.lma ? [hi >>> 7, (lo >>> 30) | (hi << 2), lo >>> 21] : [lo >>> 30, lo >>> 21];
  for (const index of levels) {
    const at = table + (index & 511) * 8;
    const entry = w.host.view.getInt32(at, true);
    table = (entry & -PAGE) >>> 0;
    if ((entry & P) !== 0) continue;
    table = newTable(w);
    if (table < 0) return -1;
    put(w, at, table | P | RW | US | AD, 0);
  }
  return table + ((lo >>> 12) & 511) * 8;
};
/** No translation but those of the monitor's own pages. */
export const zap = (w: World): void => {
  const { c } = w;
  w.host.bytes.fill(0, w.tables, w.next);
  w.next = w.tables;
  w.shadowed.length = 0;
  const root = newTable(w);
  // PAE: four PDPTEs, whose only flag is P.
  if (!c.lma) for (let i = 0; i < 4; i++) put(w, root + 8 * i, newTable(w) | P, 0);
  for (let i = 0; i < OWN_PAGES; i++) put(w, slotOf(w, OWN_LINEAR + i * PAGE, c.lma ? -1 : 0), (w.own + i * PAGE) | P | RW | AD, 0);
  c.cr3 = BigInt(root);
  if (!c.lma) loadPdptes(c, c.cr3);
  flushTlb(c, true);
};
/** Forgets what the virtual TLB no longer holds. */
export const prune = (w: World): void => {
  const { c, v, shadowed } = w;
  for (let n = shadowed.length - 1; n >= 0; n--) {
    const s = shadowed[n]!;
    const i = (s.lo >>> 12) & (TLB - 1);
    if (v.tagLo[i] === (s.lo | 1) && v.tagHi[i] === s.hi && v.page[i] === s.frame) continue;
    put(w, s.slot, 0, 0);
    c.tagLo[i] = 0;
    shadowed[n] = shadowed.at(-1)!;
    shadowed.pop();
  }
};

/** What a technique asks of guest pages: no stores, or no fetches before it has seen their code. */
export interface Care {
  readonly readOnly: (w: World, frame: number) => boolean;
  readonly mayFetch: (w: World, frame: number) => boolean;
}
/** After a page fault of the real processor at CR2: whether the guest's tables have the translation, which then stands. Else it is the guest's fault,
 *  or the access is one for the emulator: outside memory, or of rights that the shadow cannot express. */
export const refill = (w: World, error: number, care: Care): boolean => {
  const { c, v } = w;
  const lo = Number(BigInt.asIntN(32, c.cr2));
  const hi = Number(BigInt.asIntN(32, c.cr2 >> 32n));
  const kind: Kind = (error & 16) !== 0 ? FETCH : (error & 2) !== 0 ? WRITE : READ;
  const who = classOf(v);
  try {
    translate(v, lo, hi, kind, who);
  } catch (thrown) {
    if (isFault(thrown)) return false;
    throw thrown;
  }
  const i = (lo >>> 12) & (TLB - 1);
  const page = lo & -PAGE;
  if (v.tagLo[i] !== (page | 1) || v.tagHi[i] !== hi) return false;
  const grant = v.grant[i]! >>> (3 * who);
  const frame = v.page[i]!;
  const writable = (grant & 2) !== 0 && !care.readOnly(w, frame);
  const executable = (grant & 4) !== 0 && care.mayFetch(w, frame);
  // Control comes to a page that has not been looked at: that is done before the guest goes on.
  if (kind === FETCH && !executable && ((linearIp(v) ^ lo) & -PAGE) === 0) return true;
  if ((grant & 1) === 0 || (kind === WRITE && !writable) || (kind === FETCH && !executable)) return false;
  let slot = slotOf(w, lo, hi);
  if (slot < 0) {
    zap(w);
    slot = slotOf(w, lo, hi);
  }
  if (slot < 0 || (w.host.view.getInt32(slot, true) & (P | US)) === P) return false;
  put(w, slot, (w.base + frame) | P | US | AD | (writable ? RW : 0), executable ? 0 : XD);
  c.tagLo[i] = 0;
  if (!w.shadowed.some((s) => s.slot === slot)) w.shadowed.push({ slot, lo: page, hi, frame });
  return true;
};
