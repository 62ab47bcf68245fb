// Decides how a fault is recorded: whether at all, in which register, what stands in it, what overflows.
// VT-d 4.1, Fault Logging: Primary Fault Logging; Fault Recording Registers.

import { PFO, PPF, serviced, signal } from './events.ts';
import { FSTS_REG, get, set } from './registers.ts';
import { NO_PASID, type Request, type Unit } from './unit.ts';

/** Fault reasons that FPD never silences: what was met before any FPD could be known. VT-d 4.1, Fault Reason Encodings; QEMU vtd_qualified_faults. */
const unqualified: ReadonlySet<number> = new Set([
  0x01, 0x08, 0x09, 0x0a, 0x20, 0x21, 0x23, 0x25, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3a, 0x40, 0x50, 0x58,
]);

/** Bit 31 of the highest word. */
const F = 0x8000_0000;

/** Records a fault of the memory request at hand. */
export const recordFault = (unit: Unit, request: Request, reason: number): void => {
  if (request.faultsDisabled && !unqualified.has(reason)) return;
  const pasid = request.pasid;
  const present = pasid !== NO_PASID;
  record(
    unit,
    request.low << 12,
    (request.high << 12) | (request.low >>> 20),
    request.sourceId |
      ((request.kind & 1) << 28) |
      (present && request.privileged ? 1 << 29 : 0) |
      (present && request.execute ? 1 << 30 : 0) |
      (present ? F : 0),
    reason | (present ? pasid << 8 : 0) | (request.type << 28) | ((request.kind & 2) << 29),
  );
};

/** Records a fault of an interrupt request: its index stands in bits 63:48. */
export const recordInterruptFault = (unit: Unit, sourceId: number, index: number, reason: number, faultsDisabled: boolean): void => {
  if (faultsDisabled && !unqualified.has(reason)) return;
  record(unit, 0, index << 16, sourceId, reason);
};

const record = (unit: Unit, w0: number, w1: number, w2: number, w3: number): void => {
  const { registers, profile } = unit;
  // 1. Nothing is recorded while overflow stands.
  if ((get(registers, FSTS_REG) & PFO) !== 0) return;
  const at = profile.faultAt + 16 * unit.faultIndex;
  // 2. The register that is next still holds a pending fault.
  if ((get(registers, at + 12) & F) !== 0) {
    signal(unit, 'fault', PFO);
    return;
  }
  // 3.
  set(registers, at, w0);
  set(registers, at + 4, w1);
  set(registers, at + 8, w2);
  set(registers, at + 12, w3 | F);
  const index = unit.faultIndex;
  unit.faultIndex = (index + 1) % profile.faultRecords;
  if ((get(registers, FSTS_REG) & PPF) === 0) {
    set(registers, FSTS_REG, (get(registers, FSTS_REG) & ~0xff00) | (index << 8));
    signal(unit, 'fault', PPF);
  }
};

/** After software cleared F of a record: PPF is the logical OR of all F. */
export const recordCleared = (unit: Unit): void => {
  const { registers, profile } = unit;
  for (let n = 0; n < profile.faultRecords; n += 1) if ((get(registers, profile.faultAt + 16 * n + 12) & F) !== 0) return;
  set(registers, FSTS_REG, get(registers, FSTS_REG) & ~PPF);
  serviced(unit, 'fault');
};
