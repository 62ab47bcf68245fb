// When a run that the clock interrupted has had its time: the emulator has taken on as many instructions as the run may have, or everything is again
// as it was at an earlier look, so that it goes round for ever. Where neither can be known, processor time decides.

import { cpuUsage } from 'node:process';
import { type Kvm, run } from '../host/kvm.ts';
import { regsWords, sregsWords } from './layout.ts';

export interface Patience {
  /** A run of so many instructions at most begins. */
  readonly begin: (limit: number) => void;
  /** The clock has interrupted it: whether it is over. */
  readonly over: () => boolean;
}

/** How often a run is looked at. */
export const tickMs = 0.5;
/** Far more than any run that ends needs, in milliseconds of this process's time. */
const burntMax = 80;
/** Looks before processor time is asked for. */
const soon = 8;
/** Instructions that the emulator must have taken on between two looks for their likeness to mean anything: a process that was not let run stands still. */
const busy = 64;
/** A run that writes more pages than this is not watched for going round. */
const pagesMax = 16;
const pageBytes = 4096;

/** `dirtied`: pages that the guest wrote since the last call, one bit each; undefined where that is not known. */
export const createPatience = (kvm: Kvm, dirtied: () => Uint32Array | undefined): Patience => {
  const pageWords = new Uint32Array(kvm.page.buffer, kvm.page.byteOffset, kvm.page.length >> 2);
  const registers = [
    [run.regs >> 2, regsWords],
    [run.sregs >> 2, sregsWords],
  ] as const;
  const last = new Uint32Array(regsWords + sregsWords);
  const pages = new Map<number, Buffer>();
  let limit = 0;
  let looks = 0;
  let emulated = 0;
  let lastEmulated = 0;
  let since: NodeJS.CpuUsage = { user: 0, system: 0 };
  const burnt = (): boolean => {
    if (looks === soon) since = cpuUsage();
    if (looks <= soon) return false;
    const { user, system } = cpuUsage(since);
    return (user + system) / 1000 >= burntMax;
  };

  /** Whether registers and all memory are as at the last look. What is there now is remembered for the next. Nothing else comes to a guest that has
   *  neither devices nor interrupts, and a time-stamp counter that was read would be in a register. */
  const recurs = (now: number): boolean => {
    let same = now - lastEmulated >= busy;
    lastEmulated = now;
    let to = 0;
    for (const [from, count] of registers)
      for (let i = from; i < from + count; i++, to++) {
        if (last[to] !== pageWords[i]) same = false;
        last[to] = pageWords[i] as number;
      }
    const written = pages.size > pagesMax ? undefined : dirtied();
    if (written === undefined) return false;
    for (let w = 0; w < written.length; w++)
      for (let bits = written[w] as number, p = 32 * w; bits !== 0; bits >>>= 1, p++) {
        if ((bits & 1) === 0) continue;
        const there = kvm.memory.subarray(p * pageBytes, (p + 1) * pageBytes);
        if (pages.get(p)?.equals(there) !== true) {
          same = false;
          pages.set(p, Buffer.from(there));
        }
      }
    return same;
  };
  return {
    begin: (most) => {
      limit = most;
      looks = 0;
    },
    over: () => {
      const now = kvm.emulated();
      if (++looks > 1) return now - emulated >= limit || burnt() || recurs(now);
      emulated = lastEmulated = now;
      pages.clear();
      recurs(now);
      return false;
    },
  };
};
