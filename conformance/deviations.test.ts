// What becomes of a known deviation whose trace shows nothing: gone is a failure, unless the entry says that it does not show each time.
// And that each deviation of this project is shown by a recording of the very target that it is told of.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from './connect.ts';
import { readDeviations } from './deviations.ts';
import { explore } from './explore.ts';

const trace = resolve(import.meta.dirname, '../traces/instructions/hlt.jsonl');
const entry = {
  signature: 'instructions.privileged.gp | no fault | HLT',
  trace,
  because: 'HLT above CPL 0 completes',
  evidence: 'the reference does not',
};
test.each([
  ['gone', {}, 1, 'unexpectedlyKept'],
  ['told', { race: true }, 0, 'notShown'],
] as const)('a deviation that its trace does not show is %s', async (_, more, exit, list) => {
  const folder = mkdtempSync(join(tmpdir(), 'vmmc-deviations-'));
  const deviations = join(folder, 'ref.json');
  writeFileSync(deviations, JSON.stringify([{ ...entry, trace: relative(folder, trace), ...more }]));
  const target = await connect('ref');
  try {
    const result = await explore({ target, name: 'ref', areas: ['instructions'], runs: 40, seed: 1, strict: false, deviations });
    expect(result.exit).toBe(exit);
    expect(result[list].map((u) => u.signature)).toEqual([entry.signature]);
  } finally {
    await target.close();
    rmSync(folder, { recursive: true });
  }
});

const folder = join(import.meta.dirname, 'deviations');
const told = readdirSync(folder).map((file) => file.replace('.json', ''));
const entriesOf = (name: string): readonly { readonly signature: string; readonly also?: readonly string[]; readonly trace: string }[] =>
  JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
/** Named by no entry: a recording that nothing is said of. */
const recordings = (name: string): readonly string[] => readdirSync(resolve(import.meta.dirname, '../traces/deviations', name));

test.each(told)('each deviation of %s is shown by a recording of it, and each recording shows one', (name) => {
  const entries = entriesOf(name);
  expect(entries.length).toBeGreaterThan(0);
  const files = entries.map((e) => resolve(folder, e.trace));
  const names = files.map((file): unknown => JSON.parse(readFileSync(file, 'utf8').split('\n', 1)[0] ?? '').target?.name);
  expect(files.filter((_, i) => names[i] !== name)).toEqual([]);
  expect([...new Set(files)].sort()).toEqual(
    recordings(name)
      .map((file) => resolve(import.meta.dirname, '../traces/deviations', name, file))
      .sort(),
  );
});
test.each(told)('no signature of %s stands in two entries, or twice in one', (name) => {
  const all = entriesOf(name).flatMap((e) => [e.signature, ...(e.also ?? [])]);
  expect(all.filter((s, i) => all.indexOf(s) !== i)).toEqual([]);
});

test('a target that is another model has the deviations of the target without the argument, for as long as they show', () => {
  const lent = readDeviations('bochs:ryzen', 'Bochs 2.7, ryzen', undefined);
  expect(lent.lent).toBe(true);
  expect(lent.entries).toEqual(readDeviations('bochs', 'Bochs 2.7, corei7_icelake_u', undefined).entries);
  expect(readDeviations('bochs:ryzen', 'Bochs 2.8, ryzen', undefined).entries).toEqual([]);
  expect(readDeviations('bochs', 'Bochs 2.7', undefined).lent).toBe(false);
  expect(readDeviations('exec:./mine', '1', undefined)).toMatchObject({ entries: [], lent: false });
});
