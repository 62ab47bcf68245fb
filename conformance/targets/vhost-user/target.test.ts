// The qsd and vhost-user targets against a real qemu-storage-daemon: what they grant, see, and survive.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Answer, Course, Gpa, MachineConfig, Target } from '../../../spec/units.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import { probeQsd, qsdTarget, vhostUserTarget } from './target.ts';

const probe = await probeQsd();
if (!probe.available) console.log(`skipped: ${probe.reason}`);

const machine = (blk: { readonly readOnly?: boolean; readonly sectors?: number; readonly blockSize?: number } = {}): MachineConfig => ({
  memory: 0x10000,
  fill: 0xa5,
  bus: 'vhost-user',
  virtio: {
    device: 'blk',
    offer: (1n << 64n) - 1n,
    queueSizeMax: 256,
    queues: 1,
    blk: { disk: 'pattern', sectors: 16, readOnly: false, blockSize: 512, serial: '', ...blk },
  },
});
const [desc, avail, used, header, status, data] = [0x1000, 0x2000, 0x3000, 0x4000, 0x4100, 0x5000];
const gpa = (at: number): Gpa => BigInt(at) as Gpa;
const little = (width: number, value: number): readonly number[] =>
  Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
const write = (at: number, ...bytes: readonly number[]): Stimulus => ({ do: 'memory.write', at: gpa(at), bytes: Uint8Array.from(bytes) });
const descriptor = (i: number, at: number, length: number, flags: number, next: number): Stimulus =>
  write(desc + 16 * i, ...little(8, at), ...little(4, length), ...little(2, flags), ...little(2, next));
