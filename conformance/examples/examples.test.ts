// Whether the example adapters are what the README promises: at most 100 lines, free of warnings, green in the smoke test, and one device.
// And whether the smoke test sees what it claims to see: each red check is provoked once.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type SmokeCheck, smokeTest } from '../smoke/adapter.ts';
import { negotiation, reading, smokeMachine } from '../smoke/block-request.ts';
import { execTarget } from '../targets/exec/exec.ts';

const here = new URL('.', import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), 'vmmc-examples-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const missing = (program: string): boolean => {
  const gone = spawnSync(program, ['--version']).error !== undefined;
  if (gone) console.warn(`skipped: ${program} is not installed`);
  return gone;
};
const noCompiler = missing('cc');
const noPython = missing('python3');
const compiled = join(scratch, 'adapter');
if (!noCompiler) {
  const sources = ['adapter.c', 'toy-blk.c'].map((name) => join(here, name));
  execFileSync('cc', ['-Wall', '-Wextra', '-Werror', '-O2', '-o', compiled, ...sources], { stdio: 'inherit' });
}
const python = `PYTHONDONTWRITEBYTECODE=1 exec python3 '${join(here, 'adapter.py')}'`;

const all = async (command: string, deadlineMs: number = 20_000): Promise<readonly SmokeCheck[]> => {
  const checks: SmokeCheck[] = [];
  for await (const check of smokeTest(command, { deadlineMs })) checks.push(check);
  return checks;
};

test('the adapters have at most 100 lines', () => {
  const adapters = readdirSync(here).filter((name) => name.startsWith('adapter.'));
  expect(adapters).toEqual(['adapter.c', 'adapter.py']);
  for (const name of adapters) expect(readFileSync(join(here, name), 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(100);
});
test.skipIf(noCompiler)('the adapter in C is green', async () => {
  const checks = await all(compiled);
  expect(checks.filter((check) => !check.ok)).toEqual([]);
  expect(checks).toHaveLength(13);
});
test.skipIf(noPython)('the adapter in Python is green', async () => {
  const checks = await all(python);
  expect(checks.filter((check) => !check.ok)).toEqual([]);
  expect(checks).toHaveLength(13);
});
test.skipIf(noCompiler || noPython)('both answer alike', () => {
  const targets = [execTarget(compiled), execTarget(python)];
  try {
    const [c, py] = targets.map((target) => [target.reset(smokeMachine), target.applyAll(negotiation), target.applyAll(reading)]);
    expect(c).toEqual(py);
  } finally {
    for (const target of targets) target.close();
  }
});

describe.skipIf(noPython)('the smoke test turns red', () => {
  /** The Python adapter with one text replaced. */
  const spoilt = (file: string, before: string, after: string): string => {
    const code = readFileSync(join(here, file), 'utf8');
    expect(code.split(before)).toHaveLength(2);
    const program = [
      'import sys, types',
      `sys.path.insert(0, ${JSON.stringify(here)})`,
      `text = open(${JSON.stringify(join(here, file))}).read().replace(${JSON.stringify(before)}, ${JSON.stringify(after)})`,
      ...(file === 'adapter.py'
        ? ['exec(compile(text, "adapter.py", "exec"))']
        : [
            'toy = types.ModuleType("toy_blk")',
            'exec(compile(text, "toy_blk.py", "exec"), toy.__dict__)',
            'sys.modules["toy_blk"] = toy',
            `exec(compile(open(${JSON.stringify(join(here, 'adapter.py'))}).read(), "adapter.py", "exec"))`,
          ]),
    ].join('\n');
    return `PYTHONDONTWRITEBYTECODE=1 exec python3 -c '${program.replaceAll("'", `'\\''`)}'`;
  };
  const cases: readonly (readonly [string, string, string, string, RegExp])[] = [
    ['hello is answered', 'adapter.py', '"version": "1",', '', /field "version" is missing: add a string/],
    ['seq is repeated', 'adapter.py', '"seq": request["seq"]', '"seq": 1', /answered seq 1 where 4000000000 was due/],
    ['a reset is granted', 'adapter.py', '{"granted": {"virtio": facts}}', '{"granted": facts}', /field "offer" is unknown/],
    [
      'an unknown stimulus',
      'adapter.py',
      '    return None\n\n\ndef main',
      '    raise KeyError(do)\n\n\ndef main',
      /exited with status 1 at apply; its stderr ends: .*KeyError/,
    ],
    ['bye ends the process', 'adapter.py', '            return\n', '            continue\n', /it still runs/],
    ['two resets in a row', 'adapter.py', '"memory.seen", ', '', /"memory.seen" is not offered/],
    [
      'features are offered',
      'toy_blk.py',
      'self.offered = F_VERSION_1 |',
      'self.offered = 0 |',
      /VIRTIO_F_VERSION_1 \(bit 32\) is not offered/,
    ],
    [
      'one block request',
      'adapter.py',
      'mmap.mmap(fd, machine["memory"])',
      'mmap.mmap(-1, machine["memory"])',
      /the used index is 0, not 1/,
    ],
    ['its data and status', 'toy_blk.py', 'struct.pack("<H", i & 0xFFFF)', 'b"xy"', /sector 2 does not hold the pattern/],
    ['its interrupt', 'toy_blk.py', 'interrupts = ["queue"]', 'interrupts = []', /no interrupt was reported/],
    [
      'the capacity is the one',
      'adapter.py',
      'largest, blk["sectors"],',
      'largest, 32,',
      /64 sectors were asked for and granted, and the configuration field capacity is 32/,
    ],
    [
      'the capacity is the one',
      'toy_blk.py',
      'range(sectors * 256)',
      'range(sectors * 256 - 256)',
      /64 sectors were asked for and granted, and sector 63 does not hold the pattern/,
    ],
    [
      'the capacity is the one',
      'toy_blk.py',
      'fits, start = length % 512 == 0 and sector + length // 512 <= self.sectors, sector * 512',
      'fits, start = length % 512 == 0 and sector + length // 512 < self.sectors, sector * 512',
      /sector 63, ends with status 1/,
    ],
    [
      'the capacity is the one',
      'toy_blk.py',
      'fits, start = length % 512 == 0 and sector + length // 512 <= self.sectors, sector * 512',
      'fits, start = length % 512 == 0, sector * 512',
      /sector 64, one past the last, can be read: the disk is larger/,
    ],
    ['a reset forgets', 'toy_blk.py', 'self.enabled = False', 'self.enabled, self.status = False, 1', /the status after a reset/],
  ];
  test.each(cases)('%s', async (check, file, before, after, detail) => {
    const checks = await all(spoilt(file, before, after), check.startsWith('bye') ? 2000 : undefined);
    const last = checks.at(-1);
    expect(checks.slice(0, -1).every((green) => green.ok)).toBe(true);
    expect(last).toMatchObject({ ok: false, check: expect.stringContaining(check), detail: expect.stringMatching(detail) });
    expect(last?.fix).toBeTruthy();
  });
});
