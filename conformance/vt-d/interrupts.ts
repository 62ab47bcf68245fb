// Interrupt remapping entries as software keeps them, and interrupt requests of every form.
// VT-d 4.1, Interrupt Remapping Table Entry; Interrupt Request Formats on Intel 64 Platforms; SDM volume 3, Message Signalled Interrupts.

import { bit, message, REG } from './bits.ts';
import type { How } from './choices.ts';
import { afterInterrupt } from './invalidate.ts';
import { able, addressOf, gpa, is, PAGES, peek, pick, poke, type Software, write } from './software.ts';

/** S field: 2^(S+1) entries. */
export const tableSize = 3;
export const entries: number = 2 ** (tableSize + 1);
const indices: readonly number[] = [0, 1, 2, entries - 1, 3, 4, 7, entries - 2];
/** Handles of messages: also one past the table, and the largest. */
const handles: readonly number[] = [...indices, entries, 0x7fff, 0xffff, 0x8000];
const vectors: readonly number[] = [0x20, 0x21, 0x3f, 0x40, 0x41, 0x5e, 0x7f, 0x80, 0x81, 0x9c, 0xa5, 0xbf, 0xd0, 0xe7, 0xef, 0xfe];
const n = (v: number, shift: number): bigint => BigInt(v) << BigInt(shift);

/** Bits of `fields`: FPD; level; what a target shows that sees everything: destination, mode, delivery, hint; posted; then how the source is validated. */
export const setEntry = (
  sw: Software,
  c: { readonly index: number; readonly vector: number; readonly fields: number; readonly source: number; readonly how: How },
): void => {
  if (!sw.facts.remaps) return;
  const index = pick(indices, c.index) ?? 0;
  const at = addressOf(PAGES.interrupts) + 16 * index;
  const vector = pick(vectors, c.vector) ?? 0x20;
  const f = (b: number): boolean => (c.fields & (1 << b)) !== 0;
  const destination = sw.shows && sw.rich && f(2) ? (sw.facts.extendedInterrupts && f(3) ? 0x1_0203 : 0x11) : 0;
  const old = peek(sw, at);
  const present = !f(7) || c.fields % 3 !== 0;
  let low = (present ? 1n : 0n) | (f(0) ? 2n : 0n) | n(vector, 16);
  if (sw.facts.posted && f(5)) {
    const posted = BigInt(addressOf(PAGES.posted) + 64 * (c.source % 4));
    low |= bit(15) | (f(1) ? bit(14) : 0n) | ((posted & 0xffff_ffc0n) << 32n);
    if (peek(sw, Number(posted) + 32) === 0n)
      poke(sw, Number(posted) + 32, n(0xe1, 16) | (f(4) ? 2n : 0n) | n(sw.facts.extendedInterrupts && f(3) ? 1 : 0, 32));
  } else {
    low |= (f(1) ? bit(4) : 0n) | (sw.rich && f(3) ? bit(2) : 0n) | (sw.rich && f(4) ? bit(3) : 0n) | (sw.rich && f(6) ? n(1, 5) : 0n);
    low |= is(sw, 'CFI') || !extended(sw) ? n(destination & 0xff, 40) : n(destination, 32);
  }
  const device = pick(sw.devices, c.source);
  const sid = device?.requester.sourceId ?? 0;
  // No check, this requester's, this one's but other function numbers, a range of buses, somebody else's.
  const check = c.source % 5;
  const validation =
    check === 1
      ? bit(18) | n(sid, 0)
      : check === 2
        ? bit(18) | n(1 + (c.vector % 3), 16) | n(sid ^ (c.vector % 8), 0)
        : check === 3
          ? bit(19) | n(sid >> 8, 8) | n((sid >> 8) + (c.vector % 2), 0)
          : check === 4
            ? bit(18) | n(sid ^ 0x0100, 0)
            : 0n;
  poke(sw, at, low, validation);
  afterInterrupt(sw, index, c.how, (old & 1n) !== 0n);
};
/** IRTA_REG.EIME as the player sets it: wherever there is EIM. */
export const extended = (sw: Software): boolean => sw.facts.extendedInterrupts;

/** Forms: remappable, remappable with a subhandle, compatibility. */
export const send = (
  sw: Software,
  c: { readonly requester: number; readonly index: number; readonly sub: number; readonly form: number },
): void => {
  const device = able(sw, c.requester, 'msi');
  if (device === undefined || !sw.shows) return;
  const handle = pick(handles, c.index) ?? 0;
  // Without remapping every message is of the compatibility format.
  const form = is(sw, 'IRE') ? c.form : 2;
  if (form === 2) {
    const vector = pick(vectors, c.index + c.sub) ?? 0x20;
    sw.out.push({ do: 'msi.send', requester: device.index, address: message, data: vector });
    return;
  }
  const sub = form === 1 ? bit(3) : 0n;
  const address = message | n(handle & 0x7fff, 5) | bit(4) | sub | (handle & 0x8000 ? bit(2) : 0n);
  sw.out.push({ do: 'msi.send', requester: device.index, address, data: c.sub });
};

/** The table's address, size and mode; taken by SIRTP. */
export const pointToTable = (sw: Software): void =>
  write(sw, REG.IRTA, 8, BigInt(gpa(addressOf(PAGES.interrupts))) | n(tableSize, 0) | (extended(sw) ? bit(11) : 0n));
