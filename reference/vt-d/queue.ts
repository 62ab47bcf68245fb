// Decides how the invalidation queue is worked off: fetch, width, head and tail, errors that stop it, what resumes it.
// VT-d 4.1, Queued Invalidation Interface; error codes of IQERCD_REG also in VirtualBox iommu-intel.h.

import { inside, load32 } from '../memory.ts';
import { execute, timeOut } from './descriptors.ts';
import { IQE, ITE, signal } from './events.ts';
import { FSTS_REG, GSTS_REG, get, IQA_REG, IQERCD_REG, IQH_REG, IQT_REG, pageAt, set } from './registers.ts';
import type { Unit } from './unit.ts';

/** GSTS_REG.QIES; IQA_REG.DW. */
const QIES = 1 << 26;
const WIDE = 1 << 11;

/** IQERCD_REG.IQEI. */
const INVALID_TAIL = 1;
const FETCH_ERROR = 2;
const TAIL_MISALIGNED = 6;
const INVALID_MODE = 7;

/** Translation table mode 10b is reserved. */
const RESERVED_MODE = 2;

const words = new Uint32Array(8);

/** Fetches and executes until head and tail meet, or an error stops it. Called whenever that may have become possible. */
export const runQueue = (unit: Unit): void => {
  const { registers, memory } = unit;
  if ((get(registers, GSTS_REG) & QIES) === 0) return;
  const wide = (get(registers, IQA_REG) & WIDE) !== 0;
  const bytes = wide ? 32 : 16;
  const size = 4096 << (get(registers, IQA_REG) & 7);
  const base = pageAt(registers, IQA_REG) * 4096;
  while ((get(registers, FSTS_REG) & (IQE | ITE)) === 0) {
    const head = get(registers, IQH_REG);
    const tail = get(registers, IQT_REG);
    if (head === tail) break;
    if (tail >= size) return fail(unit, INVALID_TAIL);
    if (wide && (tail & 0x10) !== 0) return fail(unit, TAIL_MISALIGNED);
    if (unit.mode === RESERVED_MODE) return fail(unit, INVALID_MODE);
    if (!inside(memory, base + head, bytes)) return fail(unit, FETCH_ERROR);
    words.fill(0);
    for (let i = 0; i < bytes; i += 4) words[i / 4] = load32(memory, base + head + i);
    const error = execute(unit, words, wide);
    if (error !== 0) return fail(unit, error);
    set(registers, IQH_REG, (head + bytes) % size);
  }
  // Nothing waits for the device that did not answer: its time runs out all the same.
  if (unit.silent >= 0) timeOut(unit);
};

/** The head stays at the descriptor that could not be executed. */
const fail = (unit: Unit, error: number): void => {
  set(unit.registers, IQERCD_REG, error);
  signal(unit, 'fault', IQE);
};
