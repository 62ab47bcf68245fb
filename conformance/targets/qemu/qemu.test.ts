// Both QEMU targets do a request end to end; a killed, hung or abandoned QEMU is an answer and leaves nothing behind.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { Answer, Course, MachineConfig, Target } from '../../../spec/units.ts';
import type { VirtioMachine } from '../../../spec/virtio/vocabulary.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import { data, initialise, machine, request, status, store } from './driver.ts';
import { microvmTarget, probeMicrovm, probeQemu, qemuTarget } from './target.ts';

type Sync = (stimuli: Parameters<NonNullable<Target['applyAll']>>[0]) => readonly Answer[];
const traces = (owner: number): string[] => fs.readdirSync('/dev/shm').filter((name) => name.startsWith(`vmmc-qemu-${owner}-`));
/** The QEMU whose files are in this directory. */
const qemuOf = (dir: string): number =>
  Number(
    fs.readdirSync('/proc').find((pid) => {
      if (!/^\d+$/.test(pid) || !fs.existsSync(`/proc/${pid}/cmdline`)) return false;
      const [command = '', ...rest] = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      return command.includes('qemu-system') && rest.some((argument) => argument.includes(dir));
    }),
  );
const saw = (answer: Answer | undefined): readonly Observation[] => (answer !== undefined && 'saw' in answer ? answer.saw : []);
const kinds = (answer: Answer | undefined): string[] => saw(answer).map((o) => o.saw);
const changed = (answer: Answer | undefined, at: number): number | undefined => {
  for (const o of saw(answer)) {
    if (o.saw !== 'memory.changed') continue;
    for (const w of o.writes) if (BigInt(at) >= w.at && BigInt(at) < w.at + BigInt(w.bytes.length)) return w.bytes[at - Number(w.at)];
  }
  return undefined;
};

let target: Target | undefined;
afterEach(() => {
  target?.close();
  target = undefined;
  expect(traces(process.pid)).toEqual([]);
});

for (const { name, open, probed, queue } of [
  { name: 'qemu', open: qemuTarget, probed: probeQemu(), queue: { queue: 0 } },
  { name: 'qemu-microvm', open: microvmTarget, probed: probeMicrovm(), queue: {} },
]) {
  if (!probed.available) console.warn(`${name} is not tested: ${probed.reason} (${probed.install})`);
  describe.skipIf(!probed.available)(name, () => {
    const start = (config: MachineConfig = machine): Sync => {
      target ??= open();
      expect(target.reset(config)).toHaveProperty('granted');
      return target.applyAll as Sync;
    };

    it('reads the pattern, tells its interrupt, and settles idle when nothing is awaited', () => {
      const apply = start();
      expect(apply(initialise).at(-1)).toEqual({ saw: [{ saw: 'virtio.status', value: 15 }] });
      const done = apply(request(0, 1, 512, true)).at(-1);
      expect(saw(done).slice(1)).toEqual([
        { saw: 'interrupt', from: 'queue', ...queue },
        { saw: 'settled', by: 'until' },
      ]);
      expect([changed(done, status), changed(done, data), changed(done, data + 1)]).toEqual([0, 0, 1]);
      expect(apply([{ do: 'settle' }])).toEqual([{ saw: [{ saw: 'settled', by: 'idle' }] }]);
    });

    it('proves idle what never comes', () => {
      const apply = start();
      const silent = apply([...initialise, ...request(0, 1, 512, true).filter((s) => s.do !== 'virtq.notify')]).at(-1);
      expect(silent).toEqual({ saw: [{ saw: 'settled', by: 'idle' }] });
    });

    it('tells what a reset finished with the reset, and nothing after it', () => {
      const apply = start();
      const inFlight = request(0, 1, 512, true).filter((s) => s.do !== 'settle');
      const [reset, after] = apply([...initialise, ...inFlight, { do: 'virtio.status.write', value: 0 }, { do: 'settle' }]).slice(-2);
      expect(changed(reset, status)).toBe(0);
      expect(after).toEqual({ saw: [{ saw: 'settled', by: 'idle' }] });
    });

    it('is as new after a reset: disk, memory, capacity', () => {
      const apply = start();
      apply([...initialise, store(data, [4, 0xdeadbeef]), ...request(1, 1, 512, false)]);
      const resized = apply([{ do: 'host.resize', sectors: 32 }, { do: 'settle' }, { do: 'virtio.config.read', at: 0, width: 8 }]);
      expect(saw(resized[1]).at(-2)).toEqual({ saw: 'interrupt', from: 'config' });
      expect(saw(resized[2])[0]).toMatchObject({ bytes: Uint8Array.from([32, 0, 0, 0, 0, 0, 0, 0]) });
      start();
      const again = apply([{ do: 'virtio.config.read', at: 0, width: 8 }, ...initialise, ...request(0, 1, 512, true)]);
      expect(saw(again[0])[0]).toMatchObject({ bytes: Uint8Array.from([64, 0, 0, 0, 0, 0, 0, 0]) });
      expect([changed(again.at(-1), data), changed(again.at(-1), data + 1)]).toEqual([0, 1]);
    });

    it('offers the features that are asked for, and says what it cannot build', () => {
      start();
      const features = (offer: bigint): bigint => {
        const apply = start({ ...machine, virtio: { ...(machine.virtio as VirtioMachine), offer } });
        const [o] = saw(apply([{ do: 'virtio.features.read' }])[0]);
        return o?.saw === 'virtio.features' ? o.offered : 0n;
      };
      const switched = (1n << 13n) | (1n << 28n) | (1n << 29n);
      expect(features(1n << 32n) & switched).toBe(0n);
      expect(features((1n << 32n) | switched) & switched).toBe(switched);
      const blk = { ...machine.virtio?.blk, sectors: 9 } as VirtioMachine['blk'];
      const small = start({ ...machine, virtio: { ...(machine.virtio as VirtioMachine), blk } });
      expect(saw(small([{ do: 'virtio.config.read', at: 0, width: 4 }])[0])).toMatchObject([{ bytes: Uint8Array.from([9, 0, 0, 0]) }]);
      expect(target?.reset({ ...machine, memory: 1 << 20 })).toHaveProperty('unsupported');
      expect(target?.reset({ ...machine, virtio: { ...(machine.virtio as VirtioMachine), queueSizeMax: 7 } })).toHaveProperty(
        'unsupported',
      );
    });

    it('answers programs side by side as one by one, and what befalls one QEMU is not the other’s', { timeout: 60_000 }, async () => {
      const apply = start();
      const unnotified = request(0, 1, 512, true).filter((s) => s.do !== 'virtq.notify');
      const steps = [initialise, request(0, 1, 512, true), [{ do: 'settle' } as const], request(1, 2, 600, false, 2)];
      const quiet = [initialise, unnotified, ...Array.from({ length: 20 }, () => [{ do: 'settle' } as const])];
      const alone = (of: readonly (readonly Stimulus[])[]): readonly (readonly Answer[])[] => {
        start();
        return of.map((step) => apply(step));
      };
      const course = (of: readonly (readonly Stimulus[])[], befalls?: NodeJS.Signals): Course =>
        function* () {
          for (const [i, step] of of.entries()) {
            if (i === 2 && befalls !== undefined) process.kill(qemuOf(traces(process.pid)[0] ?? 'none'), befalls);
            yield step;
          }
        };
      const both = async (...courses: readonly Course[]): Promise<readonly (readonly (readonly Answer[])[])[]> =>
        ((await target?.sideBySide?.(machine, courses)) ?? []).map((ran) => ('granted' in ran ? ran.answers : []));
      const [plain, still] = [alone(steps), alone(quiet)];
      expect(still.at(-1)).toEqual([{ saw: [{ saw: 'settled', by: 'idle' }] }]);
      expect(await both(course(steps), course(quiet), course(quiet), course(steps))).toEqual([plain, still, still, plain]);
      for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
        const ran = await both(course(quiet, signal), course(quiet));
        const [broken] = ran.flat(2).filter((answer) => 'broke' in answer);
        expect(broken).toHaveProperty('broke', expect.stringMatching(signal === 'SIGKILL' ? /^QEMU exited/ : /^hang: no answer in 2 s/));
        expect(ran.filter((answers) => answers.length === quiet.length)).toEqual([still]);
        expect(await both(course(steps), course(quiet))).toEqual([plain, still]);
      }
    });

    it('answers broke when QEMU is killed, blames the stimulus, and starts another at the next reset', () => {
      const apply = start();
      expect(kinds(apply(initialise).at(-1))).toEqual(['virtio.status']);
      process.kill(qemuOf(traces(process.pid)[0] ?? 'none'), 'SIGKILL');
      expect(apply([store(data, [1, 0]), { do: 'virtio.status.read' }, { do: 'settle' }])).toEqual([
        { saw: [] },
        { broke: 'QEMU exited 137' },
      ]);
      start();
      expect(kinds(apply([...initialise, ...request(0, 1, 512, true)]).at(-1))).toEqual(['memory.changed', 'interrupt', 'settled']);
    });
  });
}

