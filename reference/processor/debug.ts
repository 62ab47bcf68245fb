// Decides which addresses the debug registers watch: instruction breakpoints as faults before, data and I/O breakpoints as traps after.
// SDM volume 3, Debug Registers; Debug Exceptions.

import { CR4_DE, DB, RF } from './bits.ts';
import type { Cpu, Watch } from './cpu.ts';
import { raiseWithoutResume } from './fault.ts';
import { high, low } from './halves.ts';

/** R/W field of DR7: 0 fetch, 1 data write, 2 I/O (with CR4.DE; else undefined, here nothing), 3 data read or write. LEN: 1, 2, 8, 4 bytes. */
const LENGTHS = [1, 2, 8, 4] as const;
const enabled = (c: Cpu, i: number): boolean => ((c.dr7 >>> (2 * i)) & 3) !== 0;
const kindOf = (c: Cpu, i: number): number => (c.dr7 >>> (16 + 4 * i)) & 3;
const lengthOf = (c: Cpu, i: number): number => LENGTHS[((c.dr7 >>> (18 + 4 * i)) & 3) as 0 | 1 | 2 | 3];

export const codeBreakpoints = (c: Cpu): boolean => {
  for (let i = 0; i < 4; i++) if (enabled(c, i) && kindOf(c, i) === 0) return true;
  return false;
};
/** After a change of a debug register. Translations of watched pages are not kept, so the caller flushes. */
export const debugRegisters = (c: Cpu): void => {
  if ((c.dr7 & 0xff) === 0) {
    if (c.watches.length !== 0) c.watches = [];
    return;
  }
  const watches: Watch[] = [];
  for (let i = 0; i < 4; i++) {
    const kind = kindOf(c, i);
    if (!enabled(c, i) || (kind !== 1 && kind !== 3)) continue;
    // The low bits below the length are ignored.
    const length = lengthOf(c, i);
    const at = c.dr[i]! & ~BigInt(length - 1);
    const [lo, hi] = [low(at), high(at)];
    watches.push({ lo, hi, length, write: true, read: kind === 3, index: i });
  }
  c.watches = watches;
  c.attention = 1;
};
/** #DB before the instruction at that linear address, if a breakpoint is there and RF does not suppress it. */
export const checkFetch = (c: Cpu, lo: number, hi: number): void => {
  if ((c.flags & RF) !== 0) return;
  let hit = 0;
  for (let i = 0; i < 4; i++)
    if (enabled(c, i) && kindOf(c, i) === 0 && c.dr[i] === BigInt.asUintN(64, (BigInt(hi) << 32n) | BigInt(lo >>> 0))) hit |= 1 << i;
  if (hit === 0) return;
  debugStatus(c, hit);
  raiseWithoutResume(DB);
};
/** DR6: B3–B0 say which condition met; the others stay until software clears them. */
export const debugStatus = (c: Cpu, bits: number): void => {
  c.dr6 = (c.dr6 & ~15) | bits;
};
export const checkPort = (c: Cpu, port: number, width: number): void => {
  if ((c.dr7 & 0xff) === 0 || (c.cr4 & CR4_DE) === 0) return;
  for (let i = 0; i < 4; i++) {
    if (!enabled(c, i) || kindOf(c, i) !== 2) continue;
    const at = Number(c.dr[i]! & 0xffffn) & ~(lengthOf(c, i) - 1);
    if (port < at + lengthOf(c, i) && at < port + width) {
      c.debug |= 1 << i;
      c.attention = 1;
    }
  }
};
