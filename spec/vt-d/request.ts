// A memory request under way: cut into pages, each with its permitted outcomes; and what is concluded once its end is told.
// VT-d 4.1, DMA Remapping; Protected Memory Regions.

import type { Memory } from '../clause.ts';
import type { Fault } from './faults.ts';
import { absent, masters } from './functions.ts';
import type { VtdGhost } from './ghost.ts';
import { RTPS, TES, status, stored32, stored64 } from './ghost.ts';
import { PHMBASE, PHMLIMIT, PLMBASE, PLMLIMIT, PMEN } from './layout.ts';
import type { Block, Outcome, Reach, Request, Result, Touched, Unit } from './outcome.ts';
import { any, interruptRange, newResult, noFunction, noMaster, protectedRegion, put, reported, silent } from './outcome.ts';
import type { VtdStimulus } from './vocabulary.ts';
import { walk } from './walk.ts';

export type MemoryRequest = Extract<VtdStimulus, { readonly do: 'dma.read' | 'dma.write' | 'dma.atomic' }>;
/** The part of a request within one page. */
export interface Chunk {
  readonly at: bigint;
  /** Of the request's bytes. */
  readonly offset: number;
  readonly length: number;
  readonly reaches: readonly Reach[];
  readonly blocks: readonly Block[];
  /** What only a stale cache could show. */
  readonly excluded: readonly Outcome[];
  /** Of an atomic operation: what stood at each address that it may reach; undefined where that is not known. */
  readonly stood?: readonly (Uint8Array | undefined)[];
}
export interface Pending {
  readonly requester: number;
  readonly sourceId: number;
  readonly event: MemoryRequest;
  readonly chunks: readonly Chunk[];
  readonly touched: readonly Touched[];
  /** Several context or PASID-table entries may have led it. */
  readonly several: boolean;
  readonly unknown: string | undefined;
  readonly time: number;
  told: 'completed' | 'blocked' | 'unseen' | undefined;
}
const page = 4096n;
const chunksKept = 16;

export const unitOf = (g: VtdGhost, memory: Memory): Unit => ({
  a: g.a,
  memory,
  tables: g.tables,
  caches: g.caches,
  domains: g.domains,
  time: g.time,
  roots: g.roots,
});
/** Whether translation is on, or why that is not known. */
export const translating = (g: VtdGhost): boolean | string => {
  if (g.command !== undefined && !g.command.settled && (g.command.bit === TES || g.command.bit === RTPS))
    return 'whether a command has taken effect';
  return status(g, TES);
};
/** Whether an address lies in a protected region; undefined: its alignment, which the unit chooses, was not asked for. */
const within = (g: VtdGhost, at: bigint): boolean | undefined => {
  const inside = (base: bigint, limit: bigint, align: bigint | undefined): boolean | undefined => {
    const n = align ?? 4096n;
    const from = base & ~(n - 1n);
    const to = limit | (n - 1n);
    if (to >= from && at >= from && at <= to) return true;
    return align === undefined ? undefined : false;
  };
  const low = (n: number): bigint => BigInt(n >>> 0);
  const list: (boolean | undefined)[] = [];
  if (g.a.plmr) list.push(inside(low(stored32(g, PLMBASE)), low(stored32(g, PLMLIMIT)), g.alignment.get(PLMBASE)));
  if (g.a.phmr) list.push(inside(stored64(g, PHMBASE), stored64(g, PHMLIMIT), g.alignment.get(PHMBASE)));
  return list.includes(true) ? true : list.includes(undefined) ? undefined : false;
};
/** The protected memory regions are on. */
const protecting = (g: VtdGhost): boolean => (g.a.plmr || g.a.phmr) && (stored32(g, PMEN) & 0x80000000) !== 0;

/** Without translation: the address itself, unless a protected region stands in the way. */
const untranslated = (g: VtdGhost, q: Request): Result => {
  const r = newResult();
  if (q.pasid !== undefined || q.kind !== 'untranslated') r.unknown = 'a request with PASID or translation while translation is off';
  else if (interruptRange(q.at)) put(r, { kind: 'block', reason: any, fpd: false });
  else {
    const safe = protecting(g) ? within(g, q.at) : false;
    if (safe !== false) put(r, { kind: 'block', reason: protectedRegion, fpd: false });
    if (safe !== true) put(r, { kind: 'reach', at: q.at, size: page, read: true, write: true, domain: undefined });
  }
  return r;
};
/** A function that does not exist makes no requests: whatever it is told to do reaches nothing. */
const nowhere = (reason: number): Result => {
  const r = newResult();
  put(r, { kind: 'block', reason, fpd: false });
  return r;
};
const requestOf = (g: VtdGhost, e: MemoryRequest, at: bigint): Request => ({
  sourceId: g.machine.requesters[e.requester]?.sourceId ?? 0,
  at,
  read: e.do !== 'dma.write',
  write: e.do !== 'dma.read',
  zero: e.do === 'dma.read' && e.length === 0,
  execute: e.do === 'dma.read' && e.execute === true,
  privileged: e.privileged === true,
  pasid: e.pasid,
  kind: e.translated === true ? 'translated' : 'untranslated',
});
const lengthOf = (e: MemoryRequest): number => (e.do === 'dma.read' ? e.length : e.do === 'dma.write' ? e.bytes.length : e.width);

