// Breakpoints in the debug registers: which addresses and ports are watched, which accesses of the instruction met them, and what DR6 says of it.
// Intel SDM volume 3, Debug, Profiling, Branches, and Time-Stamp Counter: Debug Control Register (DR7); Breakpoint Field Recognition; Debug Exceptions.

import { cr4 } from './bits.ts';
import type { CpuState } from './vocabulary.ts';
import { in64, leave, low, undecided, type Work } from './work.ts';

/** Bits of DR6 and DR7. Task switch, single step, and general detect: any access to a debug register is #DB. */
export const BT: number = 1 << 15;
export const BS: number = 1 << 14;
export const BD: number = 1 << 13;
export const GD: number = 1 << 13;
const FETCH = 0;
const WRITE = 1;
const PORT = 2;
const ANY = 3;
/** Bytes by the LEN field; 10B is of 8 bytes on some processors and undefined on others. */
const lengths = [1n, 2n, 0n, 4n] as const;

interface Range {
  /** Bit of DR6. */
  readonly bit: number;
  readonly kind: number;
  readonly at: bigint;
  readonly length: bigint;
}
export interface Watch {
  readonly ranges: readonly Range[];
  /** Bits of DR6 of enabled breakpoints; of those met so far. */
  readonly enabled: number;
  met: number;
  /** Memory met one of them, not a port alone. */
  memory: boolean;
  /** The instruction is over: what is accessed now is delivery's. */
  over: boolean;
}
/** Undefined where no breakpoint is enabled, as nearly always. */
export const watchOf = (s: CpuState): Watch | undefined => {
  const control = low(s.dr7);
  if ((control & 0xff) === 0) return undefined;
  const ranges: Range[] = [];
  let enabled = 0;
  for (const [n, address] of [s.dr0, s.dr1, s.dr2, s.dr3].entries()) {
    if (((control >> (2 * n)) & 3) === 0) continue;
    const kind = (control >> (16 + 4 * n)) & 3;
    const length = lengths[(control >> (18 + 4 * n)) & 3] as bigint;
    if (length === 0n || (kind === FETCH && length !== 1n)) return undecided('a breakpoint of a length that is not defined');
    if (kind === PORT && (low(s.cr4) & cr4.DE) === 0) return undecided('an I/O breakpoint without CR4.DE');
    enabled |= 1 << n;
    // The low bits of the address are masked by the length.
    ranges.push({ bit: 1 << n, kind, at: address & ~(length - 1n), length });
  }
  return { ranges, enabled, met: 0, memory: false, over: false };
};
const overlaps = (r: Range, at: bigint, size: number): boolean => at < r.at + r.length && r.at < at + BigInt(size);
/** An access of the instruction to memory. What tables of its own the processor reads, and what delivery writes, no page says to be watched. */
export const accessed = (watch: Watch, linear: bigint, size: number, write: boolean, implicit: boolean): void => {
  for (const r of watch.ranges) {
    if ((r.kind !== ANY && !(r.kind === WRITE && write)) || !overlaps(r, linear, size)) continue;
    if (implicit || watch.over) undecided('a breakpoint on what the processor accesses of itself');
    watch.met |= r.bit;
    watch.memory = true;
  }
};
/** An access of which no page says whether a breakpoint sees it: undecided where it meets one that nothing before it has met. */
export const perhapsSeen = (w: Work, why: string, access: () => unknown): void => {
  const met = w.watch?.met;
  access();
  if (w.watch?.met !== met) undecided(why);
};
/** A breakpoint on writes alone has been met. */
export const metByWrite = ({ watch }: Work): boolean => watch?.ranges.some((r) => r.kind === WRITE && (watch.met & r.bit) !== 0) === true;
export const portAccessed = (watch: Watch, port: number, size: number): void => {
  for (const r of watch.ranges) if (r.kind === PORT && overlaps({ ...r, at: r.at & 0xffffn }, BigInt(port), size)) watch.met |= r.bit;
};
/** Bits of the breakpoints on the instruction that state `s` is about to execute; none while RF is set. */
export const codeBreakpoints = (watch: Watch, s: CpuState): number => {
  const linear = in64(s) ? s.rip : (s.cs.base + s.rip) & 0xffffffffn;
  let bits = 0;
  for (const r of watch.ranges) if (r.kind === FETCH && r.at === linear) bits |= r.bit;
  if (bits !== 0 && (low(s.rflags) & 0x10000) !== 0) return 0;
  if (bits !== 0 && s.shadow === 'mov-ss') undecided('an instruction breakpoint in the shadow of MOV SS');
  return bits;
};
/** BLD and RTM, active low: 1 where the processor has neither. A debug exception that is no bus lock and in no transactional region sets RTM, and
 *  BLD by some texts. SDM volume 3, Debug Status Register (DR6). */
const ACTIVE_LOW = 0x10800;
/** DR6 after a debug exception. Of a breakpoint that is not enabled the bit may be set; one that was set may stay or be cleared. */
export const setStatus = (w: Work, bits: number, enabled: number): void => {
  const before = low(w.s.dr6);
  w.s.dr6 |= BigInt(bits);
  leave(w, 'dr6', BigInt((0xf & ~enabled) | (before & 0xf & ~bits) | (ACTIVE_LOW & ~before)));
};
