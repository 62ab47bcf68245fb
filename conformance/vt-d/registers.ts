// What software does with registers alone: looks, clears faults, sets up events, gives commands, stops the queue with a bad descriptor.
// VT-d 4.1, Register Descriptions. One command at a time, the others as GSTS_REG has them.

import { bit, mask, message, REG } from './bits.ts';
import type { COMMANDS, InitChoice, Look, QUEUE_FAULTS } from './choices.ts';
import { pointToTable } from './interrupts.ts';
import { everything, invalidate, resume, submit, waiting } from './invalidate.ts';
import { addressOf, allocate, is, once, PAGES, read, type Software, turn, write } from './software.ts';
import { request } from './requests.ts';
import type { Space } from './software.ts';

export const look = (sw: Software, at: Look): void => {
  const { facts } = sw;
  switch (at) {
    case 'faults':
      read(sw, REG.FSTS, 4);
      for (let i = 0; i < Math.min(4, facts.faultRecords); i++) {
        read(sw, facts.faultAt + 16 * i, 8);
        read(sw, facts.faultAt + 16 * i + 8, 8);
      }
      return;
    case 'status':
      read(sw, REG.GSTS, 4);
      read(sw, REG.GCMD, 4);
      return;
    case 'queue':
      if (!facts.queue) return;
      read(sw, REG.IQH, 8);
      read(sw, REG.IQT, 8);
      read(sw, REG.IQA, 8);
      read(sw, REG.ICS, 4);
      read(sw, REG.IQERCD, 8);
      return;
    case 'rest':
      read(sw, REG.GSTS, 4);
      for (const r of [REG.CCMD, facts.invalidateAt, facts.invalidateAt + 8]) read(sw, r, 8);
      if (facts.pageRequests) read(sw, REG.PRS, 4);
      if (facts.lowProtected || facts.highProtected) read(sw, REG.PMEN, 4);
      return;
    case 'events':
      for (const r of [REG.FECTL, REG.FEDATA, REG.FEADDR]) read(sw, r, 4);
      if (facts.queue) for (const r of [REG.IECTL, REG.IEDATA, REG.IEADDR]) read(sw, r, 4);
      return;
    case 'identity':
      read(sw, REG.VER, 4);
      read(sw, REG.CAP, 8);
      read(sw, REG.ECAP, 8);
      read(sw, REG.CAP + 4, 4);
      return;
    case 'tables':
      read(sw, REG.RTADDR, 8);
      if (facts.remaps) read(sw, REG.IRTA, 8);
      return;
    case 'protected':
      for (const r of [REG.PMEN, REG.PLMBASE, REG.PLMLIMIT]) read(sw, r, 4);
      return;
    case 'requests':
      if (!facts.pageRequests) return;
      for (const r of [REG.PQH, REG.PQT, REG.PQA]) read(sw, r, 8);
      read(sw, REG.PRS, 4);
      read(sw, REG.PECTL, 4);
  }
};

/** F of a record; a record's upper half by two words; PFO; all of FSTS; ICS; PRS. */
export const clear = (sw: Software, what: number): void => {
  look(sw, 'faults');
  const { facts } = sw;
  const record = facts.faultAt + 16 * (what % Math.min(2, facts.faultRecords));
  switch (what) {
    case 0:
    case 1:
      write(sw, record + 8, 8, bit(63));
      break;
    case 2:
      write(sw, record + 12, 4, bit(31));
      break;
    case 3:
      write(sw, REG.FSTS, 4, 1n);
      break;
    case 4:
      for (let i = 0; i < Math.min(8, facts.faultRecords); i++) write(sw, facts.faultAt + 16 * i + 12, 4, bit(31));
      write(sw, REG.FSTS, 4, 1n);
      break;
    case 5:
      // Zeros clear nothing, and PPF cannot be cleared by itself.
      write(sw, REG.FSTS, 4, 2n);
      write(sw, record + 8, 8, 0n);
      break;
    case 6:
      if (facts.queue) write(sw, REG.ICS, 4, 1n);
      read(sw, REG.ICS, 4);
      return;
    default:
      if (facts.pageRequests) write(sw, REG.PRS, 4, 3n);
      else write(sw, REG.FSTS, 4, 0n);
  }
  read(sw, REG.FSTS, 4);
};

