// The catalogue keeps its promises: each edit applies once, each clause exists, the committed matrix is that of these faults.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { areas } from '../areas.ts';
import { faultTarget } from '../targets/fault/fault.ts';
import { machine } from '../targets/qemu/driver.ts';
import { load, swapped } from './bundle.ts';
import { faults } from './catalogue.ts';
import { row, type Row } from './run.ts';

const source = (file: string): string => readFileSync(new URL(`../../reference/${file}`, import.meta.url), 'utf8');

describe('the catalogue', () => {
  test.each(faults.map((f) => [f.id, f] as const))('%s applies exactly once and changes something', (_, f) => {
    const text = source(f.file);
    expect(swapped(f, text)).not.toBe(text);
  });
  test('names each fault once, and only clauses that exist', () => {
    const clauses = new Set(areas.flatMap((a) => (a as { clauses: readonly { id: string }[] }).clauses.map((c) => c.id)));
    expect(new Set(faults.map((f) => f.id)).size).toBe(faults.length);
    expect(faults.filter((f) => !clauses.has(f.killedBy)).map((f) => f.killedBy)).toEqual([]);
  });
  test('has the matrix that is committed: else run vmmc faults --write', () => {
    const matrix = JSON.parse(readFileSync(new URL('matrix.json', import.meta.url), 'utf8')) as readonly Row[];
    expect(matrix.map((r) => r.id)).toEqual(faults.map((f) => f.id));
    expect(matrix.filter((r) => faults.find((f) => f.id === r.id)?.killedBy !== r.killedBy)).toEqual([]);
  });
});

describe('a fault', () => {
  test('that does not apply is an error that names the file', async () => {
    const stale = {
      id: 'stale',
      origin: 'rule',
      file: 'memory.ts',
      swap: ['no such text', ''],
      killedBy: 'machine.alive',
      story: '',
    } as const;
    await expect(load(stale)).rejects.toThrow('stale: reference/memory.ts has 0 times');
  });
  test('is a target of its own name; an unknown one is refused', async () => {
    const target = await faultTarget('features-version-1');
    expect(target.hello.name).toBe('fault:features-version-1');
    expect(await target.reset(machine)).toHaveProperty('granted');
    expect(await target.apply({ do: 'virtio.features.read' })).toEqual({ saw: [{ saw: 'virtio.features', offered: 0n }] });
    await expect(faultTarget('VB-000')).rejects.toThrow('no fault is called VB-000');
  });
  test('is killed by its own clause', async () => {
    const fault = faults.find((f) => f.id === 'VB-011');
    if (fault === undefined) throw new Error('VB-011 is gone');
    expect(await row(fault)).toMatchObject({ killedBy: 'virtio.split.completes', byOwnClause: true });
  });
});
