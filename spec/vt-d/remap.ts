// What may come of an interrupt request: format, index, table entry over its versions, source validation; or the reason it is blocked.
// VT-d 4.1, Interrupt Remapping; Interrupt Remapping Table Entry; Interrupt Requests to the Remapping Hardware.

import type { Memory } from '../clause.ts';
import type { Kind } from './caches.ts';
import { interruptSince } from './caches.ts';
import { absent, masters } from './functions.ts';
import type { Fault } from './faults.ts';
import type { VtdGhost } from './ghost.ts';
import { CFIS, IRES, IRTPS, status } from './ghost.ts';
import { bit, field, mask } from './layout.ts';
import type { Message, Sent } from './messages.ts';
import { decode } from './messages.ts';
import { any, mayLast } from './outcome.ts';
import { versions } from './tables.ts';

interface Way {
  readonly message: Message;
  readonly rule?: Kind;
}
interface Refusal {
  readonly reason: number;
  readonly fpd: boolean;
  readonly rule: Kind | undefined;
}
/** What a posted interrupt makes of its descriptor, and the notification it sends. */
interface Post {
  readonly at: bigint;
  readonly bytes: Uint8Array;
  readonly message: Message | undefined;
  readonly rule: Kind | undefined;
}
interface Outcomes {
  readonly posts: Post[];
  readonly ways: Way[];
  readonly refusals: Refusal[];
  form: Sent['form'];
  index: number | undefined;
  unknown: string | undefined;
}
export interface InterruptRequest {
  readonly requester: number;
  readonly sourceId: number;
  readonly address: bigint;
  readonly data: number;
  readonly pasid: number | undefined;
}
/** Function bits that SQ lets differ: none, bit 2, bits 2:1, bits 2:0. */
const ignoredBits = [0, 4, 6, 7] as const;
/** Whether the source-id is the one, or on one of the buses, that the entry names. SVT 11b is reserved. */
export const sourceFits = (hi: bigint, sourceId: number): boolean | undefined => {
  const named = field(hi, 15, 0);
  switch (field(hi, 19, 18)) {
    case 0:
      return true;
    case 1: {
      const ignored = ignoredBits[field(hi, 17, 16)] as number;
      return (named | ignored) === (sourceId | ignored);
    }
    case 2:
      return sourceId >> 8 >= named >> 8 && sourceId >> 8 <= (named & 0xff);
    default:
      return undefined;
  }
};
const reservedRemapped = (lo: bigint, hi: bigint, eime: boolean): boolean =>
  (lo & (mask(14, 12) | mask(31, 24) | (eime ? 0n : mask(39, 32) | mask(63, 48)))) !== 0n || (hi & mask(63, 20)) !== 0n;
export const remapped = (lo: bigint, eime: boolean): Message => ({
  vector: field(lo, 23, 16),
  delivery: field(lo, 7, 5),
  destination: eime ? field(lo, 63, 32) : field(lo, 47, 40),
  logical: bit(lo, 2),
  level: bit(lo, 4),
  redirectionHint: bit(lo, 3),
});
/** Linux dmar.h (posted-mode fields), posted_intr.h (descriptor): PIR in bits 255:0, ON 256, SN 257, NV 279:272, NDST 319:288. */
const posted = (
  g: VtdGhost,
  memory: Memory,
  [lo, hi]: readonly [bigint, bigint],
  eime: boolean,
  q: InterruptRequest,
  alive: Kind | undefined,
  faulty: Kind | undefined,
  refuse: (reason: number, rule: Kind | undefined) => void,
  o: Outcomes,
): void => {
  const fits = sourceFits(hi, q.sourceId);
  if ((lo & (mask(7, 2) | mask(13, 12) | mask(37, 24))) !== 0n || (hi & mask(31, 20)) !== 0n || fits === undefined) {
    refuse(0x24, faulty);
    if (fits !== true) refuse(0x26, faulty);
    return;
  }
  if (!fits) {
    refuse(0x26, alive);
    return;
  }
  const at = ((lo >> 38n) << 6n) | ((hi >> 32n) << 32n);
  const now = memory.read(at, 64);
  if (now === undefined) {
    refuse(0x27, alive);
    return;
  }
  if (!memory.known(at, 64) || g.expected.some((e) => e.by === 'posted' && !e.seen && e.at === at)) {
    o.unknown ??= 'a posted-interrupt descriptor';
    return;
  }
  const control = memory.u64(at + 32n) as bigint;
  if ((control & (mask(15, 2) | mask(31, 24))) !== 0n || now.subarray(40).some((b) => b !== 0)) {
    refuse(0x28, alive);
    return;
  }
  const vector = field(lo, 23, 16);
  const bytes = now.slice();
  bytes[vector >> 3] = (bytes[vector >> 3] as number) | (1 << (vector & 7));
  const notifies = !bit(control, 0) && (bit(lo, 14) || !bit(control, 1));
  if (notifies) bytes[32] = (bytes[32] as number) | 1;
  const destination = field(control, 63, 32);
  const message: Message = {
    vector: field(control, 23, 16),
    delivery: 0,
    destination: eime ? destination : (destination >>> 8) & 0xff,
    logical: false,
    level: undefined,
    redirectionHint: undefined,
  };
  o.form = 'posted';
  o.posts.push({ at, bytes, message: notifies ? message : undefined, rule: alive });
};
const deliverable = (delivery: number): boolean => delivery !== 3 && delivery !== 6;

