// Every row of blk, pci and mmio ends somewhere that exists: a clause or duty of an area, or a reason.
// A clause that no row names is fine: the text says more than its keywords.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { basic } from '../../spec/virtio/basic/index.ts';
import { blk } from '../../spec/virtio/blk/index.ts';
import { mmio } from '../../spec/virtio/mmio/index.ts';
import { pci } from '../../spec/virtio/pci/index.ts';
import { split } from '../../spec/virtio/split/index.ts';

const areas = { basic, split, blk, pci, mmio } as const;
const everyClause = new Set(Object.values(areas).flatMap((a) => a.clauses.map((c) => c.id)));
const everyDuty = new Set(Object.values(areas).flatMap((a) => a.duties.map((d) => d.id)));
const reasons = ['unobservable: ', 'peer not recorded: ', 'no target offers ', 'later: '];

describe.each(['basic', 'split', 'blk', 'pci', 'mmio'] as const)('%s', (name) => {
  const area = areas[name];
  const lines = readFileSync(new URL(`../../spec/virtio/${name}/rows.tsv`, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
  const rows = lines.slice(1).map((line) => line.split('\t'));

  test('has eight columns, unique ids and an end for each row', () => {
    expect(lines[0]).toBe('id\tkind\tlevel\tsection\tsays\tgate\tclass\tends');
    expect(new Set(rows.map((r) => r[0])).size).toBe(rows.length);
    expect(rows.filter((r) => r.length !== 8 || r.some((cell) => cell === ''))).toEqual([]);
  });
  test('ends in rules that exist', () => {
    const lost = rows.filter((r) => {
      const [kind, id = ''] = (r[7] ?? '').split(' ');
      if (kind === 'clause') return !everyClause.has(id);
      if (kind === 'duty') return !everyDuty.has(id);
      if (kind === 'permit') return id === '';
      return kind !== 'generator' && !reasons.some((reason) => r[7]?.startsWith(reason));
    });
    expect(lost).toEqual([]);
  });
  test('judges a device MUST by a must', () => {
    const level = new Map(Object.values(areas).flatMap((a) => a.clauses.map((c) => [c.id, c.level] as const)));
    const weak = rows.filter(
      (r) => r[1] === 'device' && r[2]?.startsWith('MUST') && r[7]?.startsWith('clause ') && level.get(r[7].slice(7)) !== 'must',
    );
    expect(weak).toEqual([]);
  });
  test('clause ids begin with the area and occur once', () => {
    const ids = [...area.clauses.map((c) => c.id), ...area.duties.map((d) => d.id)];
    // Basic facilities are named by their topic: virtio.status, virtio.features, virtio.reset, virtio.config, virtio.init.
    const prefix = name === 'basic' ? 'virtio.' : `${area.id}.`;
    expect(ids.filter((id) => !id.startsWith(prefix) && id !== 'virtio.cleanup.exposed-unaltered')).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
