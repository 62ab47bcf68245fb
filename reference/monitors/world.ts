// Decides what a monitor has: a processor to run guests on, host memory with a window that is the guest's, and the state the guest believes in.
// Goldberg 1973, Architectural Principles for Virtual Computer Systems: guest-physical memory is mapped into the host's, guest rings onto ring 3.

import { type Cpu, createCpu } from '../processor/cpu.ts';
import { type Blocks, newBlocks } from '../processor/decode.ts';
import { createRam, type Ram } from '../processor/ram.ts';

const PAGE = 4096;
/** Pages of nobody on both sides of the guest's window. */
const SURROUND = 16;
/** What they are filled with: code that stops, a descriptor that is none. */
export const POISON = 0xf4;
/** Pages for shadow page tables. */
const TABLES = 64;
/** Pages of the monitor's own, in this order, then the tables. */
export const IDT_PAGE = 0;
export const GDT_PAGE = 1;
export const LDT_PAGE = 2;
export const TSS_PAGE = 3;
const OWN = 4;

/** A shadow page-table entry that stands for one of the virtual processor's translations. */
export interface Shadowed {
  readonly slot: number;
  readonly lo: number;
  readonly hi: number;
  readonly frame: number;
}
export interface World {
  /** All memory; the guest's window starts at `base`, the monitor's own pages at `own`, tables from `tables` on. */
  readonly host: Ram;
  readonly guest: Ram;
  readonly base: number;
  readonly own: number;
  readonly tables: number;
  /** The processor as the guest believes it to be; the emulator works on it. */
  readonly v: Cpu;
  /** The processor there is: the guest runs on it at CPL 3. General and floating-point registers are the same in both. */
  readonly c: Cpu;
  /** Code as the emulator and as the processor have decoded it. */
  readonly emulated: Blocks;
  readonly native: Blocks;
  readonly shadowed: Shadowed[];
  /** First free page for tables. */
  next: number;
  /** Of what the tables stand for now: size of code segment addresses and class of access; -1: of nothing. */
  context: number;
  /** CR4.UMIP stays set while the guest runs. */
  readonly umip: boolean;
  /** DPL of descriptors before ring compression, by index: GDT, then LDT. */
  readonly levels: Uint8Array;
  /** Versions of the guest's pages from which the descriptors were compressed. */
  readonly sources: { readonly page: number; version: number }[];
  tablesKey: string;
}

export const createWorld = (size: number, umip: boolean, port: Cpu['port']): World => {
  // Below its base no address is one of the guest's in host memory, so that one log of stores holds both kinds.
  const base = size;
  const own = base + size + SURROUND * PAGE;
  const tables = own + OWN * PAGE;
  const host = createRam(tables + TABLES * PAGE);
  host.bytes.fill(POISON, 0, own);
  const [first, pages] = [base / PAGE, size / PAGE];
  const guest: Ram = {
    size,
    bytes: host.bytes.subarray(base, base + size),
    view: new DataView(host.bytes.buffer, base, size),
    flags: host.flags.subarray(first, first + pages),
    versions: host.versions.subarray(first, first + pages),
    dirty: [],
    registers: [],
    log: host.log,
    poked: host.poked,
    pokes: 0,
    known: false,
    codeChanged: false,
  };
  // The real TSS has no I/O permission bitmap: every port traps. SDM volume 1, I/O Permission Bit Map.
  host.view.setUint16(own + TSS_PAGE * PAGE + 102, 0xffff, true);
  const v = createCpu(guest, port);
  const c = createCpu(host, () => {
    throw new Error('a guest reached a port of the host');
  });
  const { r, r8, r16, r64, x87, xmm } = v;
  Object.assign(c, { r, r8, r16, r64, x87, xmm });
  return {
    host,
    guest,
    base,
    own,
    tables,
    v,
    c,
    emulated: newBlocks(),
    native: newBlocks(),
    shadowed: [],
    next: tables,
    context: -1,
    umip,
    levels: new Uint8Array(2 * 512),
    sources: [],
    tablesKey: '',
  };
};