/** VIRTIO_F_VERSION_1 and VIRTIO_BLK_F_FLUSH. */
const accepted = (1n << 32n) | (1n << 9n);
const setUp = (base = 0, usedAt = used, size = 16): readonly Stimulus[] => [
  { do: 'virtio.status.write', value: 0 },
  { do: 'virtio.features.write', accepted },
  write(avail, ...little(2, 0), ...little(2, base)),
  write(used, ...little(2, 0), ...little(2, base)),
  { do: 'virtq.set', queue: 0, size, desc: gpa(desc), avail: gpa(avail), used: gpa(usedAt), base },
  { do: 'virtio.status.write', value: 15 },
];
const publish = (index: number): readonly Stimulus[] => [
  write(avail + 4 + 2 * (index % 16), 0, 0),
  write(avail + 2, ...little(2, (index + 1) % 65536)),
  { do: 'virtq.notify', queue: 0 },
  { do: 'settle', until: [{ at: gpa(used + 2), value: (index + 1) % 65536 }], interrupt: true },
];
const readSector = (sector: number, index = 0): readonly Stimulus[] => [
  write(header, ...little(4, 0), ...little(4, 0), ...little(8, sector)),
  descriptor(0, header, 16, 1, 1),
  descriptor(1, data, 512, 3, 2),
  descriptor(2, status, 1, 2, 0),
  ...publish(index),
];
const writeSector = (sector: number, index = 0): readonly Stimulus[] => [
  write(header, ...little(4, 1), ...little(4, 0), ...little(8, sector)),
  descriptor(0, header, 16, 1, 1),
  descriptor(1, data, 512, 1, 2),
  descriptor(2, status, 1, 2, 0),
  ...publish(index),
];
const all = (target: Target, stimuli: readonly Stimulus[]): readonly Answer[] => target.applyAll?.(stimuli) as readonly Answer[];
const last = (target: Target, stimuli: readonly Stimulus[]): readonly Observation[] => {
  const answer = all(target, stimuli).at(-1);
  if (answer === undefined || !('saw' in answer)) throw new Error(JSON.stringify(answer));
  return answer.saw;
};
/** Guest memory at an address as the reported changes leave it, over the fill. */
const bytesAt = (saw: readonly Observation[], at: number, length: number): readonly number[] => {
  const bytes = Array.from({ length }, () => 0xa5);
  for (const o of saw) {
    if (o.saw !== 'memory.changed') continue;
    for (const w of o.writes) {
      w.bytes.forEach((byte, i) => {
        const offset = Number(w.at) + i - at;
        if (offset >= 0 && offset < length) bytes[offset] = byte;
      });
    }
  }
  return bytes;
};
const how = (saw: readonly Observation[]): string => saw.map((o) => (o.saw === 'settled' ? o.by : o.saw)).join(' ');
const alive = (pid: number): boolean => existsSync(`/proc/${pid}`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
const children = (of: number): readonly number[] =>
  readFileSync(`/proc/${of}/task/${of}/children`, 'latin1')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .filter((pid) => readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('qemu-storage'));

describe.skipIf(!probe.available)('qsd', () => {
  let target: Target;
  beforeAll(async () => {
    target = await qsdTarget();
  });
  afterAll(async () => {
    await target.close();
    expect(children(process.pid)).toEqual([]);
  });

  it('answers programs side by side as one by one, and the death of one daemon is not the other’s', async () => {
    const config = machine();
    const steps = [setUp(), writeSector(1), [{ do: 'settle' } as const]];
    await target.reset(config);
    const alone = steps.map((step) => all(target, step));
    expect(alone[2]).toEqual([{ saw: [{ saw: 'settled', by: 'idle' }] }]);
    const course = (dies: boolean): Course =>
      function* () {
        for (const [i, step] of steps.entries()) {
          if (dies && i === 1) for (const pid of children(process.pid).slice(0, 1)) process.kill(pid, 'SIGKILL');
          yield step;
        }
      };
    const both = async (...dies: readonly boolean[]): Promise<readonly unknown[]> =>
      ((await target.sideBySide?.(config, dies.map(course))) ?? []).map((ran) => ('granted' in ran ? ran.answers : ran));
    expect(await both(false, false, false)).toEqual([alone, alone, alone]);
    const ran = await both(true, false);
    const ends = ran.map((answers) => (answers as readonly (readonly Answer[])[]).flat().filter((answer) => 'broke' in answer));
    expect(ends.flat()).toEqual([{ broke: expect.stringMatching(/^the back end/) as string }]);
    expect(ran).toContainEqual(alone);
    expect(await both(false, false)).toEqual([alone, alone]);
  });

  it('grants what it is and strips the bits that are not virtio', async () => {
    const granted = await target.reset(machine({ readOnly: true }));
    expect(granted).toMatchObject({
      granted: { level: 'vhost-user', virtio: { queues: 1, blk: { serial: 'vhost_user_blk', sectors: 16 } } },
    });
    const [saw] = last(target, [{ do: 'virtio.features.read' }]);
    if (saw?.saw !== 'virtio.features') throw new Error('no features');
    expect([26n, 30n, 32n, 5n].map((bit) => (saw.offered >> bit) & 1n)).toEqual([0n, 0n, 1n, 1n]);
    expect(last(target, [{ do: 'virtio.config.read', at: 0, width: 8 }])).toMatchObject([
      { bytes: Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0) },
    ]);
    expect(last(target, [{ do: 'virtq.read', queue: 1 }])).toMatchObject([{ sizeMax: 0 }]);
  });
  it('reads a sector: data, status, used element, then the interrupt', async () => {
    await target.reset(machine());
    const saw = last(target, [...setUp(), ...readSector(3)]);
    expect(how(saw)).toBe('memory.changed interrupt until');
    expect(bytesAt(saw, data, 4)).toEqual([0, 3, 1, 3]);
    expect(bytesAt(saw, status, 1)).toEqual([0]);
    const writes = saw[0]?.saw === 'memory.changed' ? saw[0].writes : [];
    const ascending = writes.map((w) => w.at).sort((a, b) => Number(a - b));
    expect(writes.map((w) => w.at)).toEqual(ascending);
  });
  it('starts a queue anywhere', async () => {
    await target.reset(machine());
    const saw = last(target, [...setUp(65535), ...readSector(1, 65535)]);
    expect(how(saw)).toBe('memory.changed interrupt until');
    expect(bytesAt(saw, used + 2, 2)).toEqual([0, 0]);
  });
  it('restores disk, memory and write cache', async () => {
    await target.reset(machine());
    last(target, [...setUp(), ...writeSector(2), { do: 'virtio.config.write', at: 32, bytes: Uint8Array.of(1) }]);
    expect(bytesAt(last(target, [...setUp(), ...readSector(2)]), data, 4)).toEqual([0xa5, 0xa5, 0xa5, 0xa5]);
    await target.reset(machine());
    expect(last(target, [...setUp(), { do: 'virtio.config.read', at: 32, width: 1 }])).toMatchObject([{ bytes: Uint8Array.of(0) }]);
    expect(bytesAt(last(target, readSector(2)), data, 4)).toEqual([0, 2, 1, 2]);
  });
  it('restores the write cache at a reset inside a program', async () => {
    await target.reset(machine());
    const cache = { do: 'virtio.config.read', at: 32, width: 1 } as const;
    const behind = { do: 'virtio.config.read', at: 34, width: 2 } as const;
    last(target, [...setUp(), { do: 'virtio.config.write', at: 32, bytes: Uint8Array.of(1) }]);
    expect(last(target, [cache])).toMatchObject([{ bytes: Uint8Array.of(1) }]);
    expect(last(target, [{ do: 'virtio.status.write', value: 0 }, cache])).toMatchObject([{ bytes: Uint8Array.of(0) }]);
    // What was read ahead of the reset is not taken behind it.
    last(target, [...setUp(), { do: 'virtio.config.write', at: 32, bytes: Uint8Array.of(1) }]);
    last(target, [behind]);
    expect(last(target, [{ do: 'virtio.status.write', value: 0 }, cache])).toMatchObject([{ bytes: Uint8Array.of(0) }]);
  });
  it('proves silence, and leaves no interrupt from set-up', async () => {
    await target.reset(machine());
    expect(how(last(target, [...setUp(), { do: 'settle' }]))).toBe('idle');
    expect(
      how(
        last(target, [
          { do: 'virtq.notify', queue: 0 },
          { do: 'settle', until: [{ at: gpa(used + 2), value: 1 }] },
        ]),
      ),
    ).toBe('idle');
  });
  it('goes quiet when the daemon closes the connection on a broken ring, and recovers by reset', async () => {
    for (const broken of [[descriptor(0, header, 16, 1, 0)], [descriptor(0, 0x20000, 16, 0, 0)]]) {
      await target.reset(machine());
      expect(how(last(target, [...setUp(), ...broken, ...publish(0)]))).toBe('idle');
      expect(all(target, [{ do: 'virtio.config.read', at: 0, width: 8 }])).toMatchObject([{ unsupported: /closed/ }]);
      expect(how(last(target, [{ do: 'virtq.notify', queue: 0 }, { do: 'settle' }]))).toBe('idle');
      expect(how(last(target, [...setUp(), ...readSector(0)]))).toBe('memory.changed interrupt until');
    }
    await target.reset(machine());
    expect(how(last(target, [...setUp(0, 0x40000), ...readSector(0)]))).toBe('idle');
  });
  it('cures a queue by reset of the requests that were dropped on it, though a later one was served', async () => {
    await target.reset(machine());
    all(target, setUp());
    for (let index = 0; index < 8; index++) {
      // No status byte to write to: dropped, and counted as in flight ever after.
      expect(how(last(target, [descriptor(0, header, 16, 0, 0), ...publish(index)]))).not.toMatch(/until/);
    }
    const served = [...readSector(0, 8).slice(0, -1), { do: 'settle', until: [{ at: gpa(used + 2), value: 1 }] } as const];
    expect(how(last(target, served))).toMatch(/until$/);
    await target.reset(machine());
    expect(how(last(target, [...setUp(0, used, 8), ...readSector(0)]))).toBe('memory.changed interrupt until');
  });
  it('says what it cannot build', async () => {
    expect(await target.reset(machine({ blockSize: 1000 }))).toMatchObject({ unsupported: /power of 2/ });
    expect(await target.reset({ ...machine(), bus: 'pci' })).toMatchObject({ unsupported: /bus pci/ });
    expect(await target.reset({ ...machine(), memory: 100 })).toMatchObject({ unsupported: /guest memory/ });
    await target.reset(machine());
    expect(
      all(target, [{ do: 'virtio.status.read' }, { do: 'virtio.generation.read' }, { do: 'mmio.read', at: 0, width: 4 }]),
    ).toMatchObject([1, 2, 3].map(() => ({ unsupported: expect.any(String) })));
  });
  it('tells a dead daemon from a closed connection', async () => {
    await target.reset(machine());
    all(target, setUp());
    for (const pid of children(process.pid)) process.kill(pid, 'SIGKILL');
    expect(all(target, readSector(0)).at(-1)).toEqual({ broke: 'the back end process ended' });
    expect(await target.reset(machine())).toHaveProperty('granted');
    expect(how(last(target, [...setUp(), ...readSector(0)]))).toBe('memory.changed interrupt until');
  });
});

