// Decides what a logical processor's state is and how it lies in memory: 64-bit registers as pairs of 32-bit halves over one buffer.
// SDM volume 1, Basic Program Execution Registers; volume 3, System-Level Registers and Data Structures.

import type { Ram } from './ram.ts';

/** A segment register with its hidden part, and what is derived from it. Also LDTR and TR. */
export interface Seg {
  selector: number;
  /** Base, low and high half. */
  lo: number;
  hi: number;
  /** In bytes, 0 to 2^32-1. */
  limit: number;
  /** As the VMCS access-rights field: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16. */
  access: number;
  /** READABLE, WRITABLE: whether loads and stores are allowed through it at all. */
  rights: number;
  /** Offsets lower…upper exist. */
  lower: number;
  upper: number;
}
export const READABLE = 1;
export const WRITABLE = 2;

export const RCX = 1;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;

export interface Watch {
  readonly lo: number;
  readonly hi: number;
  readonly length: number;
  readonly write: boolean;
  readonly read: boolean;
  readonly index: number;
}
/** What is decoded once and run many times. */
export interface Op {
  readonly run: (c: Cpu) => void;
  readonly lo: number;
  readonly hi: number;
  readonly nextLo: number;
  readonly nextHi: number;
  /** Whether `run` leaves the instruction pointer where execution goes on. */
  readonly jumps: boolean;
  /** The last of its block. */
  readonly ends: boolean;
}
export interface Cpu {
  readonly ram: Ram;
  /** The sixteen general registers, low and high half of each. */
  readonly r: Int32Array;
  readonly r8: Uint8Array;
  readonly r16: Uint16Array;
  readonly r64: BigUint64Array;
  /** ZF: z = 0. SF: s < 0. PF: even parity of p's low byte. CF: bit 31 of c; OF: bit 31 xor bit 30 of c. AF: bit 4 of a. */
  z: number;
  s: number;
  p: number;
  c: number;
  a: number;
  /** The other bits of RFLAGS, in place. */
  flags: number;
  ipLo: number;
  ipHi: number;
  /** High half of the last 64-bit value that a function returned. */
  hi: number;
  /** High half of the last linear address that a function returned, and the exception if it is not canonical: #GP or #SS. */
  ah: number;
  av: number;
  readonly seg: readonly [Seg, Seg, Seg, Seg, Seg, Seg];
  readonly ldtr: Seg;
  readonly tr: Seg;
  gdtLo: number;
  gdtHi: number;
  gdtLimit: number;
  idtLo: number;
  idtHi: number;
  idtLimit: number;
  cr0: number;
  cr2: bigint;
  cr3: bigint;
  cr4: number;
  cr8: number;
  efer: number;
  readonly dr: [bigint, bigint, bigint, bigint];
  dr6: number;
  dr7: number;
  /** Model-specific registers without a field of their own. */
  readonly msr: Map<number, bigint>;
  star: bigint;
  lstar: bigint;
  cstar: bigint;
  sfmask: bigint;
  kernelGsBase: bigint;
  sysenterCs: bigint;
  sysenterEsp: bigint;
  sysenterEip: bigint;
  tscAux: bigint;
  tscOffset: bigint;
  /** The PDPTE registers of PAE paging. */
  readonly pdpte: [bigint, bigint, bigint, bigint];
  cpl: number;
  /** Size of code: 16, 32 or 64. */
  code: 16 | 32 | 64;
  /** IA32_EFER.LMA; protected mode; virtual-8086 mode. */
  lma: boolean;
  protect: boolean;
  v86: boolean;
  /** Mask of the stack pointer: 16 or 32 bits; in 64-bit mode unused. */
  stack32: boolean;
  // Translations that loads, stores and fetches may use without a walk.
  readonly tagLo: Int32Array;
  readonly tagHi: Int32Array;
  readonly grant: Int32Array;
  readonly page: Int32Array;
  /** 1: stays when CR3 is loaded. */
  readonly global: Uint8Array;
  /** How many have come since all were gone, and which as long as they are few: a short program forgets no more than it has learnt. */
  fills: number;
  readonly filled: Int32Array;
  /** A translation may be one of several of a large page. */
  large: boolean;
  /** Bits of a grant that a load, a store and a fetch need now. */
  needRead: number;
  needWrite: number;
  needFetch: number;
  /** Set for accesses that are supervisor-mode whatever the CPL: descriptor tables, TSS. */
  implicit: boolean;
  readonly scratch: Uint8Array;
  readonly scratchView: DataView;
  /** The operation that runs, and the block it stands in. */
  op: Op;
  ops: readonly Op[];
  /** Not 0: something is to be done at the next instruction boundary. */
  attention: number;
  shadow: number;
  /** Debug conditions that are reported as a trap at the next boundary, as bits of DR6. */
  debug: number;
  /** Set by an instruction after which TF does not trap: it went through the IDT, or cleared TF in a system call. */
  untraced: boolean;
  /** Set by a task switch that is past the point of no return: an exception is saved with the instruction pointer as it is. */
  moved: boolean;
  watches: readonly Watch[];
  halted: boolean;
  shutdown: boolean;
  /** Vector of an external interrupt that waits, or -1. */
  interrupt: number;
  nmi: boolean;
  nmiBlocked: boolean;
  /** Instructions that may still complete; accesses that may still be made by repeated instructions. */
  left: number;
  done: number;
  iterations: number;
  readonly port: (port: number, width: 1 | 2 | 4, direction: 'in' | 'out', value: number) => number;
  x87: { control: number; status: number; tag: number };
  readonly xmm: Uint8Array;
  mxcsr: number;
  xcr0: bigint;
  /** The local APIC, where one is plugged in. */
  apic: Apic | undefined;
}
export interface Apic {
  /** The vector that is to be delivered, or -1. */
  readonly waiting: () => number;
  readonly accept: () => number;
  /** Lets the timer run to instruction number `now`. */
  readonly tick: (now: number) => void;
  /** When the timer next expires, or -1. */
  readonly deadline: () => number;
  priority: number;
}

