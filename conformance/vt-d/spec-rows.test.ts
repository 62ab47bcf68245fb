// Every row of VT-d ends somewhere that exists: a clause or duty, a permit, a generator, or a reason.
// A clause that no row names is fine: the text says more than its keywords.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { machine } from '../../spec/machine.ts';
import { vtd } from '../../spec/vt-d/index.ts';

const lines = readFileSync(new URL('../../spec/vt-d/rows.tsv', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');
const rows = lines.slice(1).map((line) => line.split('\t'));
const clauses = new Set([...vtd.clauses, ...machine.clauses].map((c) => c.id));
const duties = new Set(vtd.duties.map((d) => d.id));
const reasons = ['unobservable: ', 'peer not recorded: ', 'no target offers ', 'later: '];

test('there are 599, each once, with eight columns', () => {
  expect(lines[0]).toBe('id\tkind\tlevel\tsection\tsays\tgate\tclass\tends');
  expect(rows.length).toBe(599);
  expect(new Set(rows.map((r) => r[0])).size).toBe(599);
  expect(rows.filter((r) => r.length !== 8 || r.some((cell) => cell === ''))).toEqual([]);
});
test('each ends in what exists', () => {
  const lost = rows.filter((r) => {
    const [kind, id = ''] = (r[7] ?? '').split(' ');
    if (kind === 'clause') return !clauses.has(id);
    if (kind === 'duty') return !duties.has(id);
    if (kind === 'permit' || kind === 'generator') return id === '';
    return !reasons.some((reason) => r[7]?.startsWith(reason));
  });
  expect(lost.map((r) => [r[0], r[7]])).toEqual([]);
});
test('ids begin with the area and occur once', () => {
  const ids = [...vtd.clauses.map((c) => c.id), ...vtd.duties.map((d) => d.id)];
  expect(ids.filter((id) => !id.startsWith('vt-d.'))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
});
