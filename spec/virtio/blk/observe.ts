// How the ghost of a block device follows events: features, configuration, capacity, submissions, completions, resets.
// Observes and never judges; what an ill-formed request may have done to the disk is remembered as possible.

import type { Moment } from '../../clause.ts';
import type { Scope } from '../../units.ts';
import type { Event, EventName, EventOf } from '../../vocabulary.ts';
import type { Content } from './disk.ts';
import { begin, learn, permitted, refuse, succeed, truncate } from './disk.ts';
import { legality, requestOf } from './driver.ts';
import type { BlkGhost, Flight } from './ghost.ts';
import { badFlags, inside, keyOf, negotiated, queueScope, readOnly, valueAt } from './ghost.ts';
import { configSize, featureOf, field, S, sectorSize, T } from './layout.ts';
import type { Range, Request } from './request.ts';
import { anyMeet, gather, slice, spanOf, touched } from './request.ts';

export const observed: readonly EventName[] = [
  'memory.write',
  'memory.changed',
  'settled',
  'interrupt',
  'host.resize',
  'mmio.read',
  'mmio.write',
  'pci.bar.read',
  'pci.bar.write',
  'virtio.features',
  'virtio.config',
  'virtio.config.write',
  'virtio.negotiated',
  'virtio.live',
  'virtq.enabled',
  'virtq.submitted',
  'virtq.malformed',
  'virtq.completed',
  'scope.reset',
];

const origins: ReadonlyMap<number, Content['origin']> = new Map([
  [T.OUT, 'write'],
  [T.WRITE_ZEROES, 'zeroes'],
  [T.DISCARD, 'discard'],
  [T.SECURE_ERASE, 'discard'],
]);

const defined: ReadonlySet<number> = new Set(Object.values(T));
const undefinedType = (request: Request): boolean => request.type !== undefined && !defined.has(request.type);

/** Larger ranges are not followed sector by sector. */
const followed = 1 << 18;
/** What the request may put into the part of a range that exists. Capacity not known: all of it may exist. */
const effectOf = (g: BlkGhost, request: Request, legal: boolean | undefined, range: Range): Flight['effects'][number] | undefined => {
  const origin = origins.get(request.type ?? -1);
  const most = g.capacities.length === 0 ? Number.MAX_SAFE_INTEGER : Math.max(...g.capacities);
  if (origin === undefined || range.sector >= BigInt(most)) return undefined;
  const from = Number(range.sector);
  const count = Math.min(range.count, most - from);
  const whole = legal !== false && inside(g, range) !== false;
  const bytes = origin === 'write' ? request.payload : origin === 'zeroes' ? 'zeroes' : undefined;
  return count === 0
    ? undefined
    : {
        from,
        count,
        range,
        content: { origin: whole ? origin : 'doubtful', bytes: whole ? bytes : undefined, first: from, done: Infinity },
      };
};

const submit = (g: BlkGhost, m: Moment<BlkGhost, EventOf<'virtq.submitted'>>): void => {
  const request = requestOf(m);
  const legal = legality(request, g);
  const needs = featureOf.get(request.type ?? -1);
  const writable = readOnly(g, m.granted) !== true;
  const all = writable ? (request.ranges ?? []).map((r) => effectOf(g, request, legal, r)).filter((e) => e !== undefined) : [];
  const huge = all.some((e) => e.count > followed);
  // Nobody knows what it asks, or it asks for very much: it may change anything.
  const unread = request.type === undefined || (request.ranges === undefined && origins.has(request.type)) || undefinedType(request);
  const wild = huge || unread ? { done: Infinity, queue: m.event.chain.queue } : undefined;
  if (wild) g.disk.wild.push(wild);
  const effects = huge ? [] : all;
  for (const e of effects) if (!badFlags(request, e.range)) begin(g.disk, e.content, e.from, e.count);
  let disturbed = request.aliased;
  for (const f of g.flights.values()) {
    const [mine, theirs] = [request.spans, f.request.spans];
    if (!anyMeet(mine.writable, theirs.writable) && !anyMeet(mine.writable, theirs.readable) && !anyMeet(mine.readable, theirs.writable))
      continue;
    f.disturbed = true;
    disturbed = true;
  }
  if (disturbed) for (const e of effects) forget(g, e);
  if (request.type === T.IN) g.disk.reads++;
  g.flights.set(keyOf(m.event.chain), {
    request,
    submitted: g.tick,
    legal,
    negotiated: needs === undefined ? true : negotiated(g, needs),
    effects,
    resized: false,
    disturbed,
    touched: false,
    ...(wild ? { wild } : {}),
  });
};