/** Instructions completed before the one that runs: `done` is brought up to date only where blocks end. */
export const completed = (c: Cpu): number => c.done + Math.max(0, c.ops.indexOf(c.op));

/** The entries of the translation cache: direct-mapped by page number. */
export const TLB = 1024;
export const FEW = 64;
export const newSeg = (): Seg => ({ selector: 0, lo: 0, hi: 0, limit: 0xffff, access: 0x93, rights: 3, lower: 0, upper: 0xffff });
const noOp: Op = { run: () => {}, lo: 0, hi: 0, nextLo: 0, nextHi: 0, jumps: false, ends: true };

export const createCpu = (ram: Ram, port: Cpu['port']): Cpu => {
  const registers = new ArrayBuffer(128);
  const scratch = new Uint8Array(64);
  return {
    ram,
    r: new Int32Array(registers),
    r8: new Uint8Array(registers),
    r16: new Uint16Array(registers),
    r64: new BigUint64Array(registers),
    z: 1,
    s: 0,
    p: 1,
    c: 0,
    a: 0,
    flags: 2,
    ipLo: 0,
    ipHi: 0,
    hi: 0,
    ah: 0,
    av: 13,
    seg: [newSeg(), newSeg(), newSeg(), newSeg(), newSeg(), newSeg()],
    ldtr: newSeg(),
    tr: newSeg(),
    gdtLo: 0,
    gdtHi: 0,
    gdtLimit: 0xffff,
    idtLo: 0,
    idtHi: 0,
    idtLimit: 0xffff,
    cr0: 0x6000_0010,
    cr2: 0n,
    cr3: 0n,
    cr4: 0,
    cr8: 0,
    efer: 0,
    dr: [0n, 0n, 0n, 0n],
    dr6: 0xffff_0ff0 | 0,
    dr7: 0x400,
    msr: new Map(),
    star: 0n,
    lstar: 0n,
    cstar: 0n,
    sfmask: 0n,
    kernelGsBase: 0n,
    sysenterCs: 0n,
    sysenterEsp: 0n,
    sysenterEip: 0n,
    tscAux: 0n,
    tscOffset: 0n,
    pdpte: [0n, 0n, 0n, 0n],
    cpl: 0,
    code: 16,
    lma: false,
    protect: false,
    v86: false,
    stack32: false,
    tagLo: new Int32Array(TLB),
    tagHi: new Int32Array(TLB),
    grant: new Int32Array(TLB),
    page: new Int32Array(TLB),
    global: new Uint8Array(TLB),
    fills: 0,
    filled: new Int32Array(FEW),
    large: false,
    needRead: 1,
    needWrite: 2,
    needFetch: 4,
    implicit: false,
    scratch,
    scratchView: new DataView(scratch.buffer),
    op: noOp,
    ops: [],
    attention: 0,
    shadow: 0,
    debug: 0,
    untraced: false,
    moved: false,
    watches: [],
    halted: false,
    shutdown: false,
    interrupt: -1,
    nmi: false,
    nmiBlocked: false,
    left: 0,
    done: 0,
    iterations: 0,
    port,
    x87: { control: 0x37f, status: 0, tag: 0xffff },
    xmm: new Uint8Array(256),
    mxcsr: 0x1f80,
    xcr0: 1n,
    apic: undefined,
  };
};
