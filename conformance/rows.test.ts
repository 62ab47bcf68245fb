// Every row of every area's sources ends somewhere that exists, and no row is lost: the denominators only grow.
// New areas are read from their rows.tsv; nothing here names them.

import { describe, expect, test } from 'vitest';
import { areas, within } from './areas.ts';
import { readRows } from './rows.ts';

interface Rules {
  readonly clauses: readonly { readonly id: string }[];
  readonly duties: readonly { readonly id: string }[];
}
const ids = (of: (a: Rules) => readonly { readonly id: string }[]): ReadonlySet<string> =>
  new Set((areas as unknown as readonly Rules[]).flatMap((a) => of(a).map((rule) => rule.id)));
const [clauses, duties] = [ids((a) => a.clauses), ids((a) => a.duties)];
const rows = readRows();
/** Where a row ends that ends in no rule. */
const reasons = /^(unobservable|peer not recorded|later): \S|^no target offers \S/;

describe('a row', () => {
  test('is named once in its area', () => {
    const twice = rows.map((r) => `${r.area} ${r.row}`).filter((row, i, all) => all.indexOf(row) !== i);
    expect(twice).toEqual([]);
  });
  test('ends as a clause or duty that exists, a permit, a generator, or a reason', () => {
    const lost = rows.filter(({ ends }) => {
      const [word, id = ''] = ends.split(' ');
      if (word === 'clause') return !clauses.has(id);
      if (word === 'duty') return !duties.has(id);
      if (word === 'permit' || word === 'generator') return false;
      return !reasons.test(ends);
    });
    expect(lost.map((r) => `${r.area}: ${r.row} ends as ${r.ends}`)).toEqual([]);
  });
});

/** Rows that the checklist of VIRTIO 1.4 has for each document section judged here. */
const counted = { 'virtio.basic': 104, 'virtio.split': 59, 'virtio.blk': 114, 'virtio.pci': 133, 'virtio.mmio': 44 } as const;
test.each(Object.entries(counted))('%s accounts for its %i rows', (area, count) => {
  expect(rows.filter((r) => within(r.area, [area]))).toHaveLength(count);
});
