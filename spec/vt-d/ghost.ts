// What is known of a remapping unit: registers, commands, tables over time, caches, faults, queue, interrupts, requests under way.
// Where an implementation is free, all states still possible are kept, and what is seen narrows them.

import type { Granted } from '../units.ts';
import type { Open } from './changes.ts';
import type { Caches } from './caches.ts';
import { newCaches } from './caches.ts';
import type { FaultState } from './faults.ts';
import { firstFaults } from './faults.ts';
import type { Abilities, Register } from './layout.ts';
import { abilities, registersOf } from './layout.ts';
import type { Line } from './line.ts';
import { newLine } from './line.ts';
import type { Functions } from './functions.ts';
import { newFunctions } from './functions.ts';
import type { Queue } from './queue-state.ts';
import { newQueue } from './queue-state.ts';
import type { Pending } from './request.ts';
import type { Message, Seen, Sent } from './messages.ts';
import type { Asking } from './translation.ts';
import type { PageQueue } from './page-queue.ts';
import { newPageQueue } from './page-queue.ts';
import type { Devices } from './ats.ts';
import { newDevices } from './ats.ts';
import type { Tables } from './tables.ts';
import { newTables } from './tables.ts';
import type { VtdMachine } from './vocabulary.ts';

/** A pointer register as it was latched. */
export interface Pointer {
  readonly value: bigint;
  readonly until: number;
}
/** One 32-bit half: which register it belongs to, what software stored in it, and whether it was written since reset. */
export interface Cell {
  readonly register: Register;
  readonly stored: number;
  /** Of these, the bits whose value is judged. */
  readonly judged: number;
  readonly zero: number;
  readonly fixed: number | undefined;
  value: number;
  written: boolean;
  /** Read before: read-only registers stay the same. */
  seen: number | undefined;
}
/** Bytes that something the unit was asked for may put into memory. */
export interface Expected {
  readonly at: bigint;
  readonly bytes: Uint8Array;
  readonly by: 'dma' | 'status' | 'page-request' | 'posted';
  /** The request whose bytes these are. */
  readonly pending?: Pending;
  /** The rule that forbids that they come here. */
  readonly rule?: string;
  /** The invalidation wait that writes them, by its number. */
  readonly wait?: number;
  /** It may be left out. */
  readonly optional?: true;
  readonly time: number;
  seen: boolean;
}
export interface VtdGhost {
  readonly machine: VtdMachine;
  readonly a: Abilities;
  /** Counts events: the time of the versions of tables. */
  time: number;
  readonly cells: Map<number, Cell>;
  /** GSTS_REG as known. */
  gsts: number;
  /** A command whose completion was not seen yet: the bit of GSTS_REG it changes, and its new value. */
  command: { readonly bit: number; readonly set: boolean; readonly time: number; settled: boolean } | undefined;
  /** Register-based invalidations that were not seen complete. */
  contextCommand: { readonly value: bigint; readonly time: number; readonly legacy: boolean; settled: boolean } | undefined;
  iotlbCommand:
    | { readonly value: bigint; readonly iva: bigint; readonly time: number; readonly legacy: boolean; settled: boolean }
    | undefined;
  /** IVA_REG as written; it reads as zero. */
  iva: bigint;
  readonly tables: Tables;
  readonly caches: Caches;
  /** By domain-id: the tables that walks used under it, and when last. */
  readonly domains: Map<number, Map<string, number>>;
  roots: Pointer[];
  interruptTables: Pointer[];
  /** When the last former interrupt table was replaced that is no longer among them: what was read from it is not known. */
  interruptTablesLost: number;
  faults: FaultState[];
  /** Why the fault records are not known. */
  faultsUnknown: string | undefined;
  /** Nothing that may end in a fault was asked for since the unit was at rest. */
  quiet: boolean;
  /** The last fault that FPD kept from being recorded. */
  suppressed: { readonly sourceId: number; readonly reasons: readonly number[] } | undefined;
  readonly queue: Queue;
  readonly completion: Line;
  /** Why the completion event is not known. */
  completionUnknown: string | undefined;
  readonly page: Line;
  readonly pageQueue: PageQueue;
  readonly devices: Devices;
  readonly functions: Functions;
  pending: Pending | undefined;
  /** Requests whose effects may still show. */
  open: Open[];
  /** Table entries that walks may have flagged since memory was last compared. */
  touched: { readonly at: bigint; readonly may: bigint }[];
  /** A translation was asked for whose way is not known: it may have flagged any entry. */
  flagged: boolean;
  /** Memory changes are told by comparing, so that one may be told late. */
  readonly compared: boolean;
  expected: Expected[];
  /** Stretches that software or others wrote since: an expected write there may be gone. */
  overwritten: { readonly at: bigint; readonly end: bigint; readonly time: number }[];
  sent: Sent[];
  /** Interrupts seen since the last stimulus. */
  arrivals: Seen[];
  /** Whether all interrupts since the last settle were somebody's. */
  asked: 'all' | 'unsure';
  /** What the unit's own events were programmed to send before, since the unit was at rest. */
  readonly programmed: Map<number, Message[]>;
  /** Own events whose message arrived since the last settle. */
  readonly ownArrived: Map<'fault' | 'completion' | 'page', number>;
  /** Those that a message counted for another may have been. */
  readonly ownPerhaps: Set<'fault' | 'completion' | 'page'>;
  /** Alignment of the protected regions, found by writing ones to their base. */
  readonly alignment: Map<number, bigint>;
  /** PRS of PMEN_REG has had time to follow EPM. */
  pmenRested: boolean;
  /** Lower halves of registers whose upper half carries a command. */
  readonly lower: Map<number, bigint>;
  /** The translation request under way. */
  asking: Asking | undefined;
}
const low32 = (x: bigint): number => Number(x & 0xffffffffn);
const cellsOf = (a: Abilities): Map<number, Cell> => {
  const cells = new Map<number, Cell>();
  for (const register of registersOf(a))
    for (let i = 0; i < register.width; i += 4) {
      const shift = BigInt(i * 8);
      cells.set(register.at + i, {
        register,
        stored: low32(register.stored >> shift),
        judged: low32((register.judged ?? register.stored) >> shift),
        zero: low32(register.zero >> shift),
        fixed: register.fixed === undefined ? undefined : low32(register.fixed >> shift),
        // Interrupt masks are set by reset.
        value: /^[FIP]ECTL_REG$/.test(register.name) ? 0x80000000 : 0,
        written: false,
        seen: undefined,
      });
    }
  return cells;
};
const none: VtdMachine = { cap: 0n, ecap: 0n, hostAddressWidth: 39, requesters: [] };
export const initial = (granted: Granted): VtdGhost => {
  const machine = granted.vtd ?? none;
  const a = abilities(machine);
  return {
    machine,
    a,
    time: 0,
    cells: cellsOf(a),
    gsts: 0,
    command: undefined,
    contextCommand: undefined,
    iotlbCommand: undefined,
    iva: 0n,
    tables: newTables(a.rwbf),
    caches: newCaches(),
    domains: new Map(),
    roots: [{ value: 0n, until: Infinity }],
    interruptTables: [{ value: 0n, until: Infinity }],
    interruptTablesLost: -1,
    faults: firstFaults(a.records),
    faultsUnknown: undefined,
    quiet: true,
    suppressed: undefined,
    queue: newQueue(),
    completion: newLine(),
    completionUnknown: undefined,
    page: newLine(),
    pageQueue: newPageQueue(),
    devices: newDevices(),
    functions: newFunctions(),
    pending: undefined,
    open: [],
    touched: [],
    flagged: false,
    compared: granted.memory.seen !== 'ordered',
    expected: [],
    overwritten: [],
    sent: [],
    arrivals: [],
    asked: 'all',
    programmed: new Map(),
    ownArrived: new Map(),
    ownPerhaps: new Set(),
    alignment: new Map(),
    pmenRested: true,
    lower: new Map(),
    asking: undefined,
  };
};
/** Hardware reset: everything but memory and the clock starts over. */
export const restart = (g: VtdGhost, granted: Granted): void => {
  const { time, functions } = g;
  Object.assign(g, initial(granted), { time, functions });
};
/** A register's value as software stored it. */
export const stored32 = (g: VtdGhost, at: number): number => g.cells.get(at)?.value ?? 0;
export const stored64 = (g: VtdGhost, at: number): bigint => (BigInt(stored32(g, at + 4) >>> 0) << 32n) | BigInt(stored32(g, at) >>> 0);

export const TES: number = 31;
export const RTPS: number = 30;
export const QIES: number = 26;
export const IRES: number = 25;
export const IRTPS: number = 24;
export const CFIS: number = 23;
export const status = (g: VtdGhost, n: number): boolean => ((g.gsts >>> n) & 1) === 1;
