// A virtio.blk choice with its values abstracted to classes, for the signatures of findings; and its simpler variants, for minimizing.

import type { BlkChoice } from './blk-choices.ts';
import { PLAIN } from './driver.ts';

type Posted = Extract<BlkChoice, { readonly then: unknown }>;

const classOf = (n: number): string => (n === 0 ? '0' : n < 0 ? 'end' : n === 1 ? '1' : 'n');
const framing = (c: Posted): string => {
  const cut = c.every > 0 ? ' chopped' : c.cuts.length > 0 ? ' cut' : '';
  const times = c.times === 0 ? ' full' : c.times > 1 ? ' batch' : '';
  return `${cut} ${c.table} ${c.place}${times} ${c.then}`;
};

export const shapeOf = (c: BlkChoice): string => {
  switch (c.op) {
    case 'init': {
      const base = c.base === 0 ? '' : ' base';
      return `init ${c.rings}${c.decline === 0 ? '' : ' declining'}${base}${c.early > 0 ? ' early' : ''}${c.lifo ? ' lifo' : ''}`;
    }
    case 'transfer':
      return `${c.way} ${classOf(c.sectors)}@${classOf(c.sector)}${framing(c)}`;
    case 'command':
      return `${c.kind}${framing(c)}`;
    case 'erase':
      return `${c.kind} ${classOf(c.segments)}×${classOf(c.sectors)}@${classOf(c.sector)}${c.flags === 0 ? '' : c.flags === 1 ? ' unmap' : ' flags'}${framing(c)}`;
    case 'unknown':
      return `unknown ${c.data}${framing(c)}`;
    case 'suppress':
      return `suppress ${c.quiet ? 'quiet' : 'loud'} ${classOf(c.distance)}`;
    case 'look':
      return `look ${c.at}`;
    case 'writeback':
      return `writeback ${c.value}`;
    case 'resize':
      return `resize ${c.by < 0 ? 'smaller' : c.by === 0 ? 'same' : 'larger'}`;
    case 'violate':
      return `violate ${c.duty}`;
    case 'settle':
    case 'kick':
    case 'config':
      return c.op;
  }
};

/** Each field on its way to its simplest value, one at a time; first everything at once. */
const towards = <C extends object>(c: C, simplest: Partial<C>): readonly C[] => {
  const keys = (Object.keys(simplest) as (keyof C)[]).filter((k) => JSON.stringify(c[k]) !== JSON.stringify(simplest[k]));
  if (keys.length === 0) return [];
  const one = keys.map((k) => ({ ...c, [k]: simplest[k] }));
  return keys.length === 1 ? one : [{ ...c, ...simplest }, ...one];
};

const POSTED = { queue: 0, cuts: [], every: 0, table: 'direct', place: 'row', times: 1, then: 'settle' } as const;
const fewerCuts = <C extends Posted>(c: C): readonly C[] =>
  c.cuts.length > 1 ? c.cuts.map((_, i) => ({ ...c, cuts: c.cuts.filter((__, k) => k !== i) })) : [];
const halves = (n: number): readonly number[] => (Math.abs(n) > 1 ? [Math.trunc(n / 2), n - Math.sign(n)] : []);

export const simplerThan = (c: BlkChoice): readonly BlkChoice[] => {
  switch (c.op) {
    case 'init':
      return towards(c, { ...PLAIN, early: 0 });
    case 'transfer':
      return [
        ...towards(c, { ...POSTED, sector: 0, sectors: 1 }),
        ...fewerCuts(c),
        ...halves(c.sectors).map((sectors) => ({ ...c, sectors })),
        ...halves(c.sector).map((sector) => ({ ...c, sector })),
      ];
    case 'command':
      return [...towards(c, POSTED), ...fewerCuts(c)];
    case 'erase':
      return [
        ...towards(c, { ...POSTED, sector: 0, sectors: 1, segments: 1, flags: 0 }),
        ...fewerCuts(c),
        ...halves(c.sectors).map((sectors) => ({ ...c, sectors })),
      ];
    case 'unknown':
      return [...towards(c, { ...POSTED, data: 'none' }), ...fewerCuts(c)];
    case 'suppress':
      return towards(c, { queue: 0, distance: 0 });
    case 'look':
    case 'kick':
      return towards(c, { queue: 0 });
    case 'config':
      return towards(c, { field: 0 });
    case 'writeback':
      return towards(c, { value: 0 });
    case 'resize':
      return towards(c, { by: Math.sign(c.by) });
    case 'violate':
      return Array.from({ length: Math.min(c.n, 8) }, (_, n) => ({ ...c, n }));
    case 'settle':
      return [];
  }
};
