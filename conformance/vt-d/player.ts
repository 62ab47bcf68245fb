// Lowers vt-d choices one by one to stimuli, against what software knows of its own tables. A choice that fits nothing does nothing.
// Everything here is what software may do, right or careless: a missing invalidation breaks no rule, it only leaves more outcomes possible.

import type { Player, Step } from '../program.ts';
import type { Granted, Iova } from '../../spec/units.ts';
import { bit, REG, words } from './bits.ts';
import type { InitChoice, VtdChoice } from './choices.ts';
import { attach, contextEntry, detach, pasidEntry, rootEntry } from './contexts.ts';
import { forget, functionOf, pageRequest, silence, startFunctions, startRequests, translation } from './devices.ts';
import { send, setEntry } from './interrupts.ts';
import { afterContext, afterInterrupt, everything, type Invalidation, invalidate, refusedCommand, submit, waiting } from './invalidate.ts';
import { clear, command, look, prepare, setEvent, setRoot, shield, stopWith } from './registers.ts';
import { request } from './requests.ts';
import { scene, SCENE_PAGES } from './scenes.ts';
import { sweep } from './sweeps.ts';
import { SWEEP_PAGES } from './sweep-path.ts';
import { addressOf, type Device, fresh, is, PAGES, peek, pick, poke, read, type Software, software, type Space, turn } from './software.ts';
import { changed, leafEntry, map, protect, remap, resize, tableEntry, unmap } from './tables.ts';
import { violate } from './violations.ts';

const PLAIN: InitChoice = { op: 'init', scalable: true, queue: true, remaps: true, levels: 0, domain: 0, attached: 15, enabled: true };

function init(sw: Software, c: InitChoice): void {
  sw.started = true;
  startFunctions(sw);
  prepare(sw, c);
  startRequests(sw);
  for (const device of sw.devices) {
    const space = pick(sw.spaces, device.index);
    if (space === undefined || ((c.attached >> (device.index % 4)) & 1) === 0) continue;
    attach(sw, device, space, space.kind === 'first' ? 'first' : 'translate', 0, 0, 'right');
    if (sw.scalable && device.requester.can.includes('pasid')) attach(sw, device, space, 'first', 1, 2 * (device.index % 2), 'right');
    for (const k of [0, 1]) map(sw, space, 2 * device.index + k, device.index + 4 * k, 0, 3, 'right');
  }
  command(sw, 'flush');
  if (c.enabled) turn(sw, 'TE', true);
}

/** A second `init`: the unit is new, and so are its tables. */
function again(sw: Software): void {
  if (!sw.offers('vt-d.reset')) return;
  sw.out.push({ do: 'vtd.reset' });
  const memory = sw.commands;
  sw.commands = 0n;
  sw.queue = { on: false, wide: sw.queue.wide, slots: sw.queue.slots, tail: 0, stuck: undefined };
  const [remapped, on] = [sw.remaps, (memory & bit(31)) !== 0n];
  sw.remaps = false;
  for (const r of [REG.GSTS, REG.FSTS] as const) read(sw, r, 4);
  if (sw.scalable || sw.facts.queue) command(sw, 'queue');
  setRoot(sw);
  if (remapped) command(sw, 'interrupts');
  startRequests(sw);
  if (on) turn(sw, 'TE', true);
}