export const setEvent = (sw: Software, which: number, masked: boolean, vector: number): void => {
  const kinds = [REG.FECTL, ...(sw.facts.queue ? [REG.IECTL] : []), ...(sw.facts.pageRequests ? [REG.PECTL] : [])];
  const control = kinds[which % kinds.length] as number;
  // Events reach a processor only where somebody sees them; elsewhere they stay masked.
  if (!sw.shows && !masked) return;
  write(sw, control + 4, 4, BigInt(0x61 + 0x20 * (which % kinds.length) + vector));
  write(sw, control + 8, 4, message);
  write(sw, control, 4, masked ? mask : 0n);
  read(sw, control, 4);
};

/** Queue address and tail, then QIE. */
export const startQueue = (sw: Software): void => {
  if (!sw.facts.queue || sw.queue.on) return;
  sw.queue = { on: true, wide: sw.scalable, slots: sw.scalable ? 128 : 256, tail: 0, stuck: undefined };
  write(sw, REG.IQT, 8, 0n);
  write(sw, REG.IQA, 8, BigInt(addressOf(PAGES.queue)) | (sw.scalable ? bit(11) : 0n));
  turn(sw, 'QIE', true);
};
/** All descriptors done, the last one a wait; then QIE off. */
const stopQueue = (sw: Software): void => {
  resume(sw);
  submit(sw, [waiting(sw, true, false)]);
  read(sw, REG.IQH, 8);
  turn(sw, 'QIE', false);
  sw.queue.on = false;
};
export const startInterrupts = (sw: Software): void => {
  if (!sw.facts.remaps || !sw.queue.on || sw.remaps) return;
  sw.remaps = true;
  pointToTable(sw);
  once(sw, 'SIRTP');
  invalidate(sw, [{ what: 'interrupts' }]);
  turn(sw, 'IRE', true);
};
export const setRoot = (sw: Software): void => {
  write(sw, REG.RTADDR, 8, BigInt(addressOf(PAGES.root)) | (sw.scalable ? bit(10) : 0n));
  once(sw, 'SRTP');
  everything(sw);
};

export const command = (sw: Software, what: (typeof COMMANDS)[number]): void => {
  switch (what) {
    case 'translation':
      return turn(sw, 'TE', !is(sw, 'TE'));
    case 'root':
      return setRoot(sw);
    case 'queue':
      // Scalable mode has no other way to invalidate, and remapping none at all.
      if (!sw.queue.on) return startQueue(sw);
      return sw.scalable || sw.remaps ? undefined : stopQueue(sw);
    case 'interrupts':
      if (!sw.remaps) return startInterrupts(sw);
      return turn(sw, 'IRE', !is(sw, 'IRE'));
    case 'table':
      if (!sw.remaps) return;
      pointToTable(sw);
      once(sw, 'SIRTP');
      return invalidate(sw, [{ what: 'interrupts' }]);
    case 'compatibility':
      return sw.facts.remaps && sw.remaps ? turn(sw, 'CFI', !is(sw, 'CFI')) : undefined;
    case 'reserved-mode':
    case 'abort-mode':
      // Translation table mode 10b or 11b for one request; then the root is as before.
      if (!sw.rich || !sw.facts.scalable) return;
      write(sw, REG.RTADDR, 8, BigInt(addressOf(PAGES.root)) | (what === 'abort-mode' ? bit(11) | bit(10) : bit(11)));
      once(sw, 'SRTP');
      request(sw, 'write', 0, { at: 0, offset: 0, load: 'word', pasid: 0, flags: 0 });
      clear(sw, 4);
      return setRoot(sw);
    case 'flush':
      return sw.facts.writeBuffers ? once(sw, 'WBF') : undefined;
  }
};

