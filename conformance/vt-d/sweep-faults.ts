// Sweeps of what a unit tells: every field of a fault record, records that are filled, cleared and filled again, events masked and not.
// VT-d 4.1, Primary Fault Logging; Fault Event Control Register and its sibling for completions.

import { bit, mask, message, REG } from './bits.ts';
import { submit, waiting } from './invalidate.ts';
import { tell } from './scenes.ts';
import { is, peek, poke, read, type Software, turn, write } from './software.ts';
import { deviceOf, flush, lay, pathOf, push, some, span, within } from './sweep-path.ts';

/** Faults of a device that no entry is for, at addresses of every bit, with every PASID bit and every attribute. */
export const faultFields = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, ...(n % 2 === 1 ? (['pasid', 'execute'] as const) : []));
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  const { index: requester } = device;
  const can = (what: 'pasid' | 'execute' | 'atomic' | 'read'): boolean => device.requester.can.includes(what);
  within(sw, device, () => {
    const was = peek(sw, spots.context);
    // Nothing there; or PASIDs are not enabled.
    poke(sw, spots.context, sw.scalable && n % 4 > 1 ? was & ~8n : 0n);
    flush(sw);
    for (const k of some(span(63, 12), n, 1)) {
      push(sw, device, bit(k) | 0x7c4n);
      if (can('atomic') && k % 8 === 0) sw.out.push({ do: 'dma.atomic', requester, at: bit(k) as never, width: 8, operand: 1n });
      if (can('read') && k % 3 === 0) sw.out.push({ do: 'dma.read', requester, at: bit(k) as never, length: 8 });
      tell(sw);
    }
    if (can('pasid'))
      for (const k of span(19, 0)) {
        const pasid = 1 << k;
        if (can('execute') && k % 2 === 0) {
          sw.out.push({ do: 'dma.read', requester, at: 0x1000n as never, length: 4, pasid, privileged: k % 4 === 0, execute: true });
          tell(sw);
        }
        push(sw, device, 0x2000n, { pasid, ...(can('execute') && k % 3 === 0 ? { privileged: true } : {}) });
        tell(sw);
      }
    poke(sw, spots.context, was);
  });
  return true;
};
/** More faults than records, of two devices by turns; records are cleared out of order, and filled again. */
export const ring = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n);
  const { faultAt, faultRecords } = sw.facts;
  if (device === undefined || path === undefined || faultRecords > 8) return false;
  const spots = lay(sw, device, path);
  const look = (): void => {
    read(sw, REG.FSTS, 4);
    for (let i = 0; i < faultRecords; i++) {
      read(sw, faultAt + 16 * i, 8);
      read(sw, faultAt + 16 * i + 8, 8);
    }
  };
  within(sw, device, () => {
    poke(sw, spots.context, peek(sw, spots.context) ^ 1n);
    flush(sw);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < faultRecords + 1; i++) {
        push(sw, device, BigInt(0x1000 * (i + 1)));
        look();
      }
      for (let i = 0; i < faultRecords; i++) {
        const k = (i * 3 + n + round) % faultRecords;
        // By both halves, the upper one, or the whole of it with zeros elsewhere.
        if (i % 2 === 0) write(sw, faultAt + 16 * k + 12, 4, bit(31));
        else write(sw, faultAt + 16 * k + 8, 8, bit(63));
        write(sw, faultAt + 16 * k, 8, BigInt.asUintN(64, -1n));
        write(sw, faultAt + 16 * k + 8, 4, 0xffff_ffffn);
        look();
      }
      write(sw, REG.FSTS, 4, round === 1 ? 2n : 1n);
      read(sw, REG.FSTS, 4);
      write(sw, REG.FSTS, 4, 1n);
      read(sw, REG.FSTS, 4);
    }
    // With nothing remapped the next record is the first again.
    const remapping = is(sw, 'IRE');
    push(sw, device, 0x9000n);
    tell(sw);
    turn(sw, 'TE', false);
    if (remapping) turn(sw, 'IRE', false);
    turn(sw, 'TE', true);
    if (remapping) turn(sw, 'IRE', true);
    push(sw, device, 0xa000n);
    tell(sw);
    poke(sw, spots.context, peek(sw, spots.context) ^ 1n);
  });
  return true;
};
/** The message of an event with each bit of its data and address; masked, pending, serviced, sent. */
export const events = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n);
  if (device === undefined || path === undefined || !sw.shows) return false;
  const { facts } = sw;
  const queue = sw.queue.on && n % 2 === 1;
  const control = queue ? REG.IECTL : REG.FECTL;
  const spots = lay(sw, device, path);
  const settle = (): void => void sw.out.push({ do: 'settle' });
  const service = (): void => {
    if (queue) write(sw, REG.ICS, 4, 1n);
    else tell(sw);
    read(sw, control, 4);
  };
  const happen = (): void => {
    if (queue) submit(sw, [waiting(sw, false, true)]);
    else push(sw, device, 0x5000n);
    settle();
  };
  within(sw, device, () => {
    poke(sw, spots.context, peek(sw, spots.context) ^ 1n);
    flush(sw);
    for (const k of [
      0,
      4,
      7,
      8,
      9,
      10,
      14,
      15,
      32 + 2,
      32 + 3,
      ...span(32 + 19, 32 + 12),
      ...(facts.extendedInterrupts ? [72, 80, 95] : []),
    ]) {
      const [data, address, upper] = [k < 32 ? bit(k) : 0n, k >= 32 && k < 64 ? bit(k - 32) : 0n, k >= 64 ? bit(k - 64) : 0n];
      service();
      write(sw, control, 4, mask);
      write(sw, control + 4, 4, data | 0x62n);
      write(sw, control + 8, 4, message | address);
      if (facts.extendedInterrupts) write(sw, control + 12, 4, upper);
      write(sw, control, 4, 0n);
      settle();
      happen();
      read(sw, control, 4);
      // One more while the first is not serviced.
      happen();
      service();
    }
    // Masked: pending until unmasked, or until serviced.
    for (const serviced of [false, true, false]) {
      service();
      write(sw, control, 4, mask);
      happen();
      read(sw, control, 4);
      if (serviced) service();
      settle();
      write(sw, control, 4, 0n);
      settle();
      read(sw, control, 4);
      happen();
    }
    service();
    write(sw, control, 4, mask);
    if (!queue) {
      // Its records alone are cleared: nothing is pending then either.
      happen();
      for (let i = 0; i < facts.faultRecords; i++) write(sw, facts.faultAt + 16 * i + 12, 4, bit(31));
      settle();
      read(sw, control, 4);
    }
    poke(sw, spots.context, peek(sw, spots.context) ^ 1n);
  });
  return true;
};
