// One run of one case on the vCPU: registers in, exits handled, registers out. Port and memory-mapped I/O reach no device: reads give all ones.
// Emulation that KVM does not do is unsupported, told with the instruction's bytes; it is never taken for the processor's #UD.

import { exits, type Kvm, run } from '../host/kvm.ts';
import { type Frame, frameAt, type Kind, undefinedEverywhere } from './emulated.ts';
import { at, kind, regsWords, sregs, sregsWords } from './layout.ts';
import type { LegacyPaging } from './legacy-paging.ts';
import { createPatience } from './patience.ts';
import { slowRegisters } from './slow-registers.ts';

export interface Stops {
  readonly at: number;
  readonly stride: number;
  readonly count: number;
}
/** `refused`: the guest was never entered. */
export type Ended = { readonly kind: number; readonly stop: number } | { readonly unsupported: string; readonly refused?: true };
export interface Vcpu {
  /** Runs the request at byte `from` of `words` to its end. Port accesses are pushed as two words each, as a record has them. */
  readonly run: (words: Uint32Array, from: number, stops: Stops, ports: number[]) => Ended;
  /** Stores what is seen of the registers into the record at `to`, after the run of the request at `from`. Model-specific and debug registers are asked
   *  for only where told to, or after a task switch, which may raise #DB: nothing else changes them, and asking costs as much as a run. */
  readonly read: (words: Uint32Array, from: number, to: number, msrs: boolean, debug: boolean) => void;
  /** Whether this run of an unsupported case has executed nothing: the registers are those asked for, and no debug exception could come before. */
  readonly stoodStill: (words: Uint32Array, from: number) => boolean;
  /** In place of `read`, after a run that may have changed model-specific or debug registers. */
  readonly doubt: (msrs: boolean, debug: boolean) => void;
}

const portsMax = 4096;
const shutsDown = 'KVM shuts down; this module does so too where it cannot run a guest';
const everySync = 7;
const TF = 0x100;
/** The task register's selector in a request. */
const trAt = at.sregs + 6 * 24 + 12;
/** DR7 with nothing enabled: bit 10 is always set. SDM volume 3, Debug Control Register. */
const quietDr7 = 0x400;
/** struct kvm_vcpu_events: interrupt.shadow at 11, flags at 20; KVM_VCPUEVENT_VALID_NMI_PENDING 1, VALID_SHADOW 4. */
const shadowAt = run.events + 11;
const eventFlagsAt = run.events + 20;
const eventFlags = 5;