/** Bits that are no part of an address: below the page, and above the host address width. */
const spoilable = (sw: Software, n: number, from = 0): bigint => {
  // An address that no memory has: what stands there cannot be read.
  if (n >= 54) return bit(30);
  const width = sw.facts.hostAddressWidth;
  const bits = Array.from({ length: 64 }, (_, i) => i).filter((i) => i >= from && (i < 12 || i >= width));
  return bit(pick(bits, n) ?? 63);
};
/** A request through what was just spoilt, by a device that uses it, and a look at what came of it. */
function probe(sw: Software, space: Space | undefined, at: bigint | undefined, device: Device | undefined): void {
  const users = space === undefined ? [] : sw.devices.filter((d) => [...d.attached.values()].some((a) => a.space === space));
  const user = users[0] ?? device;
  const place = space === undefined ? user?.attached.get(0)?.space.mappings[0]?.at : at;
  if (user === undefined || place === undefined || user.loose || !is(sw, 'TE') || !user.requester.can.includes('write')) return;
  sw.out.push({ do: 'dma.write', requester: user.index, at: (place + 0x20n) as Iova, bytes: words(BigInt(fresh(sw))).slice(0, 4) });
  clear(sw, 4);
}
function spoil(sw: Software, c: Extract<VtdChoice, { op: 'spoil' }>): void {
  const device = pick(sw.devices, c.which);
  const space = pick(sw.spaces, c.which);
  const mapping = space === undefined ? undefined : pick(space.mappings, c.which);
  const flip = (at: number | undefined, b: bigint, flush: (how: typeof c.how) => void): void => {
    if (at === undefined || (peek(sw, at) & 7n) === 0n) return;
    const value = peek(sw, at);
    sw.spoilt.push({ at, value, flush });
    poke(sw, at, value ^ b);
    flush(c.how);
    probe(sw, c.spot === 'table' || c.spot === 'leaf' ? space : undefined, mapping?.at, device);
  };
  switch (c.spot) {
    case 'root':
      return device && flip(rootEntry(sw, device), spoilable(sw, c.bit, 1), () => everything(sw));
    case 'context': {
      // Not the width, the type or the pointer: those change the walk, and `attach` does that.
      const at = device && contextEntry(sw, device);
      if (device === undefined || at === undefined) return;
      const domain = device.attached.get(0)?.domain ?? 0;
      const high = bit(c.bit % 2 === 0 ? 24 + (c.bit % 40) : 7);
      const flush = (how: typeof c.how): void => afterContext(sw, device, domain, how, true);
      if (sw.scalable || c.bit < 40) return flip(at, spoilable(sw, c.bit, sw.scalable ? 5 : 4), flush);
      if ((peek(sw, at) & 1n) === 0n) return;
      sw.spoilt.push({ at: at + 8, value: peek(sw, at + 8), flush });
      poke(sw, at + 8, peek(sw, at + 8) ^ high);
      return flush(c.how);
    }
    case 'pasid': {
      if (device === undefined || !sw.scalable) return;
      const domain = device.attached.get(0)?.domain ?? 0;
      const flush = (how: typeof c.how): void => afterContext(sw, device, domain, how === 'right' ? 'global' : how, true, 0);
      if (c.bit >= 32 && device.directory !== undefined)
        return flip(addressOf(device.directory.page), c.bit < 38 ? 1n : c.bit < 48 ? bit(2 + (c.bit % 10)) : bit(30), flush);
      return flip(pasidEntry(device, 0), bit(10 + (c.bit % 2)), (how) => afterContext(sw, device, domain, how, true, 0));
    }
    case 'table':
    case 'leaf': {
      if (space === undefined || mapping === undefined) return;
      const deep = c.spot === 'table';
      const at = deep ? tableEntry(sw, space, mapping) : leafEntry(sw, space, mapping);
      return flip(at, spoilable(sw, c.bit), (how) => changed(sw, space, mapping.at, mapping.level, how, true, deep));
    }
    case 'interrupt': {
      const index = c.which % 4;
      const reserved = [24, 31, 27, 12, 13, 32, 38, 48, 63, 14, 15];
      return flip(addressOf(PAGES.interrupts) + 16 * index, bit(pick(reserved, c.bit) ?? 24), (how) =>
        afterInterrupt(sw, index, how, true),
      );
    }
  }
}
function mend(sw: Software): void {
  const last = sw.spoilt.pop();
  if (last === undefined) return;
  poke(sw, last.at, last.value);
  last.flush('right');
}

/** An invalidation by itself; `early` has none behind it that waits. */
function invalidation(sw: Software, c: Extract<VtdChoice, { op: 'invalidate' }>): void {
  const space = pick(sw.spaces, c.space);
  const device = pick(sw.devices, c.which);
  if (space === undefined || device === undefined) return;
  const { domain } = space;
  const { sourceId: source } = device.requester;
  const order = Math.min(c.mask, sw.facts.maximumMask);
  const near = pick([...space.mappings.map((m) => m.at), ...space.past], c.which) ?? 0n;
  const at = near & ~((4096n << BigInt(order)) - 1n);
  if (c.early && c.what === 13) return refusedCommand(sw, c.which);
  const one = ((): Invalidation | undefined => {
    switch (c.what) {
      case 0:
        return { what: 'context', grain: 1, domain: 0, source: 0 };
      case 1:
        return { what: 'context', grain: 2, domain, source: 0 };
      case 2:
        return { what: 'context', grain: 3, domain, source, functions: c.mask % 4 };
      case 3:
        return { what: 'iotlb', grain: 1, domain: 0 };
      case 4:
      case 5:
        return { what: 'iotlb', grain: 2, domain };
      case 6:
        return sw.facts.remaps ? { what: 'interrupts' } : undefined;
      case 7:
        return sw.facts.remaps ? { what: 'interrupts', index: c.which, order: Math.min(c.mask, sw.facts.maximumHandleMask) } : undefined;
      case 8:
      case 9:
        return sw.scalable ? { what: 'pasid', grain: c.mask % 2 === 0 ? 3 : 0, domain, pasid: 0 } : undefined;
      case 10:
        return sw.scalable ? { what: 'pasid-iotlb', grain: 2, domain, pasid: c.mask % 4 } : undefined;
      case 11:
        return sw.scalable ? { what: 'pasid-iotlb', grain: 3, domain, pasid: c.mask % 4, at, order, hint: false } : undefined;
      default:
        return sw.facts.pageSelective
          ? { what: 'iotlb', grain: 3, domain, at, order, hint: c.what === 15 }
          : { what: 'iotlb', grain: 2, domain };
    }
  })();
  if (c.what === 9 && device.requester.can.includes('ats')) return forget(sw, device, near, c.mask % 2 === 1, c.space % 3);
  if (one !== undefined) invalidate(sw, [one]);
}