describe.skipIf(!probe.available)('vhost-user:SOCKET', () => {
  it('drives a back end that somebody else started, of whose disk only the size is known', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmmc-'));
    const path = join(folder, 'blk.sock');
    const daemon = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'qemu-storage-daemon',
        '--blockdev',
        'driver=null-co,node-name=disk,size=1048576,read-zeroes=on',
        '--export',
        `type=vhost-user-blk,id=e,node-name=disk,addr.type=unix,addr.path=${path},writable=on`,
      ],
      { stdio: 'ignore' },
    );
    onTestFinished(() => {
      daemon.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    });
    const target = await vi.waitFor(() => vhostUserTarget(path), { timeout: 4000 });
    expect(await target.reset(machine())).toMatchObject({
      granted: { virtio: { blk: { disk: 'unknown', sectors: 2048, readOnly: false } } },
    });
    expect(how(last(target, [...setUp(), ...readSector(3)]))).toBe('memory.changed interrupt until');
    expect(how(last(target, [...setUp(), descriptor(0, header, 16, 1, 0), ...publish(0)]))).toBe('idle');
    await expect(vhostUserTarget(`${path}.missing`)).rejects.toThrow(/no vhost-user block device at .*: connect: ENOENT/);
    await target.close();
  });
});

describe.skipIf(!probe.available)('what a killed suite leaves', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('%s: no daemon', async (signal) => {
    const program = `
      const { qsdTarget } = await import(${JSON.stringify(new URL('./target.ts', import.meta.url).href)});
      const target = await qsdTarget();
      const text = (key, value) => (typeof value === 'string' && /^\\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value);
      const granted = await target.reset(JSON.parse(process.env.MACHINE, text));
      if (!granted.granted) throw new Error(JSON.stringify(granted));
      const { readFileSync } = await import('node:fs');
      console.log(readFileSync('/proc/self/task/' + process.pid + '/children', 'latin1'));
      process.kill(process.pid, '${signal}');
      await new Promise((resolve) => setTimeout(resolve, 10_000));`;
    const text = JSON.stringify(machine(), (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
    const ran = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      encoding: 'utf8',
      env: { ...process.env, MACHINE: text },
    });
    expect(ran.stderr).toBe('');
    expect(ran.signal).toBe(signal);
    const left = ran.stdout.trim().split(/\s+/).map(Number);
    expect(left.length).toBeGreaterThan(0);
    await expect.poll(() => left.filter(alive), { timeout: 4000 }).toEqual([]);
  });
});
