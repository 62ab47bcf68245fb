// What is left when a run is cut short: SIGINT, SIGKILL, a full disk, a socket in use, a program that is not there.
// Recordings are readable to their last whole line; children, temporary files and shared memory are gone.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { areas } from './areas.ts';
import { connect, probes } from './connect.ts';
import { createJudge } from './judge.ts';
import { judgeTrace } from './trace/judge.ts';
import { traceWriter } from './trace/write.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmmc-cut-'));
afterAll(() => rmSync(folder, { recursive: true }));
const available = (await probes()).filter((p) => p.available).map((p) => p.name.replace(/\[.*/, ''));
const started = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, ['--import', 'tsx', 'scripts/vmmc.ts', ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
/** Waits until the recording holds something worth losing. */
const growing = (file: string): Promise<void> =>
  expect.poll(() => (existsSync(file) ? statSync(file).size : 0), { timeout: 30_000 }).toBeGreaterThan(50_000) as unknown as Promise<void>;
/** Every process below `pid`, while it lives. */
const below = (pid: number): readonly number[] =>
  readdirSync('/proc')
    .filter((p) => /^\d+$/.test(p))
    .flatMap((p) => {
      try {
        const stat = readFileSync(`/proc/${p}/stat`, 'latin1');
        return Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]) === pid ? [Number(p), ...below(Number(p))] : [];
      } catch {
        return [];
      }
    });
const alive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
};
/** As the kernel has it, at most 15 characters. */
const nameOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
};
const leftovers = (): readonly string[] =>
  [tmpdir(), '/dev/shm'].flatMap((at) =>
    existsSync(at)
      ? readdirSync(at)
          .filter((f) => /^vmmc-(qsd|qemu|vhost|exec|memory|guest|room)/.test(f))
          .map((f) => join(at, f))
      : [],
  );

describe('a recording that is cut short', () => {
  const targets = ['ref', 'qsd', 'qemu', 'qemu-microvm'].filter((t) => available.includes(t));
  test.each(targets.flatMap((t) => (['SIGINT', 'SIGKILL'] as const).map((s) => [t, s] as const)))(
    'on %s by %s is readable to its last whole line, and nothing else is left',
    { timeout: 60_000 },
    async (target, signal) => {
      const file = join(folder, `${target}-${signal}.jsonl`);
      const before = new Set(leftovers());
      const child = started(['record', target, '--runs', '1000000', '-o', file]);
      const exit = once(child, 'exit');
      await growing(file);
      const children = below(child.pid as number);
      expect(children.length > 0 || target === 'ref').toBe(true);
      // Another vmmc may be at work on this machine: files say whose they are.
      const owners = new Set([child.pid, ...children].map(String));
      const made = leftovers().filter(
        (f) => !before.has(f) && owners.has(/-(\d+)-/.exec(f.slice(f.lastIndexOf('/')))?.[1] ?? `${child.pid}`),
      );
      child.kill(signal);
      const [code, by] = (await exit) as [number | null, string | null];
      expect(signal === 'SIGINT' ? (code ?? by) : by).toBe(signal === 'SIGINT' ? (code === null ? 'SIGINT' : 130) : 'SIGKILL');
      const j = await judgeTrace(file, createJudge(areas));
      expect(j.truncated).toContain('ends after line');
      const text = readFileSync(file, 'utf8');
      expect(j.lines).toBeGreaterThanOrEqual(text.split('\n').length - 1);
      expect(target === 'ref' ? j.findings : []).toEqual([]);
      await expect.poll(() => children.filter(alive), { timeout: 15_000 }).toEqual([]);
      await expect.poll(() => made.filter((f) => existsSync(f)), { timeout: 15_000 }).toEqual([]);
    },
  );
});

test('SIGINT ends a check with what was found so far, and 130', { timeout: 60_000 }, async () => {
  const report = join(folder, 'cut.json');
  const child = started(['check', 'ref', '--for', '10m', '--area', 'virtio.pci', `--report=json=${report}`, '--report=console']);
  let [out, err] = ['', ''];
  child.stdout?.on('data', (d: Buffer) => (out += d.toString()));
  child.stderr?.on('data', (d: Buffer) => (err += d.toString()));
  const exit = once(child, 'exit');
  // Nothing says that it has begun to explore, but the file for its report is there first, and what lies between costs less than 1 s of processor time.
  const ticks = (): number => {
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[11]);
  };
  await expect.poll(() => existsSync(report), { timeout: 40_000 }).toBe(true);
  const then = ticks();
  await expect.poll(ticks, { timeout: 10_000 }).toBeGreaterThan(then + 100);
  child.kill('SIGINT');
  const [code] = (await exit) as [number | null];
  expect(code, err).toBe(130);
  expect(out).toContain('programs');
  expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ schema: 1, target: { name: 'ref' } });
});

