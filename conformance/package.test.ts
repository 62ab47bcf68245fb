// What npm would publish works where nothing else is: packed, unpacked into an empty folder beside its declared dependencies alone, and run.
// No registry is asked; .ci/run installs the same tarball with npm itself.

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clauseTable } from './report/clauses.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmmc-package-'));
const modules = join(folder, 'node_modules');
const installed = join(modules, 'vmm-conformance');
afterAll(() => rmSync(folder, { recursive: true }));

interface Manifest {
  readonly bin: { readonly vmmc: string };
  readonly dependencies: Readonly<Record<string, string>>;
}
beforeAll(() => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly version: string };
  const packed = spawnSync('npm', ['pack', '--pack-destination', folder], { cwd: root, timeout: 120_000, encoding: 'utf8' });
  if (packed.status !== 0) throw new Error(`npm pack failed:\n${packed.stdout}${packed.stderr}`);
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', `vmm-conformance-${version}.tgz`, '-C', installed, '--strip-components=1'], { cwd: folder });
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
  for (const name of Object.keys(manifest.dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  mkdirSync(join(modules, '.bin'));
  chmodSync(join(installed, manifest.bin.vmmc), 0o755);
  symlinkSync(join(installed, manifest.bin.vmmc), join(modules, '.bin', 'vmmc'));
}, 180_000);

const ran = (command: string, ...args: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8', timeout: 60_000 });
  return { code: status, out: stdout, err: stderr };
};
const vmmc = (...args: readonly string[]): ReturnType<typeof ran> => ran(join(modules, '.bin', 'vmmc'), ...args);

test('vmmc check ref runs and writes the report', () => {
  const { code, out, err } = vmmc('check', 'ref', '--runs', '20', '--report', 'json');
  expect(err).toBe('');
  expect(JSON.parse(out)).toMatchObject({ schema: 1, target: { name: 'ref' }, unexpectedlyKept: [] });
  expect(code).toBe(0);
  expect(vmmc('check', 'ref', '--runs', '20', '--report', 'json', '--jobs', '2')).toEqual({ code, out, err });
}, 60_000);
test('vmmc faults finds the sources of the reference', () => {
  const { code, out, err } = vmmc('faults', 'VB-011', '--json');
  expect(err).toBe('');
  expect(JSON.parse(out)).toMatchObject([{ id: 'VB-011', killedBy: 'virtio.split.completes', byOwnClause: true }]);
  expect(code).toBe(0);
}, 60_000);
test('vmmc clauses finds the rows, replay the curated traces', () => {
  expect(JSON.parse(vmmc('clauses', '--json').out)).toEqual(clauseTable([]));
  expect(vmmc('replay', join(installed, 'dist/traces/virtio/served.jsonl'))).toMatchObject({ code: 0 });
}, 60_000);
test('an adapter imports the contract, and a schema by its name', () => {
  const source = `import { serve } from 'vmm-conformance';
    import { createRequire } from 'node:module';
    const require = createRequire(import.meta.url + '/x');
    const titles = ['protocol.schema.json', 'schemas/check.schema.json', 'schemas/clauses.schema.json'].map((s) => require('vmm-conformance/' + s).title);
    console.log(typeof serve, titles.join('; '));`;
  const { out, err } = ran(process.execPath, '--input-type=module', '-e', source);
  expect(err).toBe('');
  expect(out).toMatch(/^function vmm-conformance, protocol 1.*; vmmc check --report json; vmmc clauses --json\n$/);
}, 60_000);