/** Its buffers were not its own: the content is anything. */
const forget = (g: BlkGhost, e: Flight['effects'][number]): void => {
  begin(g.disk, { origin: 'doubtful', bytes: undefined, first: e.from, done: g.tick }, e.from, e.count);
};

const complete = (g: BlkGhost, m: Moment<BlkGhost, EventOf<'virtq.completed'>>): void => {
  const key = keyOf(m.event.chain);
  const flight = g.flights.get(key);
  if (flight === undefined) return;
  g.flights.delete(key);
  const { request, submitted } = flight;
  const status = request.statusAt !== undefined && m.memory.known(request.statusAt, 1) ? m.memory.u8(request.statusAt) : undefined;
  for (const e of flight.effects) {
    e.content.done = g.tick;
    const refused = badFlags(request, e.range);
    if (refused && status === S.OK) forget(g, e);
    else if (refused) refuse(g.disk, undefined, e.from, e.count, 'unsupp');
    else if (status === S.OK && flight.legal !== false && flight.negotiated === true && !flight.resized && !flight.disturbed)
      succeed(g.disk, e.content, e.from, e.count, submitted, g.tick);
  }
  if (request.type !== undefined && origins.has(request.type) && readOnly(g, m.granted) === true) {
    for (const r of request.ranges ?? [])
      if (r.count > 0 && inside(g, r) === true) refuse(g.disk, undefined, Number(r.sector), r.count, 'read-only');
  }
  // A type that nobody defines and that is refused did nothing.
  if (flight.wild && undefinedType(request) && status !== undefined && status !== S.OK)
    g.disk.wild.splice(g.disk.wild.indexOf(flight.wild), 1);
  if (flight.wild) flight.wild.done = g.tick;
  // A device that answers OK to a type it should not know did something: another clause says so, and the disk may hold anything.
  if (status === S.OK && undefinedType(request)) g.disk.wild.push({ done: g.tick, queue: request.chain.queue });
  if (request.type === T.IN) {
    if (status === S.OK && !flight.disturbed && flight.legal !== false && !flight.resized) learnFrom(g, m, flight);
    g.disk.reads--;
  }
  if (request.type === T.GET_ID && status === S.OK && flight.legal === true && !flight.disturbed)
    g.id ??= gather(m.memory, request.writable);
};

const learnFrom = (g: BlkGhost, m: Moment<BlkGhost>, { request, submitted }: Flight): void => {
  const range = request.ranges?.[0];
  if (range === undefined || inside(g, range) !== true) return;
  for (let i = 0; i < range.count; i++) {
    const sector = Number(range.sector) + i;
    const p = permitted(g.disk, sector, submitted);
    if (!p.still || (p.contents?.length === 1 && p.origins.size === 1)) continue;
    const bytes = gather(m.memory, slice(request.writable, i * sectorSize, sectorSize));
    if (bytes?.length === sectorSize) learn(g.disk, sector, bytes, submitted);
  }
};

const touch = (g: BlkGhost, at: bigint, length: number, byDriver: boolean): void => {
  if (g.flights.size === 0) return;
  const by = spanOf(at, length);
  for (const f of g.flights.values()) {
    const { spans } = f.request;
    if (!byDriver) f.touched ||= touched(spans.data, by);
    else if (!f.disturbed && (touched(spans.readable, by) || touched(spans.writable, by))) {
      f.disturbed = true;
      for (const e of f.effects) forget(g, e);
    }
  }
};