function lower(sw: Software, c: VtdChoice): void {
  const space = 'space' in c ? pick(sw.spaces, c.space) : undefined;
  switch (c.op) {
    case 'init':
      return sw.started ? again(sw) : init(sw, c);
    case 'map':
      return space && map(sw, space, c.at, c.page, c.size, c.rights, c.how);
    case 'unmap':
      return space && unmap(sw, space, c.which, c.how);
    case 'remap':
      return space && remap(sw, space, c.which, c.to, c.how);
    case 'protect':
      return space && protect(sw, space, c.which, c.to, c.how);
    case 'resize':
      return space && resize(sw, space, c.which, c.how);
    case 'attach': {
      const device = pick(sw.devices, c.requester);
      return device && space && attach(sw, device, space, c.type, device.requester.can.includes('pasid') ? c.pasid : 0, c.flags, c.how);
    }
    case 'detach': {
      const device = pick(sw.devices, c.requester);
      return device && detach(sw, device, c.pasid, c.how);
    }
    case 'spoil':
      return spoil(sw, c);
    case 'mend':
      return mend(sw);
    case 'invalidate':
      return invalidation(sw, c);
    case 'read':
    case 'write':
    case 'atomic':
      return request(sw, c.op, c.requester, c);
    case 'entry':
      return setEntry(sw, c);
    case 'message':
      return send(sw, c);
    case 'look':
      return look(sw, c.at);
    case 'clear':
      return clear(sw, c.what);
    case 'event':
      return setEvent(sw, c.which, c.masked, c.vector);
    case 'command':
      return command(sw, c.what);
    case 'queue':
      return stopWith(sw, c.fault, c.n);
    case 'wait':
      return sw.queue.on && sw.queue.stuck === undefined && (c.status || c.interrupt)
        ? submit(sw, [waiting(sw, c.status, c.interrupt)])
        : undefined;
    case 'shield':
      shield(sw, c.on);
      return request(sw, 'write', 0, { at: 3, offset: 1, load: 'word', pasid: 0, flags: 0 });
    case 'translation':
      return translation(sw, c);
    case 'page':
      return pageRequest(sw, c);
    case 'silence':
      return silence(sw, c.requester, c.answers);
    case 'function':
      return functionOf(sw, c.requester, c.what, c.n);
    case 'scene':
      return scene(sw, c.what, c.n);
    case 'sweep':
      return sweep(sw, c.what, c.n);
    case 'reset':
      return again(sw);
    case 'settle':
      sw.out.push({ do: 'settle' });
      return;
    case 'violate':
      return violate(sw, c.duty, c.n);
  }
}

export function* playVtd(choices: readonly VtdChoice[], granted: Granted): Player<VtdChoice> {
  const sw = software(granted);
  // Set aside before other tables take what there is.
  const pages = choices.some((c) => c.op === 'sweep') ? SWEEP_PAGES : sw.rich && choices.some((c) => c.op === 'scene') ? SCENE_PAGES : 0;
  if (pages > 0) {
    sw.scene = sw.nextPage;
    sw.nextPage += pages;
  }
  const step = (plan?: VtdChoice): Step<VtdChoice> => {
    const done = sw.out;
    sw.out = [];
    return plan === undefined ? { do: done } : { plan, do: done };
  };
  if (choices[0]?.op !== 'init') {
    init(sw, PLAIN);
    yield step();
  }
  for (const c of choices) {
    lower(sw, c);
    if (sw.out.length > 0) yield step(c);
  }
  // What may take its time is done once the unit has come to rest: then it is looked at.
  sw.out.push({ do: 'settle' });
  look(sw, 'faults');
  look(sw, 'rest');
  look(sw, 'queue');
  sw.out.push({ do: 'settle' });
  yield step();
}
