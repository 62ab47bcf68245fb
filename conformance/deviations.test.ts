// What becomes of a known deviation whose trace shows nothing: gone is a failure, unless the entry says that it does not show each time.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from './connect.ts';
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
