// One run of one case on the vCPU: registers in, exits handled, registers out. Port and memory-mapped I/O reach no device: reads give all ones.
// Emulation that KVM does not do is unsupported, told with the instruction's bytes; it is never taken for the processor's #UD.

import { exits, type Kvm, run } from '../host/kvm.ts';
import { at, kind, msrs, regsWords, sregs, sregsWords } from './layout.ts';

export interface Stops {
  readonly at: number;
  readonly stride: number;
  readonly count: number;
}
export type Ended = { readonly kind: number; readonly stop: number } | { readonly unsupported: string };
export interface Vcpu {
  /** Runs the request at byte `from` of `words` to its end. Port accesses are pushed as two words each, as a record has them. */
  readonly run: (words: Uint32Array, from: number, stops: Stops, ports: number[]) => Ended;
  /** Stores what is seen of the registers into a record. */
  readonly read: (words: Uint32Array, to: number) => void;
}

/** What a run may burn of this process's time: the clock ticks each `tickMs`, the first tick may come at once. */
export const tickMs = 10;
const ticksMax = 8;
const portsMax = 4096;
const everySync = 7;
/** struct kvm_vcpu_events: interrupt.shadow at 11, flags at 20; KVM_VCPUEVENT_VALID_NMI_PENDING 1, VALID_SHADOW 4. */
const shadowAt = run.events + 11;
const eventFlagsAt = run.events + 20;
const eventFlags = 5;

/** `ignoresBreakpoints`: the emulator of this module knows no debug-register breakpoints. */
export const openVcpu = (kvm: Kvm, ignoresBreakpoints: boolean): Vcpu => {
  const { page } = kvm;
  const pageWords = new Uint32Array(page.buffer, page.byteOffset, page.length >> 2);
  const pageQuads = new BigUint64Array(page.buffer, page.byteOffset, page.length >> 3);
  const apicBase = kvm.sregs().readBigUInt64LE(sregs.apicBase);
  const u32 = (offset: number): number => pageWords[offset >> 2] as number;
  pageQuads[run.validRegs >> 3] = BigInt(everySync);

  // MSRs as KVM lists them: only those it takes. What is not there reads as 0 and cannot be asked for.
  const list = Buffer.alloc(8 + 16 * msrs.length);
  const listWords = new Uint32Array(list.buffer, list.byteOffset, list.length >> 2);
  const present = msrs.filter((index) => {
    listWords.set([1, 0, index, 0, 0, 0]);
    return kvm.getMsrs(list) === 1;
  });
  const asked = Buffer.alloc(list.length);
  const askedWords = new Uint32Array(asked.buffer, asked.byteOffset, asked.length >> 2);
  for (const words of [listWords, askedWords]) {
    words.fill(0);
    words[0] = present.length;
    for (const [i, index] of present.entries()) words[2 + 4 * i] = index;
  }
  const places = present.map((index) => msrs.indexOf(index));
  kvm.getMsrs(list);

  const debug = Buffer.alloc(128);
  const debugWords = new Uint32Array(debug.buffer, debug.byteOffset, 32);
  kvm.getDebugRegs(debug);

  const loadMsrs = (words: Uint32Array, from: number): boolean => {
    let same = true;
    for (const [i, place] of places.entries()) {
      const w = (from + at.msrs + 8 * place) >> 2;
      const to = 4 + 4 * i;
      if (listWords[to] === words[w] && listWords[to + 1] === words[w + 1]) continue;
      same = false;
    }
    if (same) return true;
    for (const [i, place] of places.entries()) {
      const w = (from + at.msrs + 8 * place) >> 2;
      askedWords[4 + 4 * i] = words[w] as number;
      askedWords[5 + 4 * i] = words[w + 1] as number;
    }
    const taken = kvm.setMsrs(asked);
    kvm.getMsrs(list);
    return taken === present.length;
  };
  const loadDebug = (words: Uint32Array, from: number): boolean => {
    const w = (from + at.debug) >> 2;
    let same = true;
    for (let i = 0; i < 12; i++)
      if (debugWords[i] !== words[w + i]) {
        same = false;
        debugWords[i] = words[w + i] as number;
      }
    if (same) return true;
    if (kvm.setDebugRegs(debug)) return true;
    kvm.getDebugRegs(debug);
    return false;
  };
  const load = (words: Uint32Array, from: number): string | undefined => {
    const breakpoints = (words[(from + at.debug + 40) >> 2] as number) & 0xff;
    if (ignoresBreakpoints && breakpoints !== 0) return 'breakpoints in DR7';
    if (!loadMsrs(words, from)) return 'KVM refuses these model-specific registers';
    if (!loadDebug(words, from)) return 'KVM refuses these debug registers';
    const [regsFrom, sregsFrom] = [(from + at.regs) >> 2, (from + at.sregs) >> 2];
    for (let i = 0; i < regsWords; i++) pageWords[(run.regs >> 2) + i] = words[regsFrom + i] as number;
    for (let i = 0; i < sregsWords; i++) pageWords[(run.sregs >> 2) + i] = words[sregsFrom + i] as number;
    pageQuads[(run.sregs + sregs.apicBase) >> 3] = apicBase;
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
    const bytes = (page[run.exit + 8] ?? 0) & 1 ? page.subarray(run.exit + 17, run.exit + 17 + Math.min(page[run.exit + 16] ?? 0, 15)) : [];
    const text = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
    return `KVM cannot emulate${text === '' ? ' the instruction' : ` ${text}`}`;
  };
  /** What KVM owes the interrupted instruction is done before anything else is asked of the vCPU. */
  const settle = (): void => {
    page[run.immediateExit] = 1;
    kvm.enter();
    page[run.immediateExit] = 0;
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
      if (refused !== undefined) return { unsupported: refused };
      let ticks = 0;
      for (let entries = 0; ; entries++) {
        const entered = kvm.enter();
        if (entered === 'interrupted') {
          if (++ticks >= ticksMax) return { kind: kind.limit, stop: 0 };
          continue;
        }
        if (entered !== 0) return { unsupported: entries === 0 ? `KVM refuses this state: ${entered}` : `KVM_RUN: ${entered}` };
        const reason = u32(run.reason);
        if (reason === exits.hlt) return halted(stops);
        if (reason === exits.shutdown) return { kind: kind.shutdown, stop: 0 };
        if (reason === exits.internalError) return { unsupported: failure() };
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
    read: (words, to) => {
      kvm.getMsrs(list);
      kvm.getDebugRegs(debug);
      const [regsTo, sregsTo] = [(to + at.regs) >> 2, (to + at.sregs) >> 2];
      for (let i = 0; i < regsWords; i++) words[regsTo + i] = pageWords[(run.regs >> 2) + i] as number;
      for (let i = 0; i < sregsWords; i++) words[sregsTo + i] = pageWords[(run.sregs >> 2) + i] as number;
      const w = (to + at.debug) >> 2;
      for (let i = 0; i < 12; i++) words[w + i] = debugWords[i] as number;
      words.fill(0, (to + at.msrs) >> 2, (to + at.shadow) >> 2);
      for (const [i, place] of places.entries()) {
        const m = (to + at.msrs + 8 * place) >> 2;
        words[m] = listWords[4 + 4 * i] as number;
        words[m + 1] = listWords[5 + 4 * i] as number;
      }
      words[(to + at.shadow) >> 2] = page[shadowAt] as number;
    },
  };
};