describe.skipIf(!probeQemu().available)('qemu, abandoned or disturbed', () => {
  const start = (): Sync => {
    target ??= qemuTarget();
    expect(target.reset(machine)).toHaveProperty('granted');
    return target.applyAll as Sync;
  };

  it('answers broke when QEMU no longer answers', () => {
    const apply = start();
    process.kill(qemuOf(traces(process.pid)[0] ?? 'none'), 'SIGSTOP');
    expect(apply([{ do: 'virtio.status.read' }])).toEqual([{ broke: 'hang: no answer in 2 s, killed; QEMU exited 137' }]);
  });

  it('is reachable again after raw accesses have moved its BARs and masked its vectors', () => {
    const apply = start();
    apply([
      { do: 'pci.config.write', at: 0x20, width: 4, value: 0 },
      { do: 'pci.config.write', at: 0x04, width: 2, value: 0 },
      { do: 'pci.bar.write', bar: 1, at: 12, width: 4, value: 1 },
    ]);
    expect(apply([{ do: 'pci.bar.read', bar: 4, at: 0, width: 4 }])).toEqual([
      { saw: [{ saw: 'pci.bar', bar: 4, at: 0, width: 4, value: 0xffffffff }] },
    ]);
    start();
    expect(kinds(apply([...initialise, ...request(0, 1, 512, true)]).at(-1))).toEqual(['memory.changed', 'interrupt', 'settled']);
    expect(saw(apply([{ do: 'pci.config.read', at: 0, width: 4 }])[0])).toEqual([
      { saw: 'pci.config', at: 0, width: 4, value: 0x10421af4 },
    ]);
  });

  it('leaves no process and no file when its owner is killed', async () => {
    const script = `const { qemuTarget } = await import(${JSON.stringify(new URL('target.ts', import.meta.url).href)});
      const { machine } = await import(${JSON.stringify(new URL('driver.ts', import.meta.url).href)});
      qemuTarget().reset(machine); console.log('ready'); setInterval(() => {}, 1000);`;
    const owner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(owner.stdout, 'data');
    const pid = owner.pid ?? 0;
    const [dir = 'none'] = traces(pid);
    const qemu = qemuOf(dir);
    owner.kill('SIGKILL');
    await expect.poll(() => traces(pid), { timeout: 5_000 }).toEqual([]);
    expect(fs.existsSync(`/proc/${qemu}`)).toBe(false);
  });
});
