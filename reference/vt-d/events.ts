// Decides when the unit raises its own interrupts: fault, invalidation completion, page request; masked, pending, sent.
// VT-d 4.1, Hardware Generation of events, Fault Event Control Register and its two siblings.

import { inside, store32 } from '../memory.ts';
import {
  FECTL_REG,
  FSTS_REG,
  get,
  ICS_REG,
  IECTL_REG,
  INTERRUPT_MASK,
  INTERRUPT_PENDING,
  PECTL_REG,
  PRS_REG,
  type Registers,
  set,
} from './registers.ts';
import type { EventName, Unit } from './unit.ts';

/** FSTS_REG. */
export const PFO: number = 1 << 0;
export const PPF: number = 1 << 1;
export const IQE: number = 1 << 4;
export const ICE: number = 1 << 5;
export const ITE: number = 1 << 6;
const FAULT_STATUS = PFO | PPF | IQE | ICE | ITE;
/** ICS_REG.IWC. */
const IWC = 1;
/** PRS_REG. */
export const PPR = 1;
export const PRO = 2;

/** Control registers and the status that each event stands for. */
const controls: Readonly<Record<EventName, number>> = { fault: FECTL_REG, completion: IECTL_REG, page: PECTL_REG };
const statuses: Readonly<Record<EventName, readonly [at: number, bits: number]>> = {
  fault: [FSTS_REG, FAULT_STATUS],
  completion: [ICS_REG, IWC],
  page: [PRS_REG, PPR | PRO],
};

const quiet = (registers: Registers, event: EventName): boolean => {
  const [at, bits] = statuses[event];
  return (get(registers, at) & bits) === 0;
};

/** Sets status bits; it is a new interrupt condition only when none of them was set. */
export const signal = (unit: Unit, event: EventName, bits: number): void => {
  const { registers } = unit;
  const fresh = quiet(registers, event);
  const [at] = statuses[event];
  set(registers, at, get(registers, at) | bits);
  if (!fresh) return;
  const control = controls[event];
  if ((get(registers, control) & INTERRUPT_MASK) !== 0) set(registers, control, get(registers, control) | INTERRUPT_PENDING);
  else sendEvent(unit, event);
};

/** After software cleared status: with nothing left to service, nothing is pending. */
export const serviced = (unit: Unit, event: EventName): void => {
  const control = controls[event];
  if (quiet(unit.registers, event)) set(unit.registers, control, get(unit.registers, control) & ~INTERRUPT_PENDING);
};

/** After software wrote the control register: unmasking sends what is pending. */
export const unmasked = (unit: Unit, event: EventName): void => {
  const { registers } = unit;
  const control = controls[event];
  const value = get(registers, control);
  if ((value & INTERRUPT_MASK) !== 0 || (value & INTERRUPT_PENDING) === 0) return;
  set(registers, control, value & ~INTERRUPT_PENDING);
  sendEvent(unit, event);
};

/** FEEx_xxxxH. */
export const INTERRUPT_RANGE = 0xfee;
/** The unit's own messages are not remapped. */
const sendEvent = (unit: Unit, event: EventName): void => {
  const control = controls[event];
  const data = get(unit.registers, control + 4);
  const address = get(unit.registers, control + 8);
  const upper = get(unit.registers, control + 12);
  if (address >>> 20 === INTERRUPT_RANGE) {
    deliver(unit, address, data, upper & 0xffff_ff00, event);
    return;
  }
  // A message address elsewhere is a write like any other.
  const at = upper * 2 ** 32 + address;
  if (inside(unit.memory, at, 4)) store32(unit.memory, at, data);
};

/** A message as it stands reaches the interrupt fabric. SDM volume 3, Message Address and Message Data Register Format. */
export const deliver = (unit: Unit, address: number, data: number, upper: number, event?: EventName): void => {
  unit.see({
    saw: 'apic.interrupt',
    vector: data & 0xff,
    delivery: (data >>> 8) & 7,
    destination: (upper | ((address >>> 12) & 0xff)) >>> 0,
    logical: (address & 4) !== 0,
    level: (data & 0x8000) !== 0,
    redirectionHint: (address & 8) !== 0,
    ...(event === undefined ? {} : { event }),
  });
};