test.skipIf(!available.includes('qsd'))(
  'a check in several threads that is killed leaves nothing behind',
  { timeout: 60_000 },
  async () => {
    const before = new Set(leftovers());
    const child = started(['check', 'qsd', '--jobs', '2', '--for', '10m', '--area', 'virtio.blk', '--save', folder]);
    const exit = once(child, 'exit');
    const { pid = 0 } = child;
    // Three connections, each with its programs: its own, and those of the threads.
    const working = (): readonly number[] => below(pid).filter((p) => nameOf(p).startsWith('qemu-'));
    await expect.poll(() => working().length, { timeout: 40_000 }).toBeGreaterThan(3);
    const children = below(pid);
    const owners = new Set([pid, ...children].map(String));
    const made = leftovers().filter((f) => !before.has(f) && owners.has(/-(\d+)-/.exec(f.slice(f.lastIndexOf('/')))?.[1] ?? ''));
    child.kill('SIGKILL');
    expect(await exit).toEqual([null, 'SIGKILL']);
    await expect.poll(() => children.filter(alive), { timeout: 15_000 }).toEqual([]);
    await expect.poll(() => made.filter((f) => existsSync(f)), { timeout: 15_000 }).toEqual([]);
  },
);

describe('a disk that is full', () => {
  const full = existsSync('/dev/full');
  test.skipIf(!full)('is said with the file, and how much of it is whole', () => {
    expect(() => traceWriter('/dev/full', { about: [], story: '', target: { name: 'x', version: '1', offers: [] } })).toThrow(
      /\/dev\/full: cannot be written \(ENOSPC.*0 lines of it are whole; free some room/,
    );
  });
  test.skipIf(!full)('ends a recording with 64 and no stack', () => {
    const ran = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/vmmc.ts', 'record', 'ref', '--runs', '2', '-o', '/dev/full'], {
      cwd: root,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect([ran.status, ran.stderr]).toEqual([64, expect.stringMatching(/^vmmc: \/dev\/full: cannot be written \(ENOSPC[^\n]*\n$/)]);
  });
  test('leaves the whole lines that were written', async () => {
    if (process.getuid?.() !== 0) {
      process.stdout.write('not root: no small file system can be mounted, so only /dev/full was tried\n');
      return;
    }
    const small = mkdtempSync(join(tmpdir(), 'vmmc-small-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small], { timeout: 10_000 }).status === 0;
    try {
      if (!mounted) {
        process.stdout.write('no tmpfs can be mounted here, so only /dev/full was tried\n');
        return;
      }
      const file = join(small, 'trace.jsonl');
      const ran = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/vmmc.ts', 'record', 'ref', '--runs', '200', '-o', file], {
        cwd: root,
        encoding: 'utf8',
        timeout: 60_000,
      });
      expect(ran.status).toBe(64);
      expect(ran.stderr).toMatch(/cannot be written \(ENOSPC.*lines of it are whole/);
      const j = await judgeTrace(file, createJudge(areas));
      expect(j.lines).toBeGreaterThan(10);
      expect(j.truncated).toContain('ends after line');
    } finally {
      if (mounted) spawnSync('umount', [small], { timeout: 10_000 });
      rmSync(small, { recursive: true, force: true });
    }
  });
});

describe('what cannot be reached', () => {
  test.each([
    ['qemu:/no/such/qemu', /no\/such\/qemu/],
    ['vhost-user:/no/such/socket', /no\/such\/socket/],
    ['trace:/no/such/trace', /no\/such\/trace/],
    ['module:/no/such/module.js', /no\/such\/module/],
    ['exec:vmmc-no-such-program', /vmmc-no-such-program|status 127/],
    ['fault:', /the id of a fault is missing/],
  ])('%s is named', async (name, says) => {
    await expect(connect(name)).rejects.toThrow(says);
  });
  test('a file that is no socket, and a socket that nobody serves', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await expect(connect(`vhost-user:${file}`)).rejects.toThrow(file);
    const path = join(folder, 'socket');
    const server = createServer();
    server.listen(path);
    await once(server, 'listening');
    server.close();
    writeFileSync(path, '');
    await expect(connect(`vhost-user:${path}`)).rejects.toThrow(path);
  });
  test('a socket in use says so: its back end is busy with somebody else', { timeout: 60_000 }, async () => {
    const path = join(folder, 'busy');
    const server = createServer();
    server.listen(path);
    await once(server, 'listening');
    try {
      await expect(connect(`vhost-user:${path}`)).rejects.toThrow(/busy: the back end did not answer .* is another one connected\?/);
    } finally {
      server.close();
    }
  });
});
