// The walls hold, and the checks of the walls can fail: a bad import planted in a copy is seen.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { afterAll, expect, test } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const copy = mkdtempSync(join(tmpdir(), 'vmmc-walls-'));
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const sources = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'))
    .map((f) => join(folder, f));
const isVocabulary = (file: string): boolean => file.endsWith('vocabulary.ts') || file === 'spec/units.ts';
/** Imports of the spec that would stand at run time. */
const valueImports = (text: string): readonly string[] =>
  [...text.matchAll(/^import (?!type )([^;]*?) from '([^']*\/spec\/[^']*)'/gms)]
    .map((m) => m[0])
    .filter((i) => !/^import \{\s*(type [^,}]+,?\s*)+\}/.test(i));
const erased = (text: string): string => transformSync(text, { loader: 'ts', format: 'esm' }).code.trim();
const cruise = (folder: string): { readonly status: number | null; readonly out: string } => {
  const ran = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'),
      '--config',
      '.dependency-cruiser.cjs',
      'spec',
      'reference',
      'conformance',
      'scripts',
    ],
    {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  return { status: ran.status, out: ran.stdout + ran.stderr };
};

test('only types cross from spec to reference', () => {
  for (const file of sources('reference')) expect(valueImports(readFileSync(join(root, file), 'utf8')), file).toEqual([]);
  expect(valueImports("import { has } from '../spec/virtio/vocabulary.ts';")).toHaveLength(1);
  expect(valueImports("import { type A, b } from '../spec/units.ts';")).toHaveLength(1);
  expect(valueImports("import { type A, type B } from '../spec/units.ts';")).toEqual([]);
});
test('vocabularies hold nothing but types', () => {
  const files = sources('spec').filter(isVocabulary);
  expect(files.length).toBeGreaterThanOrEqual(3);
  for (const file of files) expect(erased(readFileSync(join(root, file), 'utf8')), file).toBe('');
  expect(erased('export const x = 1;')).not.toBe('');
});
test('a copy of reference alone runs', () => {
  const alone = join(copy, 'alone');
  for (const file of sources('reference')) {
    const to = join(alone, file.replace(/\.ts$/, '.js'));
    cpSync(join(root, file), to, { recursive: true });
    writeFileSync(to, erased(readFileSync(join(root, file), 'utf8')).replaceAll(/(from ["'][^"']*)\.ts(["'])/g, '$1.js$2'));
  }
  writeFileSync(join(alone, 'package.json'), '{"type":"module"}');
  const program = `import { createMachine } from './reference/machine.js';
    const blk = { disk: 'pattern', sectors: 8, readOnly: false, blockSize: 512, serial: 'x' };
    const m = createMachine({ memory: 65536, fill: 0, bus: 'none', virtio: { device: 'blk', offer: 1n << 32n, queueSizeMax: 8, queues: 1, blk } });
    console.log(JSON.stringify(m.apply({ do: 'virtio.status.read' })));`;
  writeFileSync(join(alone, 'main.js'), program);
  expect(execFileSync(process.execPath, ['main.js'], { cwd: alone, encoding: 'utf8', timeout: 20_000 }).trim()).toBe(
    '{"saw":[{"saw":"virtio.status","value":0}]}',
  );
});
test('the walls are green here, and red for each bad import planted in a copy', { timeout: 120_000 }, () => {
  const here = cruise(root);
  expect(here.out).toMatch(/no dependency violations found \((\d{3,}) modules/);
  const bad: readonly (readonly [string, string, string])[] = [
    ['spec/bad-side.ts', "import '../reference/machine.ts';", 'spec-imports-neither-side'],
    ['spec/bad-suite.ts', "import '../conformance/judge.ts';", 'spec-imports-neither-side'],
    ['reference/bad-suite.ts', "import '../conformance/judge.ts';", 'reference-imports-no-suite'],
    ['reference/bad-value.ts', "import '../spec/virtio/features.ts';", 'reference-sees-only-vocabularies'],
    ['conformance/bad-package.ts', "import 'koffi';", 'koffi-in-one-folder'],
  ];
  for (const folder of ['spec', 'reference', 'conformance', 'scripts', '.dependency-cruiser.cjs', 'package.json', 'tsconfig.json'])
    cpSync(join(root, folder), join(copy, folder), { recursive: true });
  execFileSync('ln', ['-s', join(root, 'node_modules'), join(copy, 'node_modules')]);
  for (const [file, text] of bad) writeFileSync(join(copy, file), text);
  const red = cruise(copy);
  expect(red.status).not.toBe(0);
  const errors = red.out.split('\n').filter((line) => line.includes('error'));
  for (const [file, , rule] of bad)
    expect(
      errors.some((line) => line.includes(`error ${rule}: ${file}`)),
      file,
    ).toBe(true);
});
