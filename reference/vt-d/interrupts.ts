// Decides what becomes of an interrupt request: delivered as it is, remapped by a table entry, posted to a descriptor, or blocked with a fault.
// VT-d 4.1, Interrupt Remapping; Interrupt Posting; fault reasons 20H to 28H.

import { inside, load32, store } from '../memory.ts';
import { interruptSlot } from './caches.ts';
import { deliver } from './events.ts';
import { recordInterruptFault } from './faults.ts';
import { functionMask } from './invalidate.ts';
import { GSTS_REG, get } from './registers.ts';
import type { Unit } from './unit.ts';

/** GSTS_REG. */
const IRES = 1 << 25;
const CFIS = 1 << 23;
/** Message address. */
const REMAPPABLE = 1 << 4;
const SUBHANDLE_VALID = 1 << 3;
/** Word 0 of an entry. */
const PRESENT = 1;
const FPD = 2;
const POSTED = 1 << 15;
const URGENT = 1 << 14;
/** Bits that must be 0: remapped 14:12 and 31:24; posted 7:2, 13:12 and 31:24. */
const RESERVED_REMAPPED = 0xff00_7000;
const RESERVED_POSTED = 0xff00_30fc;

/** A 4-byte write of `data` to FEEx_xxxxH. Whether an interrupt came of it. */
export const interruptRequest = (unit: Unit, sourceId: number, address: number, data: number): boolean => {
  const status = get(unit.registers, GSTS_REG);
  if ((status & IRES) === 0) {
    deliver(unit, address, data, 0);
    return true;
  }
  if ((address & REMAPPABLE) === 0) {
    if (unit.extendedInterrupts || (status & CFIS) === 0) return blocked(unit, sourceId, 0, 0x25, false);
    deliver(unit, address, data, 0);
    return true;
  }
  if ((address & SUBHANDLE_VALID) !== 0 && data >>> 16 !== 0) return blocked(unit, sourceId, 0, 0x20, false);
  const handle = ((address >>> 5) & 0x7fff) | ((address & 4) << 13);
  const index = (address & SUBHANDLE_VALID) !== 0 ? handle + (data & 0xffff) : handle;
  if (index >= unit.interruptEntries) return blocked(unit, sourceId, index & 0xffff, 0x21, false);

  const slot = interruptSlot(unit.caches, index);
  if (slot.index !== index) {
    const at = unit.interruptPage * 4096 + index * 16;
    if (unit.interruptPage >= unit.profile.hostPages) return blocked(unit, sourceId, index, 0x21, false);
    if (!inside(unit.memory, at, 16)) return blocked(unit, sourceId, index, 0x23, false);
    for (let i = 0; i < 4; i += 1) slot.words[i] = load32(unit.memory, at + 4 * i);
    // Without caching mode an entry that is not present is not kept.
    slot.index = ((slot.words[0] ?? 0) & PRESENT) !== 0 || unit.profile.cachingMode ? index : -1;
  }
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = slot.words;
  const quiet = (w0 & FPD) !== 0;
  if ((w0 & PRESENT) === 0) return blocked(unit, sourceId, index, 0x22, quiet);
  const posted = (w0 & POSTED) !== 0;
  const invalid = (): boolean => {
    slot.index = unit.profile.cachingMode ? index : -1;
    return blocked(unit, sourceId, index, 0x24, quiet);
  };
  if (posted) {
    if (!unit.profile.posted || (w0 & RESERVED_POSTED) !== 0 || (w1 & 0x3f) !== 0 || (w2 & 0xfff0_0000) !== 0) return invalid();
  } else {
    const delivery = (w0 >>> 5) & 7;
    if ((w0 & RESERVED_REMAPPED) !== 0 || (w2 & 0xfff0_0000) !== 0 || w3 !== 0) return invalid();
    if (!unit.extendedInterrupts && (w1 & 0xffff_00ff) !== 0) return invalid();
    if (delivery === 3 || delivery === 6) return invalid();
  }
  if (!sourceValid(w2, sourceId)) return blocked(unit, sourceId, index, 0x26, quiet);
  if (posted) return post(unit, sourceId, index, w0, w1, w3);
  unit.see({
    saw: 'apic.interrupt',
    vector: (w0 >>> 16) & 0xff,
    delivery: (w0 >>> 5) & 7,
    destination: unit.extendedInterrupts ? w1 : (w1 >>> 8) & 0xff,
    logical: (w0 & 4) !== 0,
    level: (w0 & 0x10) !== 0,
    redirectionHint: (w0 & 8) !== 0,
  });
  return true;
};

const blocked = (unit: Unit, sourceId: number, index: number, reason: number, faultsDisabled: boolean): false => {
  recordInterruptFault(unit, sourceId, index, reason, faultsDisabled);
  return false;
};

/** SVT in bits 19:18, SQ in 17:16, SID in 15:0. */
const sourceValid = (w2: number, sourceId: number): boolean => {
  const sid = w2 & 0xffff;
  switch ((w2 >>> 18) & 3) {
    case 0:
      return true;
    case 1: {
      const mask = functionMask((w2 >>> 16) & 3);
      return (sid & mask) === (sourceId & mask);
    }
    case 2: {
      const bus = sourceId >>> 8;
      return bus >= sid >>> 8 && bus <= (sid & 0xff);
    }
    default:
      return false;
  }
};

/** Word 8 of a posted-interrupt descriptor: ON, SN; NV in bits 23:16. Word 9: NDST. */
const OUTSTANDING = 1;
const SUPPRESSED = 2;

const post = (unit: Unit, sourceId: number, index: number, w0: number, w1: number, w3: number): boolean => {
  const { memory } = unit;
  const quiet = (w0 & FPD) !== 0;
  const at = w3 * 2 ** 32 + (w1 & 0xffff_ffc0) + ((w1 & 0xffff_ffc0) < 0 ? 2 ** 32 : 0);
  if (!inside(memory, at, 64)) return blocked(unit, sourceId, index, 0x27, quiet);
  const control = load32(memory, at + 32);
  const destination = load32(memory, at + 36);
  let reserved = control & 0xff00_fffc;
  for (let i = 40; i < 64; i += 4) reserved |= load32(memory, at + i);
  if (reserved !== 0) return blocked(unit, sourceId, index, 0x28, quiet);

  const vector = (w0 >>> 16) & 0xff;
  const notify = (control & OUTSTANDING) === 0 && ((control & SUPPRESSED) === 0 || (w0 & URGENT) !== 0);
  // One read-modify-write of the whole descriptor.
  const bytes = memory.bytes.slice(at, at + 64);
  bytes[vector >> 3] = (bytes[vector >> 3] ?? 0) | (1 << (vector & 7));
  if (notify) bytes[32] = (bytes[32] ?? 0) | OUTSTANDING;
  store(memory, at, bytes);
  if (!notify) return true;
  unit.see({
    saw: 'apic.interrupt',
    vector: (control >>> 16) & 0xff,
    delivery: 0,
    destination: unit.extendedInterrupts ? destination : (destination >>> 8) & 0xff,
    logical: false,
    level: false,
    redirectionHint: false,
  });
  return true;
};
