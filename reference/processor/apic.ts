// Decides what a local APIC does for one processor: priorities, self-directed interrupts, end of interrupt, and a timer that counts instructions.
// SDM volume 3, Advanced Programmable Interrupt Controller: Local APIC Register Address Map; Handling Interrupts; APIC Timer; Issuing IPIs.

import { type Apic, completed, type Cpu } from './cpu.ts';
import type { Ram } from './ram.ts';

const BASE = 0xfee0_0000;
const ID = 0x20;
const VERSION = 0x30;
const TPR = 0x80;
const PPR = 0xa0;
const EOI = 0xb0;
const LDR = 0xd0;
const DFR = 0xe0;
const SVR = 0xf0;
const ISR = 0x100;
const TMR = 0x180;
const IRR = 0x200;
const ESR = 0x280;
const ICR = 0x300;
const ICR_HIGH = 0x310;
const LVT_TIMER = 0x320;
const LVT_FIRST = 0x320;
const LVT_LAST = 0x370;
const INITIAL = 0x380;
const CURRENT = 0x390;
const DIVIDE = 0x3e0;
const MASKED = 1 << 16;
const PERIODIC = 1 << 17;
const ENABLED = 1 << 8;
/** Version 14H, six LVT entries. */
const VERSION_VALUE = 0x0005_0014;

/** Divide configuration: bits 3, 1:0 are the power of two less 1; 7 is 1. */
const divisorOf = (value: number): number => {
  const n = (value & 3) | ((value >>> 1) & 4);
  return n === 7 ? 1 : 2 << n;
};
const highest = (bits: Int32Array): number => {
  for (let i = 7; i >= 0; i--) if (bits[i] !== 0) return 32 * i + 31 - Math.clz32(bits[i]!);
  return -1;
};

/** Plugs a local APIC in at its usual page. Time is the count of completed instructions. */
export const plugApic = (c: Cpu, ram: Ram): Apic => {
  const registers = new Int32Array(256);
  const [isr, irr] = [new Int32Array(8), new Int32Array(8)];
  registers[SVR >> 4] = 0xff;
  registers[DFR >> 4] = -1;
  for (let at = LVT_FIRST; at <= LVT_LAST; at += 0x10) registers[at >> 4] = MASKED;
  let started = 0;
  let deadline = -1;
  const of = (at: number): number => registers[at >> 4]!;
  const initial = (): number => of(INITIAL) >>> 0;
  const request = (vector: number): void => {
    irr[vector >>> 5]! |= 1 << (vector & 31);
    c.attention = 1;
  };
  /** The higher of the task's class and that of what is in service. */
  const priority = (): number => {
    const [task, service] = [apic.priority & 0xff, Math.max(0, highest(isr))];
    return task >>> 4 >= service >>> 4 ? task : service & 0xf0;
  };
  const arm = (now: number): void => {
    started = now;
    deadline = initial() === 0 ? -1 : now + initial() * divisorOf(of(DIVIDE));
    // The block at hand may be longer than the time that is left.
    c.attention = 1;
  };
  const current = (): number => (deadline < 0 ? 0 : Math.max(0, Math.ceil((deadline - completed(c)) / divisorOf(of(DIVIDE)))));
  const apic: Apic = {
    priority: 0,
    waiting: () => {
      const vector = highest(irr);
      return vector >= 0 && (of(SVR) & ENABLED) !== 0 && vector >>> 4 > priority() >>> 4 ? vector : -1;
    },
    accept: () => {
      const vector = highest(irr);
      irr[vector >>> 5]! &= ~(1 << (vector & 31));
      isr[vector >>> 5]! |= 1 << (vector & 31);
      return vector;
    },
    deadline: () => deadline,
    tick: (now) => {
      if (deadline < 0 || now < deadline) return;
      const timer = of(LVT_TIMER);
      if ((timer & MASKED) === 0) request(timer & 0xff);
      if ((timer & PERIODIC) === 0) deadline = -1;
      else {
        // A late look keeps the beat.
        const period = deadline - started;
        started = deadline;
        while (started + period <= now) started += period;
        deadline = started + period;
      }
    },
  };
  const read = (offset: number): number => {
    const at = offset & 0xff0;
    if (at >= ISR && at < TMR) return isr[(at - ISR) >> 4]!;
    if (at >= IRR && at < ESR) return irr[(at - IRR) >> 4]!;
    switch (at) {
      case VERSION:
        return VERSION_VALUE;
      case TPR:
        return apic.priority;
      case PPR:
        return priority();
      case CURRENT:
        return current() | 0;
      default:
        return of(at);
    }
  };
  /** Only what is directed to this processor arrives: shorthand self or all, or its own identifier. Fixed delivery and NMI. */
  const interprocessor = (value: number): void => {
    const shorthand = (value >>> 18) & 3;
    const here = shorthand === 1 || shorthand === 2 || (shorthand === 0 && of(ICR_HIGH) >>> 24 === of(ID) >>> 24);
    if (!here) return;
    const delivery = (value >>> 8) & 7;
    if (delivery === 4) {
      c.nmi = true;
      c.attention = 1;
    } else if (delivery <= 1 && (value & 0xff) >= 16) request(value & 0xff);
  };
  const write = (offset: number, value: number): void => {
    const at = offset & 0xff0;
    switch (at) {
      case ID:
      case LDR:
        registers[at >> 4] = value & 0xff00_0000;
        return;
      case TPR:
        apic.priority = value & 0xff;
        c.cr8 = apic.priority >>> 4;
        c.attention = 1;
        return;
      case EOI: {
        const vector = highest(isr);
        if (vector >= 0) isr[vector >>> 5]! &= ~(1 << (vector & 31));
        c.attention = 1;
        return;
      }
      case ICR:
        registers[at >> 4] = value & ~(1 << 12);
        interprocessor(value);
        return;
      case INITIAL:
        registers[at >> 4] = value;
        arm(completed(c) + 1);
        return;
      case DIVIDE:
        registers[at >> 4] = value & 11;
        if (deadline >= 0) arm(completed(c) + 1);
        return;
      case SVR:
        registers[at >> 4] = value & 0x3ff;
        // A disabled APIC masks its local sources.
        if ((value & ENABLED) === 0) for (let l = LVT_FIRST; l <= LVT_LAST; l += 0x10) registers[l >> 4]! |= MASKED;
        return;
      default:
        if (at === DFR) registers[at >> 4] = value | 0x0fff_ffff;
        else if (at === ICR_HIGH) registers[at >> 4] = value & 0xff00_0000;
        else if (at >= LVT_FIRST && at <= LVT_LAST) registers[at >> 4] = (of(SVR) & ENABLED) === 0 ? value | MASKED : value;
    }
  };
  ram.registers.push({
    at: BASE,
    length: 0x1000,
    read: (offset, width) => (width === 4 && (offset & 15) === 0 ? read(offset) : read(offset) >>> (8 * (offset & 3))),
    // Accesses other than of 32 bits are undefined: here they are ignored.
    write: (offset, width, value) => {
      if (width === 4 && (offset & 15) === 0) write(offset, value);
    },
  });
  c.apic = apic;
  return apic;
};
