// A block driver of a few lines for the adapter's own tests: initialise with one queue of 8, one request a time in three descriptors.

import type { Gpa, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';

const gpa = (at: number): Gpa => BigInt(at) as Gpa;
export const desc = 0x400;
export const avail = 0x500;
export const used = 0x600;
export const header = 0x1000;
export const status = 0x1100;
export const data = 0x2000;
const VERSION_1 = 1n << 32n;

export const machine: MachineConfig = {
  memory: 0x10000,
  fill: 0xa5,
  bus: 'none',
  virtio: {
    device: 'blk',
    offer: VERSION_1,
    queueSizeMax: 8,
    queues: 1,
    blk: { disk: 'pattern', sectors: 64, readOnly: false, blockSize: 512, serial: 'A,B' },
  },
};

/** Little-endian fields, each [bytes, value]. */
export function store(at: number, ...fields: readonly (readonly [number, number | bigint])[]): Stimulus {
  const bytes = fields.flatMap(([size, value]) => Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn)));
  return { do: 'memory.write', at: gpa(at), bytes: Uint8Array.from(bytes) };
}

export const initialise: readonly Stimulus[] = [
  store(avail, [2, 0], [2, 0]),
  store(used, [2, 0], [2, 0]),
  { do: 'virtio.status.write', value: 1 },
  { do: 'virtio.status.write', value: 3 },
  { do: 'virtio.features.write', accepted: VERSION_1 },
  { do: 'virtio.status.write', value: 11 },
  { do: 'virtq.set', queue: 0, size: 8, desc: gpa(desc), avail: gpa(avail), used: gpa(used) },
  { do: 'virtio.status.write', value: 15 },
  { do: 'virtio.status.read' },
];

/** The `nth` request, counted from 1, of `length` bytes that the device writes (or reads), and the settle that awaits it. */
export const request = (type: number, sector: number, length: number, writes: boolean, nth = 1): readonly Stimulus[] => [
  store(header, [4, type], [4, 0], [8, sector]),
  store(
    desc,
    [8, header],
    [4, 16],
    [2, 1],
    [2, 1],
    [8, data],
    [4, length],
    [2, writes ? 3 : 1],
    [2, 2],
    [8, status],
    [4, 1],
    [2, 2],
    [2, 0],
  ),
  store(avail + 4 + 2 * ((nth - 1) % 8), [2, 0]),
  store(avail + 2, [2, nth]),
  { do: 'virtq.notify', queue: 0 },
  { do: 'settle', until: [{ at: gpa(used + 2), value: nth }], interrupt: true },
];
