// Several threads give the same bytes as one: whatever the areas, whether machines are refused, something is found, or the adapter breaks the protocol.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MachineConfig } from '../spec/units.ts';
import { connect, onlyOnce } from './connect.ts';
import { type Crew, startCrew } from './crew.ts';
import { explore, type ExploreOptions } from './explore.ts';
import { jsonReport } from './report/json.ts';
import type { CheckResult } from './report/result.ts';
import { schedule, type Site } from './schedule.ts';
import type { Suite } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmmc-crew-'));
afterAll(() => rmSync(folder, { recursive: true }));

const checked = async (name: string, crew: Crew | undefined, more: Partial<ExploreOptions>): Promise<CheckResult> => {
  const target = await connect(name);
  try {
    return await explore({ target, name, areas: [], seed: 1, strict: false, ...more, ...(crew === undefined ? {} : { crew }) });
  } finally {
    await target.close();
  }
};
const crewOf = async (name: string, jobs: number): Promise<Crew> => {
  const target = await connect(name);
  await target.close();
  return startCrew(name, jobs, target.hello);
};
const everything = (result: CheckResult): unknown => [
  jsonReport(result),
  result.counterexamples.map(({ program, lines, shrinks, seen }) => ({ program, lines, shrinks, seen })),
];

describe('ref', () => {
  let two: Crew;
  beforeAll(async () => {
    two = await crewOf('ref', 2);
  });
  afterAll(() => two.close());
  test.each<Partial<ExploreOptions>>([
    { areas: ['virtio'], runs: 16 },
    { areas: ['virtio.blk'], runs: 150, seed: 2, shard: { index: 2, of: 2 } },
    { areas: ['instructions', 'vt-d'], runs: 40, seed: 3 },
  ])('in two threads as in one: %j', async (options) => {
    const one = await checked('ref', undefined, options);
    expect(everything(await checked('ref', two, options))).toEqual(everything(one));
    // The machines on a vhost-user socket are refused: blocks that were given out for them are given out for others.
    expect(one.refused.length > 0).toBe(options.areas?.[0]?.startsWith('virtio'));
  });
  test('by the clock: what was played in time counts', async () => {
    const began = performance.now();
    const result = await checked('ref', two, { areas: ['virtio.mmio'], forMs: 1_000 });
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(result.programs).toBeGreaterThan(0);
    expect(result.clauses.filter((c) => c.verdict === 'kept').length).toBeGreaterThan(5);
  });
});
test('a fault in two threads is found and minimized as in one', { timeout: 60_000 }, async () => {
  const two = await crewOf('fault:VB-112', 2);
  try {
    const options = { areas: ['virtio.split'], runs: 100 };
    const one = await checked('fault:VB-112', undefined, options);
    expect(one.counterexamples.length).toBeGreaterThan(2);
    expect(everything(await checked('fault:VB-112', two, options))).toEqual(everything(one));
  } finally {
    await two.close();
  }
});

describe('a target of the user', () => {
  /** A device that answers each request with nothing, and once in a while does what `odd` says. */
  const device = (file: string, odd: string): string => {
    const path = join(folder, file);
    writeFileSync(
      path,
      `import { isMainThread } from 'node:worker_threads';
      const offers = ['virtio.blk', 'memory.seen'];
      export const target = () => ({
        hello: { protocol: 1, name: 'odd', version: '1', offers },
        reset: ({ memory: size, fill, virtio }) => virtio === undefined
          ? { unsupported: 'no device' }
          : { granted: { memory: { size, fill, seen: 'reported' }, level: 'queue', reset: 'device', offers, virtio } },
        apply: (stimulus) => {
          ${odd}
          if (stimulus.do === 'virtio.features.read') return { saw: [{ saw: 'virtio.features', offered: 1n << 32n }] };
          return { saw: stimulus.do === 'settle' ? [{ saw: 'settled', by: 'sync' }] : [] };
        },
        close: () => undefined,
      });`,
    );
    return `module:${path}`;
  };
  test('that breaks the protocol ends the run where it does in one thread, with what was judged before', async () => {
    const name = device('breaks.mjs', `if (stimulus.do === 'settle') throw new Error('no rest');`);
    const options = { areas: ['virtio.blk'], runs: 300, deviations: 'none' };
    const one = await checked(name, undefined, options);
    expect(one.cutShort?.why).toMatch(/^after \d+ programs: .*apply\(\) threw: no rest/);
    const two = await crewOf(name, 2);
    try {
      expect(everything(await checked(name, two, options))).toEqual(everything(one));
    } finally {
      await two.close();
    }
  });
  test('that ends its thread is told as such', async () => {
    const name = device('ends.mjs', 'if (!isMainThread) process.exit(3);');
    const one = await crewOf(name, 1);
    await expect(checked(name, one, { areas: ['virtio.blk'], runs: 30, deviations: 'none' })).rejects.toThrow(
      'a thread of --jobs ended: exit 3',
    );
    await one.close();
  });
  test('that cannot be connected to again says why', async () => {
    const name = device('once.mjs', '');
    await expect(startCrew(name, 1, { protocol: 1, name: 'another', version: '1', offers: [] })).rejects.toThrow(
      'says another hello on a second connection',
    );
    expect([onlyOnce('ref'), onlyOnce('ref:disk'), onlyOnce('vhost-user:/run/blk.sock'), onlyOnce('exec:./adapter')]).toEqual([
      undefined,
      'its disk is one file',
      'a back end serves one front end at a time',
      undefined,
    ]);
  });
});

