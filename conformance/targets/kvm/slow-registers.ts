// Model-specific and debug registers of the vCPU: not in the kvm_run page, so each look or change is a call as dear as a run.
// They are set only where a case asks for others than the last, and read back only where told to.

import type { Kvm } from '../host/kvm.ts';
import { at, msrs } from './layout.ts';

export interface SlowRegisters {
  /** Sets what the request asks for; why KVM refuses it, or undefined. */
  readonly load: (words: Uint32Array, from: number) => string | undefined;
  /** Stores them into a record, looked at anew where told to. */
  readonly read: (words: Uint32Array, to: number, msrs: boolean, debug: boolean) => void;
  /** A run that may have changed them ended without being read: next time what differs is set anew. */
  readonly doubt: (msrs: boolean, debug: boolean) => void;
}

export const slowRegisters = (kvm: Kvm): SlowRegisters => {
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

  const debugAsked = new Uint32Array(12).fill(0xffff_ffff);
  const loadMsrs = (words: Uint32Array, from: number): boolean => {
    let same = true;
    for (const [i, place] of places.entries()) {
      const w = (from + at.msrs + 8 * place) >> 2;
      const to = 4 + 4 * i;
      if (askedWords[to] === words[w] && askedWords[to + 1] === words[w + 1]) continue;
      same = false;
      askedWords[to] = words[w] as number;
      askedWords[to + 1] = words[w + 1] as number;
    }
    if (same) return true;
    const taken = kvm.setMsrs(asked);
    kvm.getMsrs(list);
    if (taken === present.length) return true;
    askedWords[4] = ~(askedWords[4] as number); // ask again next time
    return false;
  };
  const loadDebug = (words: Uint32Array, from: number): boolean => {
    const w = (from + at.debug) >> 2;
    let same = true;
    for (let i = 0; i < 12; i++)
      if (debugAsked[i] !== words[w + i]) {
        same = false;
        debugWords[i] = debugAsked[i] = words[w + i] as number;
      }
    if (same) return true;
    const taken = kvm.setDebugRegs(debug);
    kvm.getDebugRegs(debug);
    if (!taken) debugAsked[0] = ~(debugAsked[0] as number);
    return taken;
  };

  const lookAtDebug = (): void => {
    kvm.getDebugRegs(debug);
    debugAsked.set(debugWords.subarray(0, 12));
  };

  return {
    load: (words, from) => {
      if (!loadMsrs(words, from)) return 'KVM refuses these model-specific registers';
      return loadDebug(words, from) ? undefined : 'KVM refuses these debug registers';
    },
    read: (words, to, readMsrs, readDebug) => {
      if (readMsrs) {
        kvm.getMsrs(list);
        for (let i = 0; i < places.length; i++) {
          askedWords[4 + 4 * i] = listWords[4 + 4 * i] as number;
          askedWords[5 + 4 * i] = listWords[5 + 4 * i] as number;
        }
      }
      if (readDebug) lookAtDebug();
      const w = (to + at.debug) >> 2;
      for (let i = 0; i < 12; i++) words[w + i] = debugWords[i] as number;
      words.fill(0, (to + at.msrs) >> 2, (to + at.shadow) >> 2);
      for (const [i, place] of places.entries()) {
        const m = (to + at.msrs + 8 * place) >> 2;
        words[m] = listWords[4 + 4 * i] as number;
        words[m + 1] = listWords[5 + 4 * i] as number;
      }
    },
    doubt: (ofMsrs, ofDebug) => {
      if (ofMsrs) askedWords[4] = ~(askedWords[4] as number);
      if (ofDebug) lookAtDebug();
    },
  };
};