const entry = (
  g: VtdGhost,
  memory: Memory,
  [lo = 0n, hi = 0n]: readonly bigint[],
  until: number,
  index: number,
  pointer: Kind | undefined,
  eime: boolean,
  q: InterruptRequest,
  o: Outcomes,
): void => {
  const since = interruptSince(g.caches, index);
  const alive = pointer ?? (until > since.time ? undefined : since.kind);
  const faulty = pointer ?? (until === Infinity ? undefined : mayLast(g, until) ? alive : 'not-cached');
  const fpd = bit(lo, 1);
  const refuse = (reason: number, rule: Kind | undefined): void => {
    o.refusals.push({ reason, fpd, rule });
  };
  if (!bit(lo, 0)) {
    refuse(0x22, faulty);
    return;
  }
  if (bit(lo, 15)) {
    if (g.a.posted) posted(g, memory, [lo, hi], eime, q, alive, faulty, refuse, o);
    else refuse(0x24, faulty);
    return;
  }
  const fits = sourceFits(hi, q.sourceId);
  if (reservedRemapped(lo, hi, eime)) {
    refuse(0x24, faulty);
    if (fits !== true) refuse(0x26, faulty);
    return;
  }
  if (fits === undefined) {
    refuse(0x24, faulty);
    refuse(0x26, faulty);
    return;
  }
  if (!fits) {
    refuse(0x26, alive);
    return;
  }
  const message = remapped(lo, eime);
  if (!deliverable(message.delivery)) refuse(0x24, faulty);
  o.ways.push({ message, ...(alive === undefined ? {} : { rule: alive }) });
};
const lookUp = (g: VtdGhost, memory: Memory, q: InterruptRequest, o: Outcomes): void => {
  const shv = bit(q.address, 3);
  const handle = field(q.address, 19, 5) | (field(q.address, 2, 2) << 15);
  const high = q.data >>> 16 !== 0;
  if (shv && high) {
    o.refusals.push({ reason: 0x20, fpd: false, rule: undefined });
    // Which of the two is looked at first is not said.
    if (handle + (q.data & 0xffff) >= 2 << field(g.interruptTables[0]?.value ?? 0n, 3, 0))
      o.refusals.push({ reason: 0x21, fpd: false, rule: undefined });
    return;
  }
  // Without a subhandle the data is not part of the request; a unit that checks it all the same is let be.
  if (high) o.refusals.push({ reason: 0x20, fpd: false, rule: undefined });
  const index = handle + (shv ? q.data & 0xffff : 0);
  o.index = index;
  // The text adds the two without a width: a sum past 16 bits may also wrap.
  if (index > 0xffff) o.unknown ??= 'whether an index past 16 bits wraps';
  const since = interruptSince(g.caches, index);
  if (g.interruptTablesLost > since.time) o.unknown ??= 'which of many former interrupt tables an entry was cached from';
  for (const p of g.interruptTables) {
    const pointer = p.until > since.time ? undefined : since.kind;
    if (index >= 2 << field(p.value, 3, 0)) {
      o.refusals.push({ reason: 0x21, fpd: false, rule: p.until === Infinity ? undefined : 'not-cached' });
      continue;
    }
    const list = versions(g.tables, memory, (p.value & mask(g.a.haw - 1, 12)) + BigInt(index * 16), 2);
    if (typeof list === 'string') o.unknown ??= list;
    else if (list === undefined) o.refusals.push({ reason: 0x23, fpd: false, rule: p.until === Infinity ? undefined : 'not-cached' });
    else for (const v of list) entry(g, memory, v.words, v.until, index, pointer, bit(p.value, 11), q, o);
  }
};
const decide = (g: VtdGhost, memory: Memory, q: InterruptRequest): Outcomes => {
  const o: Outcomes = { posts: [], ways: [], refusals: [], form: 'off', index: undefined, unknown: undefined };
  const waiting = g.command !== undefined && !g.command.settled && [IRES, IRTPS, CFIS].includes(g.command.bit);
  if (waiting) o.unknown = 'whether a command has taken effect';
  else if (q.address >> 20n !== 0xfeen) o.unknown = 'an interrupt request outside the interrupt address range';
  else if (absent(g.functions, g.machine, q.requester) !== false || masters(g.functions, g.machine, q.requester) !== true)
    o.unknown = 'whether the function can raise interrupts';
  else if (q.pasid !== undefined) o.unknown = 'an interrupt request with PASID';
  else if (!status(g, IRES)) o.ways.push({ message: decode(q.address, q.data) });
  else if (!bit(q.address, 4)) {
    o.form = 'compatibility';
    const eime = bit(g.interruptTables[0]?.value ?? 0n, 11);
    if (status(g, CFIS) && !eime) o.ways.push({ message: decode(q.address, q.data) });
    else o.refusals.push({ reason: 0x25, fpd: false, rule: undefined });
  } else {
    o.form = 'remapped';
    lookUp(g, memory, q, o);
  }
  return o;
};
/** Reasons that FPD in the entry suppresses. */
const qualified = (reason: number): boolean => reason === 0x22 || reason === 0x24 || reason === 0x26 || reason === 0x27 || reason === 0x28;