describe('a target that runs many programs at once', () => {
  /** Says in a file which start it runs, and which is judged. */
  const started = (file: string, more: string): string => {
    const path = join(folder, file);
    writeFileSync(
      path,
      `import { appendFileSync } from 'node:fs';
      const offers = ['memory.seen', 'cpu', 'cpu.system'];
      const granted = ({ memory: size, fill, cpu }) => ({ memory: { size, fill, seen: 'compared' }, level: 'agent', reset: 'snapshot', offers,
        cpu: { ...cpu, has: [], physicalBits: 40, vendor: 'other' } });
      const log = (line) => appendFileSync(${JSON.stringify(`${path}.log`)}, line + '\\n');
      let starts = 0;
      export const target = () => ({
        hello: { protocol: 1, name: 'many', version: '1', offers },
        reset: (machine) => ({ granted: granted(machine) }),
        apply: () => ({ unsupported: 'one' }),
        runAll: async (machine, programs) => {
          const start = ++starts;
          log('run ' + start);
          await new Promise((resume) => setImmediate(resume));
          return { granted: granted(machine), answers: { at: (i) => (log('judge ' + start), programs[i]?.map(() => ({ unsupported: 'none' }))) } };
        },
        atOnce: 1024,
        close: () => undefined,
        ${more}
      });`,
    );
    return path;
  };
  const judgedIn = async (path: string): Promise<readonly string[]> => {
    const one = await crewOf(`module:${path}`, 1);
    try {
      const jobs = [0, 1].map((i) =>
        one.order({
          seed: 1,
          suite: 'instructions',
          machine: 0,
          offers: ['cpu.system'],
          blocks: [0, 1].map((k) => ({ block: 9 * (2 * i + k), most: 20 })),
        }),
      );
      const results = await Promise.all(jobs.flatMap((j) => j.results));
      expect(results.map((r) => (r === 'undone' ? 0 : r.parts.reduce((sum, p) => sum + p.programs, 0)))).toEqual(Array(4).fill(20));
    } finally {
      await one.close();
    }
    const lines = readFileSync(`${path}.log`, 'utf8').trim().split('\n');
    return lines.filter((line, i) => line !== lines[i - 1]);
  };
  test('and cannot overlap runs the next when the one before it is judged', async () => {
    expect(await judgedIn(started('waits.mjs', ''))).toEqual(['run 1', 'judge 1', 'run 2', 'judge 2']);
  });
  test('and overlaps runs the next while the one before it is judged, each once, and judges them in order', async () => {
    const lines = await judgedIn(started('overlaps.mjs', 'overlaps: true,'));
    expect(lines.filter((l) => l.startsWith('run'))).toEqual(['run 1', 'run 2']);
    expect(lines.lastIndexOf('judge 1')).toBeGreaterThan(lines.indexOf('run 2'));
    const judged = lines.filter((l) => l.startsWith('judge'));
    expect(judged).toEqual(judged.toSorted());
  });
});

test('what is foreseen is what comes, until a machine is refused', () => {
  const machines = [1, 2, 3].map((memory): MachineConfig => ({ memory, fill: 0, bus: 'none' }));
  const site = (id: string, runs: number, machines: readonly MachineConfig[]): Site => ({
    suite: { id, machines, runs, block: 4 } as unknown as Suite,
    machines: [...machines],
    offers: [],
    built: new Set(),
    block: 0,
    played: 0,
  });
  const sites = [site('a', 30, machines), site('b', 10, machines.slice(1))];
  const turns = schedule(sites, { runs: undefined, timed: false, shard: { index: 1, of: 1 } });
  const told = ({ site, machine, block, most }: ReturnType<typeof turns.following> extends Generator<infer T> ? T : never): string =>
    `${site.suite.id}${block} on ${machine.memory}: ${most}`;
  let foreseen = Array.from(turns.following(), told);
  expect(foreseen.slice(0, 4)).toEqual(['a0 on 1: 4', 'b0 on 2: 4', 'a1 on 2: 4', 'b1 on 3: 4']);
  expect(foreseen).toContain('b2 on 2: 2');
  const came: string[] = [];
  for (let turn = turns.next(); turn !== undefined; turn = turns.next()) {
    if (turn.site.suite.id === 'a' && turn.machine.memory === 3) {
      turn.site.machines.splice(2);
      turn.site.block = turn.block;
      expect(Array.from(turns.following(), told)).toContain('a2 on 1: 4');
      foreseen = [...came, told(turn), ...Array.from(turns.following(), told)];
      came.push(told(turn));
      continue;
    }
    came.push(told(turn));
    turn.site.played += turn.most;
  }
  expect(came).toEqual(foreseen);
});
