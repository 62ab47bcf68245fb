// What a request's end tells: whether it went through, which bytes it read, where it wrote; each beside what was permitted.
// The first evidence that leaves the permitted set is told with the rule it breaks.

import type { Memory } from '../clause.ts';
import type { Event, EventOf } from '../vocabulary.ts';
import type { Expected, VtdGhost } from './ghost.ts';
import type { Outcome, Reach } from './outcome.ts';
import type { Chunk, Pending } from './request.ts';
import { reasonsOf } from './request.ts';

type Access = EventOf<'vtd.access'>;
const hex = (n: bigint | number): string => `0x${n.toString(16)}`;
export const tellReasons = (reasons: readonly number[]): string =>
  reasons.map((r) => (r > 0 ? hex(r) : r === -1 ? 'any reason' : r === 0 ? 'no answer' : 'no report')).join(' or ');
const describe = (c: Chunk): string => {
  const ways = [...new Set(c.reaches.map((o) => hex(o.at)))].slice(0, 4);
  const blocks = reasonsOf(c.blocks);
  return [...ways, ...(blocks.length > 0 ? [`blocked with ${tellReasons(blocks)}`] : [])].join(', or ');
};
/** Killers of excluded outcomes that this kind of evidence tells apart from the permitted ones. */
const rulesOf = (c: Chunk, apart: (o: Outcome) => boolean): readonly string[] => [
  ...new Set(c.excluded.filter(apart).flatMap((o) => (o.killer === undefined ? [] : [o.killer]))),
];
const access = (
  p: Pending,
  c: Chunk,
  seen: Access['seen'],
  verdict: Pick<Access, 'matched' | 'rules' | 'got'> & { rule?: string },
): Access => ({
  saw: 'vtd.access',
  requester: p.requester,
  seen,
  reach: c.reaches.length > 0,
  reasons: reasonsOf(c.blocks),
  expected: describe(c),
  ...verdict,
});
/** Whether the bytes a read returned stand at the host address. Undefined: not known what stood there. */
const stood = (g: VtdGhost, memory: Memory, o: Reach, c: Chunk, bytes: Uint8Array): boolean | undefined => {
  if (g.tables.unsure.has(Number(o.at >> 12n)) || !memory.known(o.at, c.length)) return undefined;
  const there = memory.read(o.at, c.length);
  if (there === undefined) return undefined;
  for (let i = 0; i < c.length; i++) if (there[i] !== bytes[c.offset + i]) return false;
  return true;
};
const told = (p: Pending, outcome: 'completed' | 'blocked'): readonly Access[] => {
  const through = outcome === 'completed';
  const fits = (o: Outcome): boolean => (o.kind === 'reach') === through;
  const permits = (c: Chunk): boolean => (through ? c.reaches : c.blocks).length > 0;
  const c = through ? p.chunks.find((k) => !permits(k)) : p.chunks.some(permits) ? undefined : p.chunks[0];
  const got = through ? 'the request completed' : 'the request was blocked';
  if (c === undefined) {
    const shown = p.chunks.length === 1 || through ? (p.chunks[0] as Chunk) : p.chunks.find(permits);
    if (shown === undefined) return [];
    const other = (o: Outcome): boolean => !fits(o) && (through ? shown.blocks : shown.reaches).length === 0;
    return [access(p, shown, outcome, { matched: 'permitted', rules: rulesOf(shown, other), got })];
  }
  const stale = c.excluded.find(fits);
  return [
    access(p, c, outcome, {
      matched: stale === undefined ? 'none' : 'excluded',
      ...(stale?.killer === undefined ? {} : { rule: stale.killer }),
      rules: rulesOf(c, fits),
      got,
    }),
  ];
};
const readBytes = (g: VtdGhost, memory: Memory, p: Pending, bytes: Uint8Array, outcome: Pending['told']): readonly Access[] => {
  const list: Access[] = [];
  for (const c of p.chunks) {
    if (c.offset + c.length > bytes.length || c.length === 0 || c.reaches.length === 0) continue;
    if (outcome !== 'completed' && c.blocks.length > 0) continue;
    const fits = c.reaches.map((o) => stood(g, memory, o, c, bytes));
    if (!fits.includes(true) && fits.includes(undefined)) continue;
    const differs = (o: Outcome): boolean =>
      o.kind === 'reach' && !c.reaches.some((r) => r.at === o.at) && stood(g, memory, o, c, bytes) !== undefined;
    const got = `bytes ${Array.from(bytes.subarray(c.offset, c.offset + Math.min(c.length, 8)), (x) => x.toString(16).padStart(2, '0')).join(' ')}`;
    if (fits.includes(true)) {
      const apart = (o: Outcome): boolean => o.kind === 'reach' && differs(o) && stood(g, memory, o, c, bytes) === false;
      list.push(access(p, c, 'bytes', { matched: 'permitted', rules: rulesOf(c, apart), got }));
      continue;
    }
    const stale = c.excluded.find((o): o is Reach => o.kind === 'reach' && stood(g, memory, o, c, bytes) === true);
    list.push(
      access(p, c, 'bytes', {
        matched: stale === undefined ? 'none' : 'excluded',
        ...(stale?.killer === undefined ? {} : { rule: stale.killer }),
        rules: rulesOf(c, differs),
        got,
      }),
    );
  }
  return list;
};
/** The former value of an atomic operation's target: of one of the addresses that it may reach. PCI Express Base, Atomic Operations. */
const formerValue = (p: Pending, bytes: Uint8Array): readonly Access[] => {
  const [c] = p.chunks;
  if (c?.stood === undefined || c.stood.length === 0 || c.blocks.length > 0 || c.stood.includes(undefined)) return [];
  const fits = c.stood.some((s) => s?.every((b, i) => b === bytes[i]) === true);
  const got = `former value ${Array.from(bytes, (x) => x.toString(16).padStart(2, '0')).join(' ')}`;
  return [access(p, c, 'bytes', { matched: fits ? 'permitted' : 'none', rules: [], got })];
};
/** The end of a request was told. */
export const ended = (
  g: VtdGhost,
  memory: Memory,
  p: Pending,
  outcome: 'completed' | 'blocked' | 'unseen',
  bytes: Uint8Array | undefined,
): readonly Event[] => {
  if (p.unknown !== undefined || p.chunks.length === 0) return [];
  const list: Event[] = outcome === 'unseen' ? [] : [...told(p, outcome)];
  // Bytes of a read; for an atomic, what stood there before: memory may have changed by now.
  if (bytes !== undefined && p.event.do === 'dma.read' && outcome !== 'blocked') list.push(...readBytes(g, memory, p, bytes, outcome));
  if (bytes !== undefined && p.event.do === 'dma.atomic' && outcome === 'completed') list.push(...formerValue(p, bytes));
  return list;
};
/** Bytes of a write were seen in memory. */
export const landed = (e: Expected, p: Pending): Event | undefined => {
  const c = p.chunks.find((k) => [...k.reaches, ...k.excluded].some((o) => o.kind === 'reach' && o.at === e.at));
  if (c === undefined) return undefined;
  const elsewhere = (o: Outcome): boolean => o.kind === 'block' || !c.reaches.some((r) => r.at === o.at);
  return access(p, c, 'landed', {
    matched: e.rule === undefined ? 'permitted' : 'excluded',
    ...(e.rule === undefined ? {} : { rule: e.rule }),
    rules: rulesOf(c, elsewhere),
    got: `written at ${hex(e.at)}`,
  });
};
/** Bytes that look like this request's were written where nothing permits them. */
export const strayed = (p: Pending, at: bigint): Event | undefined => {
  const c = p.chunks.find((k) => k.reaches.length === 0) ?? p.chunks[0];
  return c === undefined ? undefined : access(p, c, 'landed', { matched: 'none', rules: [], got: `written at ${hex(at)}` });
};
/** At rest a write that must have come is not there. */
export const missing = (p: Pending, c: Chunk): Event => {
  const stale = c.excluded.find((o) => o.kind === 'block');
  return access(p, c, 'missing', {
    matched: stale === undefined ? 'none' : 'excluded',
    ...(stale?.killer === undefined ? {} : { rule: stale.killer }),
    rules: [],
    got: 'nothing written',
  });
};
/** At rest a write that nothing permits has left memory alone. */
export const absentWrite = (p: Pending, c: Chunk): Event => {
  const apart = (o: Outcome): boolean => o.kind === 'reach';
  return access(p, c, 'missing', { matched: 'permitted', rules: rulesOf(c, apart), got: 'nothing written' });
};
