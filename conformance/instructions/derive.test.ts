// The classification that experiments on the reference give is the declared one, with IOPL 3, TSD and PCE. The settings that vmmc classify shows are
// compared by that command, which CI runs: they take half a minute.

import { expect, test } from 'vitest';
import { forms } from '../../spec/instructions/index.ts';
import { isHole, classOf, robinIrvine } from '../../spec/instructions/classification.ts';
import { settings } from '../../scripts/commands/classify.ts';
import { deriveAll, differ } from './derive.ts';

const more = [
  { mode: 'prot32', umip: false, tsd: true, pce: true, iopl: 3 },
  { mode: 'long64', umip: true, tsd: true, pce: true, iopl: 3 },
] as const;
// Half of the forms for each: it takes seconds, and both halves are of all topics.
test.each(more.map((s, half) => [JSON.stringify(s), s, half] as const))('%s', { timeout: 120_000 }, (_, setting, half) => {
  const rows = deriveAll(setting, (f) => forms.indexOf(f) % 2 === half);
  expect(rows.length).toBeGreaterThan(150);
  expect(rows.filter(differ).map((r) => `${r.form.id}: declared ${r.declared}, derived ${String(r.derived)}`)).toEqual([]);
  // What this processor has not is named, and little.
  const blind = rows.filter((r) => typeof r.derived !== 'string').map((r) => r.form.mnemonic);
  for (const mnemonic of blind) expect(['XGETBV', 'XSETBV', 'RDPMC']).toContain(mnemonic);
});
test('all seventeen of Robin and Irvine are derived as holes of the classic processor', { timeout: 120_000 }, () => {
  const [classic] = settings;
  if (classic === undefined) throw new Error('no setting');
  const rows = new Map(deriveAll(classic, (f) => robinIrvine.some((h) => h.forms.includes(f))).map((r) => [r.form, r]));
  for (const hole of robinIrvine) {
    const derived = hole.forms.filter((f) => classOf(f, classic) !== undefined).map((f) => rows.get(f)?.derived);
    expect(derived.length, hole.name).toBeGreaterThan(0);
    expect(
      derived.some((d) => d === 'control-sensitive' || d === 'behaviour-sensitive'),
      hole.name,
    ).toBe(true);
    expect(
      hole.forms.some((f) => {
        const c = classOf(f, classic);
        return c !== undefined && isHole(c);
      }),
      hole.name,
    ).toBe(true);
  }
});