const standing = (g: VtdGhost, memory: Memory, at: bigint, length: number): Uint8Array | undefined =>
  g.tables.unsure.has(Number(at >> 12n)) || !memory.known(at, length) ? undefined : memory.read(at, length);
/** What may come of the request, decided when it is made. */
export const prepare = (g: VtdGhost, memory: Memory, e: MemoryRequest): Pending => {
  const requester = g.machine.requesters[e.requester];
  const length = lengthOf(e);
  const on = translating(g);
  let unknown: string | undefined;
  if (requester === undefined) unknown = 'a requester that the machine does not name';
  else if (typeof on === 'string') unknown = on;
  const gone = requester === undefined ? undefined : absent(g.functions, g.machine, e.requester);
  const master = masters(g.functions, g.machine, e.requester);
  if (requester !== undefined && master === undefined) unknown ??= 'whether the function may master the bus';
  if (requester !== undefined && gone === undefined) unknown ??= 'whether the virtual function exists';
  const chunks: Chunk[] = [];
  const touched: Touched[] = [];
  let several = false;
  let at = BigInt.asUintN(64, e.at);
  let offset = 0;
  do {
    const left = length - offset;
    const room = Number(page - (at & 0xfffn));
    const n = left < room ? left : room;
    if (unknown !== undefined) break;
    const q = requestOf(g, e, at);
    const r =
      gone === true
        ? nowhere(noFunction)
        : master === false
          ? nowhere(noMaster)
          : on === true
            ? walk(unitOf(g, memory), q)
            : untranslated(g, q);
    // Four bytes written there are an interrupt request.
    if (q.write && !q.read && length === 4 && interruptRange(at) && e.pasid === undefined) unknown ??= 'a write to interrupt addresses';
    unknown ??= r.unknown;
    for (const t of r.touched) touched.push(t);
    several ||= r.several;
    const reaches: Reach[] = [];
    const blocks: Block[] = [];
    const excluded: Outcome[] = [];
    for (const o of r.outcomes) {
      if (o.killer !== undefined) excluded.push(o);
      else if (o.kind === 'reach') reaches.push(o);
      else blocks.push(o);
    }
    // Nobody says what answers where no memory is.
    if (reaches.some((o) => o.at + BigInt(n) > BigInt(memory.size))) blocks.push({ kind: 'block', reason: silent, fpd: false });
    // With translation on, protected regions may still be enforced.
    if (on === true && protecting(g) && reaches.some((o) => within(g, o.at) !== false))
      blocks.push({ kind: 'block', reason: protectedRegion, fpd: false });
    const stood = e.do !== 'dma.atomic' ? {} : { stood: reaches.map((o) => standing(g, memory, o.at, n)) };
    chunks.push({ at, offset, length: n, reaches, blocks, excluded, ...stood });
    offset += n;
    at = BigInt.asUintN(64, at + BigInt(n));
    if (chunks.length >= chunksKept && offset < length) unknown = 'a request over many pages';
  } while (offset < length);
  return {
    requester: e.requester,
    sourceId: requester?.sourceId ?? 0,
    event: e,
    chunks,
    touched,
    several,
    unknown,
    time: g.time,
    told: undefined,
  };
};

/** Reasons of the permitted blocks, each once, ascending. */
export const reasonsOf = (blocks: readonly Block[]): readonly number[] => [...new Set(blocks.map((b) => b.reason))].sort((a, b) => a - b);
/** The faults that a blocked or possibly blocked request leaves, in order; `sure`: it must be there if records are free. */
export const faultsOf = (
  p: Pending,
): readonly { readonly fault: Fault | undefined; readonly sure: boolean; readonly suppressed: readonly number[] }[] => {
  const list: { fault: Fault | undefined; sure: boolean; suppressed: readonly number[] }[] = [];
  const { event: e } = p;
  if (p.told === 'completed') return list;
  let certain = true;
  let only = 0;
  for (const c of p.chunks) if (c.blocks.length > 0) only++;
  for (const c of p.chunks) {
    if (c.blocks.length === 0) continue;
    const told = c.blocks.filter((b) => reported(b.reason) && !b.fpd);
    const blocked = c.reaches.length === 0 || (p.told === 'blocked' && only === 1);
    const suppressed = reasonsOf(c.blocks.filter((b) => b.fpd));
    if (told.length > 0)
      list.push({
        fault: {
          sourceId: p.sourceId,
          read: e.do === 'dma.atomic' || told.some((b) => b.reason === any) ? undefined : e.do === 'dma.read',
          info: told.some((b) => b.reason === any) ? undefined : c.at & ~0xfffn,
          interrupt: false,
          reasons: reasonsOf(told),
          pasid: e.pasid,
          execute: e.do === 'dma.read' && e.execute === true,
          privileged: e.privileged === true,
          type: e.translated === true ? 2 : 0,
        },
        sure: certain && blocked && told.length === c.blocks.length && !told.some((b) => b.reason === any),
        suppressed,
      });
    else list.push({ fault: undefined, sure: false, suppressed });
    // Past a page that is refused the device may stop.
    certain = false;
  }
  return list;
};
