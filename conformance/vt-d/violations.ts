// The ways in which a program can break a rule that binds software, once and on purpose; each is tagged with the duty it breaks.
// VT-d 4.1, Register Descriptions; Global Command Register; Queued Invalidation Interface. Past them only survival is owed.

import { bit, REG } from './bits.ts';
import { SRIOV } from './devices.ts';
import { submit, waiting } from './invalidate.ts';
import { addressOf, PAGES, persistent, read, type Software, turn, write } from './software.ts';

/** Breaks its duty; false: it does not fit here. */
type Violation = (sw: Software, n: number) => boolean;

const sizes: readonly (readonly [at: number, write: boolean])[] = [
  [REG.FECTL, true],
  [REG.IECTL, true],
  [REG.GCMD, true],
  [REG.FEADDR, true],
  [REG.IEADDR, true],
  [REG.FECTL, false],
  [REG.GCMD, false],
  [REG.PECTL, true],
];
const violations: Readonly<Record<string, Violation>> = {
  'vt-d.driver.width': (sw, n) => {
    const [at, writes] = sizes[n % sizes.length] ?? [REG.FECTL, true];
    if (writes) write(sw, at, 8, (BigInt(n) << 33n) | bit(31) | sw.commands);
    else read(sw, at, 8);
    return true;
  },
  'vt-d.driver.one-command': (sw, n) => {
    const both = persistent('TE') | persistent(n % 2 === 0 && sw.facts.remaps ? 'CFI' : 'SRTP');
    write(sw, REG.GCMD, 4, sw.commands ^ both);
    read(sw, REG.GSTS, 4);
    return true;
  },
  'vt-d.driver.command-done': (sw) => {
    write(sw, REG.GCMD, 4, sw.commands ^ persistent('TE'));
    write(sw, REG.GCMD, 4, sw.commands);
    read(sw, REG.GSTS, 4);
    return true;
  },
  'vt-d.driver.pointer-first': (sw, n) => {
    if (!sw.offers('vt-d.reset')) return false;
    sw.out.push({ do: 'vtd.reset' });
    sw.commands = 0n;
    sw.queue.on = false;
    sw.remaps = false;
    turn(sw, n % 2 === 1 && sw.facts.remaps ? 'IRE' : 'TE', true);
    return true;
  },
  'vt-d.driver.queue-idle': (sw, n) => {
    if (!sw.facts.queue) return false;
    if (sw.queue.on) {
      // A descriptor that no unit takes keeps the queue busy.
      submit(sw, [[0n, 0n], waiting(sw, true, false)]);
      turn(sw, 'QIE', false);
    } else {
      write(sw, REG.IQA, 8, BigInt(addressOf(PAGES.queue)));
      write(sw, REG.IQT, 8, BigInt(16 * (1 + n)));
      turn(sw, 'QIE', true);
    }
    sw.queue.on = !sw.queue.on;
    return true;
  },
  'vt-d.driver.queue-address': (sw, n) => {
    if (!sw.queue.on) return false;
    write(sw, REG.IQA, 8, BigInt(addressOf(PAGES.queue)) | BigInt(n % 8) | (n % 2 === 1 ? bit(11) : 0n));
    submit(sw, [waiting(sw, true, false)]);
    return true;
  },
  'vt-d.driver.one-door': (sw, n) => {
    if (!sw.queue.on) return false;
    if (n % 2 === 0) write(sw, REG.CCMD, 8, bit(63) | bit(61));
    else write(sw, sw.facts.invalidateAt + 8, 8, bit(63) | bit(60));
    read(sw, n % 2 === 0 ? REG.CCMD : sw.facts.invalidateAt + 8, 8);
    return true;
  },
  'vt-d.driver.invalidation-done': (sw, n) => {
    if (sw.queue.on) return false;
    const at = n % 2 === 0 ? REG.CCMD : sw.facts.invalidateAt + 8;
    for (let i = 0; i < 2; i++) write(sw, at, 8, bit(63) | bit(n % 2 === 0 ? 61 : 60));
    read(sw, at, 8);
    return true;
  },
  'vt-d.driver.virtual-functions': (sw, n) => {
    const physical = sw.devices.find((d) => sw.devices.some((v) => v.requester.physical === d.index));
    if (physical === undefined) return false;
    const set = (at: number, value: number): void => {
      sw.out.push({ do: 'function.config.write', requester: physical.index, at, width: 2, value });
    };
    set(SRIOV.control, n % 2 === 0 ? 9 : 0);
    set(SRIOV.number, n % 2 === 0 ? 1 : 100);
    set(SRIOV.control, 9);
    return true;
  },
};

/** Duties that a program can break. */
export const DUTIES: readonly string[] = Object.keys(violations);

/** At most one a program. */
export const violate = (sw: Software, duty: string, n: number): void => {
  const violation = violations[duty];
  if (violation === undefined || sw.violated) return;
  sw.violated = violation(sw, n);
};