/** A descriptor that no unit takes, between two good ones; looks at what stopped; it is mended before the queue is used again. */
export const stopWith = (sw: Software, fault: (typeof QUEUE_FAULTS)[number], n: number): void => {
  const { queue, facts } = sw;
  if (!queue.on) return;
  resume(sw);
  const bad = ((): readonly [bigint, bigint] => {
    switch (fault) {
      case 'type':
        return [[10n, 11n, 12n, 15n][n % 4] ?? 15n, 0n];
      case 'zero':
        return [0n, 0n];
      case 'late-type':
        return [BigInt(6 + (n % 3)), 0n];
      case 'reserved':
        return n % 2 === 0 ? [1n | bit(4) | bit(50 + (n % 14)), 0n] : [2n | bit(4) | bit(32 + n), 0n];
      case 'granularity':
        return [BigInt(1 + (n % 2)), 0n];
      case 'mask':
        return [2n | (3n << 4n) | bit(16), BigInt(Math.min(63, facts.maximumMask + 1))];
      case 'status':
        return [5n | bit(5) | (0x1234n << 32n), BigInt(addressOf(PAGES.status)) | BigInt(1 + (n % 3))];
    }
  })();
  // Types 6 to 8 are no mistake where the queue is wide: then the granularity is.
  if (fault === 'mask' && facts.maximumMask >= 63) return;
  submit(sw, [waiting(sw, true, false)]);
  queue.stuck = queue.tail;
  submit(sw, [bad, waiting(sw, true, false)]);
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
  read(sw, REG.IQH, 8);
  read(sw, REG.IQERCD, 8);
};

/** Low protected memory: everything that there is, since it is less than any alignment. */
export const shield = (sw: Software, on: boolean): void => {
  if (!sw.facts.lowProtected) return;
  write(sw, REG.PLMBASE, 4, 0n);
  write(sw, REG.PLMLIMIT, 4, 0n);
  write(sw, REG.PMEN, 4, on ? bit(31) : 0n);
  read(sw, REG.PMEN, 4);
};

const domains = (sw: Software, n: number): readonly number[] => {
  const top = Math.min(sw.facts.domains, 0x1_0000) - 1;
  const sets = [
    [1, 2, 3, 4],
    [top, 1, 2, 3],
    [sw.facts.cachingMode ? 5 : 0, 1, 2, 3],
    [5, 1, 4, 6],
    [top - 1, top, 7, 8],
    [1, 3, 5, 9],
    [8, 0x10 % (top + 1) || 9, 2, 3],
    [2, 1, 3, 4],
  ];
  return sets[n % sets.length] ?? [1, 2, 3, 4];
};
/** Tables of nothing, the queue, remapping of interrupts, the root. */
export const prepare = (sw: Software, c: InitChoice): void => {
  const { facts } = sw;
  sw.scalable = c.scalable && facts.scalable && (facts.secondStage || facts.firstStage);
  const ids = domains(sw, c.domain);
  const levels = facts.levels[c.levels % Math.max(1, facts.levels.length)] ?? 4;
  const add = (kind: Space['kind'], index: number, deep: number): void => {
    const root = allocate(sw);
    if (root !== undefined)
      sw.spaces.push({ index, kind, domain: ids[index % 4] ?? 1, levels: deep, root, mappings: [], past: [], large: [] });
  };
  if (!sw.scalable || facts.secondStage) for (const i of [0, 1]) add('second', i, levels);
  if (!sw.scalable) add('second', 2, levels);
  if (sw.scalable && facts.firstStage) for (const i of [2, 3]) add('first', i, facts.fiveLevel && c.levels % 2 === 1 ? 5 : 4);
  if (c.queue || sw.scalable) startQueue(sw);
  setRoot(sw);
  if (c.remaps) startInterrupts(sw);
};
