// Puts the agent together: its code and own descriptor table, the machine's memory with the agent's stops in it, the cases; and the 2-MiB ROM that
// replaces a BIOS.

import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { assembler } from './assembler.ts';
import { dirtyFlags, type EntryWidth } from './dirty.ts';
import { emitReset, emitStart, emitStartBody, emitUnpack, payloadAt, payloadCases, payloadMagic } from './entries.ts';
import { emitExited } from './escape.ts';
import { emitLand, emitLandings, stopStub } from './land.ts';
import { emitLaunch } from './launch.ts';
import { emitLoop } from './loop.ts';
import { agentCode, agentCodeEnd, base8086, compared, controlAt, magic, ownGdt, ownGdtLimit, ownStackSelector, vars } from './map.ts';
import { emitSend } from './serial.ts';
import { usualState } from './state.ts';

/** The agent's 64 KiB at `agentCode`: code, variables, tables; and bytes of code. */
export const agentBytes = (machine: MachineConfig): { readonly bytes: Uint8Array; readonly code: number } => {
  const a = assembler(agentCode, agentCode);
  emitLandings(a);
  emitStart(a);
  emitStartBody(a);
  emitLaunch(a);
  emitLand(a);
  const width = entryWidth(machine);
  emitLoop(a, width);
  emitExited(a);
  emitSend(a);
  const code = a.finish();
  if (agentCode + code.length > agentCodeEnd) throw new Error(`the agent has ${code.length} bytes of code: too many`);
  const bytes = new Uint8Array(0x10000);
  const view = new DataView(bytes.buffer);
  bytes.set(code);
  const put = (at: number, value: bigint): void => view.setBigUint64(at - agentCode, value, true);
  // As bootGdt, then the segments that lead to real-address mode, and the machine's own TSS and LDT so that LTR and LLDT load them.
  for (const [selector, value] of [
    [0x08, 0x00cf9b000000ffffn],
    [0x10, 0x00af9b000000ffffn],
    [0x18, 0x00cf93000000ffffn],
    [0x60, 0x00009b030000ffffn],
    [0x68, 0x000093030000ffffn],
    [ownStackSelector, 0x00cf93000000ffffn],
  ] as const)
    put(ownGdt + selector, value);
  const table = imageBytes(machine).subarray(0x1000, 0x1000 + 0x60);
  bytes.set(table.subarray(0x40, 0x60), ownGdt - agentCode + 0x40);
  const tableRegister = (at: number, base: number, limit: number): void => {
    view.setUint16(at - agentCode, limit, true);
    put(at + 2, BigInt(base));
  };
  tableRegister(vars.ownGdtr, ownGdt, ownGdtLimit);
  tableRegister(vars.ownIdtr, 0, 0);
  put(vars.fillWord, BigInt(machine.fill) * 0x0101_0101_0101_0101n);
  put(vars.dirtyFlags, dirtyFlags(width));
  put(vars.flat + base8086, 1n);
  return { bytes, code: code.length };
};

const imageBytes = (machine: MachineConfig): Uint8Array => {
  const bytes = new Uint8Array(compared).fill(machine.fill);
  for (const piece of machine.image ?? []) bytes.set(piece.bytes, Number(piece.at));
  return bytes;
};
/** The machine's memory as programs find it, stops included. */
export const machineBytes = (machine: MachineConfig): Uint8Array => {
  const bytes = imageBytes(machine);
  const { mode, stops } = machine.cpu as CpuMachine;
  const kind = mode === 'real' ? 'real' : mode === 'long64' || mode === 'compat' ? 'long' : 'legacy';
  for (let i = 0; i < stops.count; i++) {
    const where = Number(stops.at) + stops.stride * i;
    bytes.set(stopStub(where, i, kind), where);
  }
  return bytes;
};

