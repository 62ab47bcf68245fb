// A register write: what is stored, what it sets going, what it clears.
// VT-d 4.1, Register Descriptions.

import type { Memory } from '../clause.ts';
import type { Event } from '../vocabulary.ts';
import { overtaken, reprogrammed } from './arrivals.ts';
import { changesInterrupts, commandWritten, contextCommandWritten, iotlbCommandWritten } from './command.ts';
import { recordCleared, statusCleared } from './faults.ts';
import type { VtdGhost } from './ghost.ts';
import { CCMD, FSTS, GCMD, ICS, IQT, PMEN, PQA, PQH, PRS } from './layout.ts';
import { serviced } from './line.ts';
import { accessed } from './owed.ts';
import { resume, tailWritten } from './queue.ts';

interface Write {
  readonly at: number;
  readonly width: 4 | 8;
  readonly value: bigint;
}
const ICC = 1n << 63n;
const dword = (g: VtdGhost, memory: Memory, at: number, value: number): void => {
  switch (at) {
    case GCMD:
      if (changesInterrupts(g, value)) overtaken(g);
      commandWritten(g, memory, value);
      break;
    case FSTS:
      g.faults = statusCleared(g.faults, value);
      if ((value & 0x10) !== 0) resume(g, memory);
      // What follows a time-out is not known.
      if ((value & 0x40) !== 0 && g.queue.timeout !== undefined) g.faultsUnknown ??= g.queue.unknown;
      break;
    case ICS:
      if ((value & 1) === 1) serviced(g.completion, true, false);
      break;
    case PRS:
      serviced(g.page, (value & 1) === 1, (value & 2) === 2);
      break;
    case PMEN:
      g.pmenRested = false;
      break;
    default: {
      const offset = at - g.a.fro;
      if (offset >= 0 && offset < g.a.records * 16 && (offset & 15) === 12 && value >>> 31 === 1)
        g.faults = recordCleared(g.faults, offset >> 4);
    }
  }
};
export const registerWritten = (g: VtdGhost, memory: Memory, e: Write): readonly Event[] => {
  accessed(g, e.at, e.width);
  reprogrammed(g, e.at, e.width);
  // Room is made, or overflow cleared, before the unit found the queue full, or after: what it makes of later requests is not known.
  if ((e.at === PQH || e.at === PRS) && g.page.states.some((s) => s.owes.overflow > 0)) g.pageQueue.tail = undefined;
  for (let i = 0; i < e.width; i += 4) {
    const value = Number((e.value >> BigInt(i * 8)) & 0xffffffffn);
    const cell = g.cells.get(e.at + i);
    if (cell === undefined) continue;
    cell.value = ((cell.value & ~cell.stored) | (value & cell.stored)) >>> 0;
    cell.written = true;
  }
  for (let i = 0; i < e.width; i += 4) dword(g, memory, e.at + i, Number((e.value >> BigInt(i * 8)) & 0xffffffffn));
  const { iro } = g.a;
  // The upper half carries the command; the lower one may have come before.
  const upper = (at: number): boolean => (e.at === at && e.width === 8) || (e.at === at + 4 && e.width === 4);
  const half = (at: number): boolean => e.at === at && e.width === 4;
  const whole = (at: number): bigint => (e.width === 8 ? e.value : (e.value << 32n) | (g.lower.get(at) ?? 0n));
  for (const at of [CCMD, iro, iro + 8]) {
    if (half(at)) g.lower.set(at, e.value & 0xffffffffn);
    if (!upper(at)) continue;
    const value = whole(at);
    if (e.width === 8) g.lower.set(at, value & 0xffffffffn);
    if (at === iro) g.iva = value;
    else if (at === CCMD) contextCommandWritten(g, value);
    else iotlbCommandWritten(g, value);
    if ((value & ICC) === 0n) continue;
  }
  if (half(iro)) g.iva = (g.iva & ~0xffffffffn) | (e.value & 0xffffffffn);
  if (e.at === IQT) tailWritten(g, memory);
  // Whether moving a queue that was used moves its tail is not said.
  if ((e.at === PQA || e.at === PQA + 4) && g.pageQueue.tail !== 0) g.pageQueue.tail = undefined;
  return [];
};
