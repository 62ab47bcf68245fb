// The command as a user meets it: what it prints, and its exit codes (0 as expected, 1 broken, 2 undecided, 64 usage).

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { handedOver } from '../scripts/print.ts';
import { main } from '../scripts/program.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmmc-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
/** In process, so that a command costs no start; one test spawns it. */
const vmmc = async (...args: readonly string[]): Promise<Ran> => {
  let [out, err] = ['', ''];
  const to = vi.spyOn(process.stdout, 'write').mockImplementation((text, done?: unknown) => {
    out += stripVTControlCharacters(String(text));
    if (typeof done === 'function') done();
    return true;
  });
  const errors = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    const code = await main(args);
    return { code, out, err };
  } finally {
    to.mockRestore();
    errors.mockRestore();
  }
};

const served = 'traces/virtio/served.jsonl';
const twice = 'traces/virtio/fault-head-twice.jsonl';
const lines = readFileSync(join(root, served), 'utf8').trimEnd().split('\n');
const cut = join(folder, 'cut.jsonl');
writeFileSync(cut, `${lines.slice(0, 30).join('\n')}\n`);
const changed = join(folder, 'changed.jsonl');
writeFileSync(changed, readFileSync(join(root, served), 'utf8').replace('"virtio.blk.in.data":"kept"', '"virtio.blk.in.data":"broken@3"'));

describe('check, before it runs', () => {
  test('refuses a folder for traces that is a file, or in one', async () => {
    for (const folder of [changed, join(changed, 'below')])
      expect(await vmmc('check', 'ref', '--area', 'virtio.blk', '--runs', '1', '--save', folder)).toMatchObject({
        code: 64,
        err: expect.stringContaining('traces cannot be written there'),
      });
  });
  test('calls nothing unsupported that only time was too short for', async () => {
    const { code, out } = await vmmc('check', 'ref', '--area', 'virtio.blk', '--for', '0s');
    expect(out).toContain('39 untested');
    expect(out).not.toContain('unsupported');
    expect(code).toBe(2);
  });
});
describe('replay', () => {
  test('judges a recording as its footer says', async () => {
    const { code, out } = await vmmc('replay', served, twice);
    expect(out).toContain(`${served}: 37 events`);
    expect(out).toContain('✗ virtio.split.used.id-outstanding at event 53');
    expect(out).toContain('2 broken; as recorded');
    expect(code).toBe(0);
  });
  test('says where today differs from the footer', async () => {
    const { code, out } = await vmmc('replay', changed);
    expect(out).toContain('virtio.blk.in.data: recorded as broken, and judged kept');
    expect(code).toBe(1);
  });
  test('leaves a trace without its end undecided, on a target too', async () => {
    expect(await vmmc('replay', cut)).toMatchObject({ code: 2, out: expect.stringContaining('ends after line 30') });
    expect(await vmmc('replay', cut, '--on', 'ref')).toMatchObject({ code: 2, out: expect.stringContaining('ends after line 30') });
  });
  test('on a target judges what that does', async () => {
    expect(await vmmc('replay', twice, '--on', 'ref')).toMatchObject({ code: 0, out: expect.stringContaining('0 broken') });
    expect(await vmmc('replay', twice, '--on', 'fault:VB-112')).toMatchObject({ code: 1, out: expect.stringContaining('2 broken') });
  });
  test.each([[[]], [['--on', 'ref']]])('names what is no trace %j', async (on) => {
    expect(await vmmc('replay', 'package.json', ...on)).toMatchObject({
      code: 64,
      err: expect.stringContaining('package.json:1: is no JSON'),
    });
    expect(await vmmc('replay', '/no/such', ...on)).toMatchObject({ code: 64, err: expect.stringContaining('/no/such: cannot be read') });
  });
});