/** Bytes of an entry of the machine's page table. */
export const entryWidth = (machine: MachineConfig): EntryWidth => {
  const { paging } = machine.cpu as CpuMachine;
  return paging === 'none' ? undefined : paging === '32-bit' ? 4 : 8;
};
/** A bit for each page of the machine that holds something else than its fill byte. */
export const furnishedPages = (machine: MachineConfig, bytes: Uint8Array): bigint => {
  let pages = 0n;
  for (let at = 0; at < compared; at += 0x1000)
    if (bytes.subarray(at, at + 0x1000).some((byte) => byte !== machine.fill)) pages |= 1n << BigInt(at >> 12);
  return pages;
};

export interface PayloadOptions {
  /** Send results over the serial port. */
  readonly serial?: boolean;
  /** A reset that follows shutdown ends one case, not the run: memory stands and the start-up code runs again. */
  readonly resume?: boolean;
  /** High byte of the interval timer's count for each case (1.193182 MHz); absent: none. */
  readonly watchdog?: number;
  /** Cases to a group, of which most memory is compared once; absent: all of it after each case, as is needed where results leave at once. */
  readonly group?: number;
}
/** Everything that a start needs, one blob: header and control, agent, memory, cases. */
export const payload = (machine: MachineConfig, cases: readonly Uint8Array[], options: PayloadOptions): Uint8Array => {
  const size = cases.reduce((sum, c) => sum + c.length, 0);
  const bytes = new Uint8Array(payloadCases + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(payloadAt.magic, payloadMagic, true);
  const control = (at: number, value: number): void => view.setUint32(payloadAt.control + at, value, true);
  control(controlAt.magic, magic);
  control(controlAt.cases, cases.length);
  control(controlAt.casesAt, payloadCases);
  control(controlAt.serial, options.serial === true ? 1 : 0);
  control(controlAt.resume, options.resume === true ? 1 : 0);
  control(controlAt.watchdog, options.watchdog ?? 0);
  control(controlAt.group, options.group ?? 0);
  const agent = agentBytes(machine);
  bytes.set(agent.bytes, payloadAt.agent);
  view.setUint32(payloadAt.agentSize, (agent.code + 3) >> 2, true);
  bytes.set(usualState(machine), payloadAt.usual);
  bytes.set(machineBytes(machine), payloadAt.image);
  let at = payloadCases;
  for (const c of cases) {
    bytes.set(c, at);
    at += c.length;
  }
  return bytes;
};

/** Bochs takes no larger ROM. */
export const romSize: number = 2 << 20;
const bootSize = 0x10000;
/** Room for cases in a ROM, bytes. */
export const romRoom: number = romSize - bootSize - payloadCases;
/** 0.4 ms of guest time: some 20,000 instructions where a second has 50 million, ten times what a case may take. */
const whole: PayloadOptions = { resume: true, watchdog: 0x02 };
/** By how a start runs its cases. */
export const emulated: Readonly<Record<'grouped' | 'whole' | 'patient', PayloadOptions>> = {
  grouped: { ...whole, group: 32 },
  whole,
  patient: { ...whole, watchdog: 0x03 },
};
/** The ROM for the top of 4 GiB: payload first, start-up code in the last 64 KiB. Throws where the cases do not fit. */
export const rom = (machine: MachineConfig, cases: readonly Uint8Array[], options: PayloadOptions = emulated.grouped): Uint8Array => {
  const bytes = new Uint8Array(romSize);
  const blob = payload(machine, cases, options);
  if (blob.length > romSize - bootSize)
    throw new Error(`the cases need ${blob.length - payloadCases} bytes; a ROM has room for ${romRoom}`);
  bytes.set(blob);
  const base = 0x1_0000_0000 - bootSize;
  const a = assembler(base, base);
  emitReset(a, 0x1_0000_0000 - romSize);
  emitUnpack(a);
  bytes.set(a.finish(), romSize - bootSize);
  // At the reset vector: a near jump to offset 0 of the segment whose base the processor starts with.
  bytes.set([0xe9, (0x10000 - 0xfff3) & 0xff, ((0x10000 - 0xfff3) >> 8) & 0xff], romSize - 16);
  return bytes;
};