const reset = (g: BlkGhost, scope: Scope): void => {
  const within = (queue: number): boolean => queueScope(queue) === scope || scope === 'device:0' || scope === 'machine';
  for (const [key, f] of g.flights) {
    if (!within(f.request.chain.queue)) continue;
    for (const e of f.effects) Object.assign(e.content, { done: g.tick, abandoned: true });
    if (f.request.type === T.IN) g.disk.reads--;
    g.flights.delete(key);
  }
  for (const w of g.disk.wild) if (w.done === Infinity && within(w.queue)) Object.assign(w, { done: g.tick, abandoned: true });
  if (scope.includes('/')) return;
  g.features = undefined;
  g.live = false;
  g.writeback = undefined;
  g.written.fill(0);
  g.config.fill(-1, field.writeback[0], field.writeback[0] + 1);
  if (g.notice === 'owed') g.notice = 'none';
};

const readConfig = (g: BlkGhost, at: number, bytes: Uint8Array): void => {
  bytes.forEach((b, i) => {
    if (at + i < configSize) g.config[at + i] = b;
  });
  const capacity = at === 0 && bytes.length >= 8 ? valueAt(g.config, 0, 8) : undefined;
  if (capacity === undefined || g.capacities.length === 1) return;
  // An older size may still be read, and then the newest: only that one is the last.
  if (g.capacities.length === 0 || capacity === g.capacities.at(-1)) g.capacities = [capacity];
};

const resize = (g: BlkGhost, sectors: number): void => {
  const changes = g.capacities.length !== 1 || g.capacities[0] !== sectors;
  // The latest comes last: at rest that is the one.
  g.capacities = [...g.capacities.filter((c) => c !== sectors), sectors];
  g.config.fill(-1, 0, 8);
  truncate(g.disk, sectors);
  for (const f of g.flights.values()) f.resized = true;
  // Back to what the driver knows: nothing is left to tell.
  if (sectors === g.told) g.notice = g.notice === 'owed' ? 'none' : g.notice;
  else if (changes && g.live && !g.raw) g.notice = 'owed';
};

/** Rings that move under a live device: what it finds there may be any request. The driver may not do this (VIRTIO 1.4, Device Initialization). */
const move = (g: BlkGhost, queue: number): void => {
  if (g.live) g.disk.wild.push({ done: Infinity, queue });
};

export const observe = (g: BlkGhost, m: Moment<BlkGhost>): readonly Event[] => {
  const e = m.event;
  g.tick++;
  if ('do' in e) {
    if (e.do === 'memory.write') touch(g, e.at, e.bytes.length, true);
    else if (e.do.startsWith('mmio.') || e.do.startsWith('pci.')) g.raw = true;
    else if (e.do === 'host.resize') resize(g, e.sectors);
    else if (e.do === 'virtio.config.write') {
      g.written.fill(1, e.at, e.at + e.bytes.length);
      if (e.at <= field.writeback[0] && e.at + e.bytes.length > field.writeback[0]) {
        const value = e.bytes[field.writeback[0] - e.at];
        g.writeback = negotiated(g, 'CONFIG_WCE') === true && (value === 0 || value === 1) ? value : 'other';
      }
    }
    return [];
  }
  switch (e.saw) {
    case 'memory.changed':
      for (const w of e.writes) touch(g, w.at, w.bytes.length, false);
      break;
    case 'settled':
      if (e.by === 'bound') break;
      g.capacities = g.capacities.slice(-1);
      g.told = g.capacities.at(-1);
      g.notice = 'none';
      break;
    case 'interrupt':
      if (e.from !== 'config') break;
      g.told = g.capacities.at(-1);
      if (g.notice === 'owed') g.notice = 'given';
      break;
    case 'virtio.features':
      g.offered = e.offered;
      break;
    case 'virtio.config':
      readConfig(g, e.at, e.bytes);
      break;
    case 'virtio.negotiated':
      g.features = e.features;
      break;
    case 'virtio.live':
      g.features = e.features;
      g.live = true;
      g.told = g.capacities.at(-1);
      break;
    case 'virtq.submitted':
      submit(g, m as Moment<BlkGhost, EventOf<'virtq.submitted'>>);
      break;
    case 'virtq.enabled':
      move(g, e.queue);
      break;
    case 'virtq.malformed':
      g.disk.wild.push({ done: Infinity, queue: e.queue });
      break;
    case 'virtq.completed':
      complete(g, m as Moment<BlkGhost, EventOf<'virtq.completed'>>);
      break;
    case 'scope.reset':
      reset(g, e.scope);
      break;
    default:
  }
  return [];
};