test('check says what was asked of machines that were not built, and the reason', async () => {
  const { out } = await vmmc('check', 'ref', '--area', 'virtio.blk', '--runs', '300', '--save', folder);
  expect(out).toMatch(/^virtio\.blk: \d of \d+ machines not built, asked for bus vhost-user; the target's reason: no vhost-user socket: /m);
  expect(out).not.toContain('not tried');
});
describe('minimize', () => {
  test('shortens what a fault shows, and the result shows it again', async () => {
    const least = join(folder, 'least.jsonl');
    const { code, out } = await vmmc('minimize', twice, '--on', 'fault:VB-112', '-o', least);
    expect(out).toMatch(/\d+ stimuli of 32, \d+ shrinks\n {2}signature: virtio\.split\.used\.id-outstanding \| /);
    expect(code).toBe(0);
    expect((await vmmc('replay', least, '--on', 'fault:VB-112')).code).toBe(1);
  });
  test('says that what it made is minimal already', async () => {
    const [least, again] = [join(folder, 'least.jsonl'), join(folder, 'again.jsonl')];
    await vmmc('minimize', twice, '--on', 'fault:VB-112', '-o', least);
    const stimuli = readFileSync(least, 'utf8').match(/^\{"do":/gm)?.length;
    const { code, out } = await vmmc('minimize', least, '--on', 'fault:VB-112', '-o', again);
    expect(out).toContain(`again.jsonl: minimal already: ${stimuli} stimuli\n`);
    expect(code).toBe(0);
  });
  test('says when the target does not break it, or the trace has nothing to shorten', async () => {
    expect(await vmmc('minimize', twice, '--on', 'ref')).toMatchObject({ code: 1, out: expect.stringContaining('ref breaks none of') });
    expect(await vmmc('minimize', served, '--on', 'ref')).toMatchObject({ code: 64, err: expect.stringContaining('calls nothing broken') });
    expect(await vmmc('minimize', cut, '--on', 'ref')).toMatchObject({ code: 2, err: expect.stringContaining('ends after line 30') });
  });
});

describe('diff', () => {
  test('finds no difference, or the first', async () => {
    expect(await vmmc('diff', served, served)).toMatchObject({ code: 0, out: expect.stringContaining('no difference') });
    const { code, out } = await vmmc('diff', served, 'traces/virtio/get-id.jsonl');
    expect(out).toMatch(/\n- 21 {2}\{"plan":\{"op":"transfer".*\n\+ 21 {2}\{"plan":\{"op":"command"/);
    expect(code).toBe(1);
  });
  test('names what is no trace', async () => {
    expect(await vmmc('diff', served, 'package.json')).toMatchObject({
      code: 64,
      err: expect.stringContaining('package.json:1: must be the header'),
    });
  });
});

describe('show', () => {
  test('tells each event, and with --step what the judge says of it', async () => {
    const { code, out } = await vmmc('show', '--step', twice);
    expect(out).toMatch(/53 {3}← memory\.changed .*\n(.*✓.*\n)* *✗ virtio\.split\.used\.idx-bounded: expected/);
    expect(out).toContain('broken@53  virtio.split.used.id-outstanding');
    expect(out).toContain('✗ virtio.split.used.id-outstanding (queue 0 head 3): expected');
    expect(code).toBe(0);
  });
  test('says what machine it is', async () => {
    const { out } = await vmmc('show', twice);
    expect(out).toMatch(
      /^machine: 131072 bytes of memory .*, 64 sectors in blocks of 512, .*, 1 queue of at most 8, offers features 0x130006e44$/m,
    );
  });
  test('tells alike objections of one event apart, by request', async () => {
    const file = join(folder, 'alike.jsonl');
    await vmmc('record', 'fault:VB-108', '--area', 'virtio.blk', '--runs', '30', '-o', file);
    const { out } = await vmmc('show', '--step', file);
    const wrong = out.split('\n').filter((line) => line.includes('✗ virtio.blk.in.data'));
    expect(wrong.length).toBeGreaterThan(1);
    expect(wrong.filter((line) => !/\(queue \d head \d+, IN of \d+ from sector \d+\)/.test(line))).toEqual([]);
  });
});

test('check --clause makes programs of its area alone', async () => {
  const { code, out } = await vmmc('check', 'ref', '--clause', 'virtio.mmio.id.magic', '--runs', '20', '--report', 'json');
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ programs: 20 });
  expect(out).toContain('virtio.mmio.id.magic');
});

test.each([
  [
    'virtio/indirect-mixed',
    /queue 0 head 0 is available: IN of 1 from sector 0, 512 bytes to the driver .*\n(.*\n)*.*queue 0 head 0 is used: length 513, status OK/,
  ],
  ['virtio/no-interrupt', /queue 0: available idx from 0 to 1: a notification is owed/],
  ['vt-d/unmapped-fault', /requester 0: permitted: .*; was: /],
  ['instructions/div-by-zero', /DIV, \d+ bytes; permitted: #DE; was: #DE at/],
])('show tells what %s means in the words of its area', async (name, words) => {
  const { code, out } = await vmmc('show', `traces/${name}.jsonl`);
  expect(out).toMatch(words);
  expect(code).toBe(0);
});

test('the process ends when a slow reader has everything, and not before', async () => {
  const taken: string[] = [];
  const slow = new Writable({
    highWaterMark: 1,
    write: (chunk: Buffer, _encoding, done) => void setImmediate(() => (taken.push(chunk.toString()), done())),
  });
  for (const part of ['a', 'b', 'c']) slow.write(part);
  await handedOver(slow);
  expect(taken.join('')).toBe('abc');
});

describe('agree', () => {
  test('prints the clauses on which targets differ', async () => {
    const args = ['ref', 'fault:VB-011', '--area', 'virtio.split', '--runs', '40', '--save', folder];
    const { code, out } = await vmmc('agree', ...args);
    expect(out).toMatch(/virtio\.split\.completes +│ kept +│ broken/);
    expect(out).toMatch(/programs: ref 40, fault:VB-011 40: \d+ agreed, 0 differ as known, [1-9]\d* differ otherwise, 0 not comparable/);
    expect(code).toBe(1);
    const again = /virtio\.split\.completes\n {2}fault:VB-011, again: .*(replay \S+ --on \S+)/.exec(out)?.[1] ?? '';
    expect(await vmmc(...again.split(' '))).toMatchObject({ code: 1 });
    const { differ, kept, clauses, accounts } = JSON.parse((await vmmc('agree', ...args, '--json')).out) as {
      readonly clauses: number;
      readonly accounts: Readonly<Record<'clauses' | 'programs', Readonly<Record<string, number>>>>;
      readonly differ: readonly { readonly clause: string; readonly targets: readonly object[] }[];
      readonly kept: number;
    };
    expect(kept).toBeGreaterThan(0);
    const sum = (account: Readonly<Record<string, number>>): number => Object.values(account).reduce((a, b) => a + b, 0);
    expect([sum(accounts.clauses), sum(accounts.programs)]).toEqual([clauses, 40]);
    expect(differ.find((d) => d.clause === 'virtio.split.completes')?.targets).toMatchObject([
      { target: 'ref', verdict: 'kept' },
      { target: 'fault:VB-011', verdict: 'broken', trace: expect.stringContaining(folder) as string },
    ]);
  });
});

test('record writes a trace that replays as recorded, compressed where the name says so', async () => {
  const file = join(folder, 'ref.jsonl.gz');
  expect(await vmmc('record', 'ref', '--area', 'virtio.blk', '--runs', '3', '-o', file)).toMatchObject({ code: 0 });
  expect([...readFileSync(file).subarray(0, 2)]).toEqual([0x1f, 0x8b]);
  expect(await vmmc('replay', file)).toMatchObject({ code: 0, out: expect.stringContaining('as recorded') });
});
test('check ends in the command which repeats a failure', async () => {
  const { code, out } = await vmmc('check', 'fault:VB-112', '--area', 'virtio.split', '--runs', '40', '--save', folder);
  expect(code).toBe(1);
  const again = /again: npx tsx scripts\/vmmc.ts (replay \S+ --on \S+)/.exec(out)?.[1] ?? '';
  expect((await vmmc(...again.split(' '))).code).toBe(1);
});

test.each([
  ['check nosuch', 'no target is called nosuch; there are ref[:DISK], '],
  ['check --area nosuch', 'no area is called nosuch; there are machine, '],
  ['check --clause nosuch', 'no clause is called nosuch; vmmc clauses prints all'],
  ['check --clause virtio.blk.in.dat', '; there are virtio.blk.in.data'],
  [
    'check --clause virtio.mmio.id',
    'there are virtio.mmio.id.magic, virtio.mmio.id.version, virtio.mmio.id.device: name one, or all of an area by --area',
  ],
  ['check --runs x', '--runs x: must be a whole number'],
  ['check --report nosuch', 'no report is called nosuch'],
  ['check --for soon', '--for soon: write 60s'],
  ['check --jobs 0', '--jobs 0: must be a whole number of at least 1'],
  ['check --jobs -1', '--jobs -1: must be a whole number of at least 1'],
  ['check --jobs all', '--jobs all: must be a whole number of at least 1'],
  ['check vhost-user:/no/such --jobs 2', 'can be connected to only once (a back end serves one front end at a time); leave --jobs out'],
  ['check --runs 5 --for 1s', '--runs and --for exclude each other'],
  ['check --nosuch', "vmmc: unknown option '--nosuch'"],
  ['record ref', "vmmc: required option '-o, --output <file>' not specified"],
  ['faults nosuch', 'no fault is seeded for nosuch'],
  ['clauses --area nosuch', 'no area is called nosuch'],
  ['agree ref', 'name one more beside ref, for example qemu'],
  ['agree qsd', 'name one more beside qsd, for example ref'],
  ['agree ref ref --runs 0', '--runs 0: must be a whole number of at least 1'],
  ['record ref --area nosuch -o no', 'no area is called nosuch'],
  ['nosuch', "vmmc: unknown command 'nosuch'"],
])('vmmc %s is a mistake, named with its fix', async (line, message) => {
  expect(await vmmc(...line.split(' '))).toMatchObject({ code: 64, err: expect.stringContaining(message) });
});
test('the process leaves the exit code', () => {
  const args = ['--import', 'tsx', 'scripts/vmmc.ts', 'replay', cut];
  const ran = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 25_000 });
  expect(ran).toMatchObject({ status: 2, stdout: expect.stringContaining('ends after line 30') });
});
test('the README names commands that exist, all of them', async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const named = new Set(Array.from(readme.matchAll(/^vmmc ([a-z]+)/gm), (m) => m[1]));
  const { out } = await vmmc('--help');
  const offered = Array.from(out.matchAll(/^ {2}([a-z]+) /gm), (m) => m[1]).filter((name) => name !== 'help');
  expect([...named].sort()).toEqual(offered.sort());
});