/** `emulates`: this module runs all but 64-bit ring 3 in KVM's software emulator (emulated.ts). */
const ssAt = run.sregs + 5 * 24;
const inHex = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
interface Origin {
  readonly frame: Frame;
  readonly kind: Kind;
  readonly code64: boolean;
  readonly bytes: Uint8Array;
}
/** Whether the module lets the processor itself run this request's first instruction: 64-bit code in ring 3, without an interrupt shadow. */
const runsNatively = (words: Uint32Array, from: number): boolean => {
  if (words[(from + at.shadow) >> 2] !== 0) return false;
  const [selector, flags] = [words[(from + at.sregs + 12) >> 2] as number, words[(from + at.sregs + 16) >> 2] as number];
  return (selector & 3) === 3 && ((flags >>> 24) & 1) === 1 && ((words[(from + at.sregs + sregs.efer) >> 2] as number) & 0x400) !== 0;
};
export const openVcpu = (
  kvm: Kvm,
  emulates: boolean,
  paging: LegacyPaging,
  furnished: (at: number, length: number) => boolean,
  dirtied: () => Uint32Array | undefined,
): Vcpu => {
  const { page } = kvm;
  const pageWords = new Uint32Array(page.buffer, page.byteOffset, page.length >> 2);
  const pageQuads = new BigUint64Array(page.buffer, page.byteOffset, page.length >> 3);
  const apicBase = kvm.sregs().readBigUInt64LE(sregs.apicBase);
  const u32 = (offset: number): number => pageWords[offset >> 2] as number;
  pageQuads[run.validRegs >> 3] = BigInt(everySync);

  const slow = slowRegisters(kvm);
  const patience = createPatience(kvm, dirtied);
  const load = (words: Uint32Array, from: number): string | undefined => {
    const breakpoints = (words[(from + at.debug + 40) >> 2] as number) & 0xff;
    if (emulates && breakpoints !== 0) return 'breakpoints in DR7';
    const system = (from + at.sregs) >> 2;
    const paged = ((words[system + (sregs.cr0 >> 2)] as number) & 0x8000_0000) !== 0;
    if (paged && ((words[system + (sregs.efer >> 2)] as number) & 0x400) === 0) {
      const pae = ((words[system + (sregs.cr4 >> 2)] as number) & 0x20) !== 0;
      if (!(pae ? paging.pae : paging.bits32)) return shutsDown;
    }
    const refused = slow.load(words, from);
    if (refused !== undefined) return refused;
    const [regsFrom, sregsFrom] = [(from + at.regs) >> 2, (from + at.sregs) >> 2];
    for (let i = 0; i < regsWords; i++) pageWords[(run.regs >> 2) + i] = words[regsFrom + i] as number;
    for (let i = 0; i < sregsWords; i++) pageWords[(run.sregs >> 2) + i] = words[sregsFrom + i] as number;
    pageQuads[(run.sregs + sregs.apicBase) >> 3] = apicBase;
    pageQuads[run.cr8 >> 3] = pageQuads[(run.sregs + sregs.cr8) >> 3] as bigint;
    page.fill(0, run.events, run.events + 64);
    page[shadowAt] = words[(from + at.shadow) >> 2] as number;
    pageWords[eventFlagsAt >> 2] = eventFlags;
    pageQuads[run.dirtyRegs >> 3] = BigInt(everySync);
    return undefined;
  };

  const allOnes = (size: number): number => (size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1);
  const portAccess = (ports: number[]): void => {
    const [direction, size, port, count] = [
      page[run.exit] ?? 0,
      page[run.exit + 1] ?? 1,
      page.readUInt16LE(run.exit + 2),
      u32(run.exit + 4),
    ];
    const data = Number(page.readBigUInt64LE(run.exit + 8));
    for (let i = 0; i < count; i++) {
      const element = data + i * size;
      if (direction === 0) page.fill(0xff, element, element + size);
      if (ports.length < 2 * portsMax)
        ports.push(port | (size << 16) | (direction === 0 ? 0 : 1 << 31), direction === 0 ? allOnes(size) : page.readUIntLE(element, size));
    }
  };
  const failure = (): string => {
    const suberror = u32(run.exit);
    if (suberror !== 1) return `KVM_EXIT_INTERNAL_ERROR, suberror ${suberror}`;
    const bytes =
      (page[run.exit + 8] ?? 0) & 1
        ? page.subarray(run.exit + 17, run.exit + 17 + Math.min(page[run.exit + 16] ?? 0, 15))
        : new Uint8Array(0);
    return `KVM cannot emulate ${bytes.length === 0 ? 'the instruction' : inHex(bytes)}`;
  };
  /** What KVM owes the interrupted instruction is done before anything else is asked of the vCPU. */
  const settle = (): void => {
    page[run.immediateExit] = 1;
    kvm.enter();
    page[run.immediateExit] = 0;
  };
  /** INT3 ends programs, and the emulator does not have it: KVM is asked to deliver the #BP that it would raise, as a debugger asks.
   *  Only where the gate is open to ring 3, since a delivered #BP asks no gate for its privilege level. */
  const breakpoint = (rip: bigint): void => {
    pageQuads[(run.regs + 128) >> 3] = rip + 1n;
    page.fill(0, run.events, run.events + 64);
    page[run.events] = 1; // exception.injected
    page[run.events + 1] = 3; // exception.nr
    pageWords[eventFlagsAt >> 2] = eventFlags;
  };
  const rip = (): bigint => pageQuads[(run.regs + 128) >> 3] as bigint;
  const long = (): boolean => ((pageQuads[(run.sregs + sregs.efer) >> 3] as bigint) & 0x400n) !== 0n;
  /** Whether delivery of this vector finds the gate that was furnished. Real mode has no gates that could be wrong. */
  const gateAsFurnished = (vector: number): boolean => {
    if (((pageQuads[(run.sregs + sregs.cr0) >> 3] as bigint) & 1n) === 0n) return true;
    const size = long() ? 16 : 8;
    const limit = u32(run.sregs + sregs.idt + 8) & 0xffff;
    return (vector + 1) * size - 1 <= limit && furnished(Number(pageQuads[(run.sregs + sregs.idt) >> 3]) + vector * size, size);
  };
  const gateOpen = (): boolean => {
    if (((pageQuads[(run.sregs + sregs.cr0) >> 3] as bigint) & 1n) === 0n) return true;
    const gate = Number(pageQuads[(run.sregs + sregs.idt) >> 3]) + 3 * (long() ? 16 : 8);
    return gateAsFurnished(3) && ((kvm.memory[gate + 5] ?? 0) & 0xe0) === 0xe0;
  };
  /** Where the exception that has just been delivered came from, and the bytes there; undefined where that cannot be told. */
  const origin = (words: Uint32Array, from: number, errorCode: boolean): Origin | undefined => {
    const word = (offset: number): number => words[(from + offset) >> 2] as number;
    const real = (word(at.sregs + sregs.cr0) & 1) === 0;
    const v86 = (word(at.regs + 136) & 0x20000) !== 0;
    const kindOfFrame: Kind = long() ? 'long' : real ? 'real' : v86 ? 'v86' : 'protected';
    const top = Number(BigInt.asUintN(32, (pageQuads[ssAt >> 3] as bigint) + (pageQuads[(run.regs + 48) >> 3] as bigint)));
    const slot = kindOfFrame === 'long' ? 8 : 4;
    const frame = frameAt(kvm.memory, errorCode && kindOfFrame !== 'real' ? top + slot : top, kindOfFrame);
    if (frame === undefined || (!real && !v86 && frame.cs !== (word(at.sregs + 12) & 0xffff))) return undefined;
    const code64 = ((word(at.sregs + 16) >>> 24) & 1) === 1 && long();
    const base = real || v86 ? BigInt(frame.cs << 4) : code64 ? 0n : BigInt(word(at.sregs));
    const linear = Number(BigInt.asUintN(32, base + frame.rip));
    const bytes = kvm.memory.subarray(linear, linear + 15);
    return { frame, kind: kindOfFrame, code64, bytes };
  };
  /** Where the emulator's #UD for what it cannot do may itself have failed to be delivered, and what arrived is the failure. */
  const mayFollow = (words: Uint32Array, from: number, vector: number): Ended | undefined => {
    if (runsNatively(words, from) || (vector !== 8 && (vector < 10 || vector > 14))) return undefined;
    const tss = Number(pageQuads[(run.sregs + 6 * 24) >> 3]);
    const real = ((pageQuads[(run.sregs + sregs.cr0) >> 3] as bigint) & 1n) === 0n;
    const sure = real || (vector !== 8 && gateAsFurnished(6) && furnished(tss, 0x68) && origin(words, from, true)?.bytes[0] !== 0xcc);
    return sure ? undefined : { unsupported: 'what follows where KVM raises #UD for what it cannot emulate, and cannot deliver it' };
  };
  /** The #UD that has just been delivered: believed, undone into the #BP of an INT3, or not believed. */
  const undefinedOpcode = (words: Uint32Array, from: number): 'believed' | 'again' | string => {
    const came = origin(words, from, false);
    if (came === undefined) return 'KVM cannot emulate an instruction';
    const { frame, bytes, code64 } = came;
    // Ring 3 too: a page fault or #GP may have handed any instruction to the emulator.
    if (undefinedEverywhere(bytes, came.kind, code64)) return 'believed';
    const ssAsked = (words[(from + at.sregs + 5 * 24 + 12) >> 2] as number) & 0xffff;
    // By gates as they were furnished both events go to one stack.
    if (bytes[0] !== 0xcc || frame.rsp === undefined || came.kind === 'v86' || frame.ss !== ssAsked || !gateAsFurnished(6) || !gateOpen())
      return `KVM raises #UD for what it cannot emulate: ${inHex(bytes)}`;
    // Back to before the INT3, with code and stack segment as asked; the frame that comes has the same bytes of the stack.
    for (let i = 0; i < 6; i++) {
      pageWords[(run.sregs >> 2) + i] = words[((from + at.sregs) >> 2) + i] as number;
      pageWords[(ssAt >> 2) + i] = words[((from + at.sregs + 5 * 24) >> 2) + i] as number;
    }
    pageQuads[(run.regs + 48) >> 3] = frame.rsp;
    pageQuads[(run.regs + 136) >> 3] = frame.rflags & ~0x10000n;
    breakpoint(frame.rip);
    pageQuads[run.dirtyRegs >> 3] = BigInt(everySync);
    return 'again';
  };
  const halted = (stops: Stops): Ended => {
    const base = pageQuads[run.sregs >> 3] as bigint;
    const ripAt = (run.regs + 128) >> 3;
    const rip = (pageQuads[ripAt] as bigint) - 1n;
    const offset = Number(BigInt.asUintN(64, base + rip)) - stops.at;
    const stop = offset / stops.stride;
    if (!Number.isInteger(stop) || stop < 0 || stop >= stops.count) return { kind: kind.halt, stop: 0 };
    pageQuads[ripAt] = rip;
    return { kind: kind.stop, stop };
  };
  return {
    run: (words, from, stops, ports) => {
      const refused = load(words, from);
      if (refused !== undefined) return { unsupported: refused, refused: true };
      patience.begin(words[(from + at.limit) >> 2] as number);
      let injected = false;
      for (let entries = 0; ; entries++) {
        const entered = kvm.enter();
        if (entered === 'interrupted') {
          if (patience.over()) return { kind: kind.limit, stop: 0 };
          continue;
        }
        if (entered !== 0) return { unsupported: entries === 0 ? `KVM refuses this state: ${entered}` : `KVM_RUN: ${entered}` };
        const reason = u32(run.reason);
        if (reason === exits.hlt) {
          const ended = halted(stops);
          if (!emulates || 'unsupported' in ended || ended.kind !== kind.stop) return ended;
          // What we had KVM deliver stands for INT3 only where it arrives: a fault in between would save another RIP.
          if (injected && ended.stop !== 3) return { unsupported: 'an INT3 that KVM cannot emulate, and whose delivery fails' };
          if (ended.stop !== 6) return mayFollow(words, from, ended.stop) ?? ended;
          const verdict = undefinedOpcode(words, from);
          if (verdict === 'believed') return ended;
          if (verdict !== 'again') return { unsupported: verdict };
          injected = true;
          continue;
        }
        if (reason === exits.shutdown) {
          if (!emulates) return { kind: kind.shutdown, stop: 0 };
          return { unsupported: shutsDown };
        }
        if (reason === exits.internalError) {
          const int3 = u32(run.exit) === 1 && page[run.exit + 16] !== 0 && page[run.exit + 17] === 0xcc;
          if (!int3 || !emulates || !gateOpen()) return { unsupported: failure() };
          breakpoint(rip());
          injected = true;
          pageQuads[run.dirtyRegs >> 3] = 5n; // registers and events
          continue;
        }
        if (reason === exits.failEntry) return { unsupported: 'the processor refuses this state' };
        if (reason === exits.io) portAccess(ports);
        else if (reason === exits.mmio) {
          if (page[run.exit + 20] === 0) page.fill(0xff, run.exit + 8, run.exit + 16);
        } else return { unsupported: `exit reason ${reason} of KVM` };
        if (entries >= portsMax) {
          settle();
          return { kind: kind.limit, stop: 0 };
        }
      }
    },
    read: (words, from, to, readMsrs, readDebug) => {
      const [regsTo, sregsTo] = [(to + at.regs) >> 2, (to + at.sregs) >> 2];
      for (let i = 0; i < regsWords; i++) words[regsTo + i] = pageWords[(run.regs >> 2) + i] as number;
      for (let i = 0; i < sregsWords; i++) words[sregsTo + i] = pageWords[(run.sregs >> 2) + i] as number;
      slow.read(
        words,
        to,
        readMsrs,
        readDebug || ((words[(from + trAt) >> 2] as number) ^ (pageWords[(run.sregs + 6 * 24 + 12) >> 2] as number)) << 16 !== 0,
      );
      words[(to + at.shadow) >> 2] = page[shadowAt] as number;
    },
    stoodStill: (words, from) => {
      if (((words[(from + at.regs + 136) >> 2] as number) & TF) !== 0 || (words[(from + at.debug + 40) >> 2] as number) !== quietDr7)
        return false;
      for (let i = 0; i < regsWords; i++) if (pageWords[(run.regs >> 2) + i] !== words[((from + at.regs) >> 2) + i]) return false;
      return true;
    },
    doubt: slow.doubt,
  };
};