export interface Request {
  readonly sent: Sent;
  readonly post: { readonly at: bigint; readonly bytes: Uint8Array } | undefined;
  readonly fault: Fault | undefined;
  readonly sure: boolean;
  readonly suppressed: readonly number[];
}
export const interruptRequest = (g: VtdGhost, memory: Memory, q: InterruptRequest): Request => {
  const o = decide(g, memory, q);
  const refusals = o.refusals.filter((r) => r.rule === undefined);
  const permitted = o.ways.filter((w) => w.rule === undefined);
  const told = refusals.filter((r) => !(r.fpd && qualified(r.reason)));
  const kinds = [
    ...o.ways.filter((w) => w.rule !== undefined && !permitted.some((p) => same(p.message, w.message))).flatMap((w) => w.rule ?? []),
    ...(refusals.length === 0 ? o.refusals.flatMap((r) => r.rule ?? []) : []),
  ];
  const live = o.posts.filter((p) => p.rule === undefined);
  // A posted entry beside other possibilities: which of them it was decides what memory holds.
  if (o.posts.length > 0 && (live.length !== 1 || permitted.length > 0 || refusals.length > 0))
    o.unknown ??= 'which of several entries a posted interrupt meets';
  const post = o.unknown === undefined ? live[0] : undefined;
  const notice = post?.message;
  const reasons = [...new Set(refusals.map((r) => r.reason))].sort((a, b) => a - b);
  const sent: Sent = {
    by: 'request',
    requester: q.requester,
    form: o.form,
    may: notice === undefined ? o.ways : [{ message: notice }],
    reasons,
    must: o.unknown === undefined && refusals.length === 0 && (permitted.length > 0 || notice !== undefined),
    rules: [...new Set(kinds)],
    unknown: o.unknown,
    ...(o.index === undefined ? {} : { entry: ((g.interruptTables[0]?.value ?? 0n) & mask(g.a.haw - 1, 12)) + BigInt(o.index * 16) }),
    arrived: false,
  };
  const fault: Fault | undefined =
    told.length === 0 || o.unknown !== undefined
      ? undefined
      : {
          sourceId: q.sourceId,
          read: undefined,
          info: o.index === undefined ? undefined : BigInt.asUintN(64, BigInt(o.index & 0xffff) << 48n),
          interrupt: true,
          reasons: [...new Set(told.map((r) => r.reason))].sort((a, b) => a - b),
          pasid: undefined,
          execute: false,
          privileged: false,
          type: 0,
        };
  return {
    sent,
    post,
    fault,
    sure: fault !== undefined && permitted.length === 0 && told.length === refusals.length && !reasons.includes(any),
    suppressed: [...new Set(refusals.filter((r) => !told.includes(r)).map((r) => r.reason))],
  };
};
const same = (a: Message, b: Message): boolean =>
  a.vector === b.vector && a.delivery === b.delivery && a.destination === b.destination && a.logical === b.logical && a.level === b.level;
