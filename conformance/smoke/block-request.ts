// One block read written by hand, through any target's control plane: the smallest program that shows that driver and device meet.
// Facts: VIRTIO 1.4, Device Initialization; The Virtqueue Descriptor Table, Available Ring, Used Ring; Block Device, Device Operation.

import type { Answer, Gpa, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';

const gpa = (at: number): Gpa => BigInt(at) as Gpa;
const [desc, avail, used, header, data, status] = [0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000];
const VERSION_1 = 1n << 32n;
const [ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK] = [1, 2, 4, 8];
const [NEXT, WRITE] = [1, 2];

export const smokeMachine: MachineConfig = {
  memory: 0x10000,
  fill: 0xa5,
  bus: 'none',
  virtio: {
    device: 'blk',
    offer: VERSION_1,
    queueSizeMax: 16,
    queues: 1,
    blk: { disk: 'pattern', sectors: 64, readOnly: false, blockSize: 512, serial: 'vmmc-smoke' },
  },
};

const write = (at: number, bytes: Uint8Array): Stimulus => ({ do: 'memory.write', at: gpa(at), bytes });
const packed = (length: number, fill: (view: DataView) => void): Uint8Array => {
  const bytes = new Uint8Array(length);
  fill(new DataView(bytes.buffer));
  return bytes;
};
const descriptor = (at: number, length: number, flags: number, next: number): Uint8Array =>
  packed(16, (v) => {
    v.setBigUint64(0, BigInt(at), true);
    v.setUint32(8, length, true);
    v.setUint16(12, flags, true);
    v.setUint16(14, next, true);
  });

export const negotiation: readonly Stimulus[] = [
  { do: 'virtio.status.write', value: 0 },
  { do: 'virtio.status.write', value: ACKNOWLEDGE | DRIVER },
  { do: 'virtio.features.read' },
  { do: 'virtio.features.write', accepted: VERSION_1 },
  { do: 'virtio.status.write', value: ACKNOWLEDGE | DRIVER | FEATURES_OK },
  { do: 'virtio.status.read' },
];
/** Reads one sector with a queue of 4. */
export const readingOf = (sector: number): readonly Stimulus[] => [
  write(desc, descriptor(header, 16, NEXT, 1)),
  write(desc + 16, descriptor(data, 512, NEXT | WRITE, 2)),
  write(desc + 32, descriptor(status, 1, WRITE, 0)),
  write(
    header,
    packed(16, (v) => v.setBigUint64(8, BigInt(sector), true)),
  ),
  write(avail, Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
  write(used, new Uint8Array(4 + 8 * 4)),
  { do: 'virtq.set', queue: 0, size: 4, desc: gpa(desc), avail: gpa(avail), used: gpa(used) },
  { do: 'virtio.status.write', value: ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK },
  { do: 'virtq.notify', queue: 0 },
  { do: 'settle', until: [{ at: gpa(used + 2), value: 1 }], interrupt: true },
];
const sector = 2;
export const reading: readonly Stimulus[] = readingOf(sector);

const observed = (answers: readonly Answer[]): readonly Observation[] => answers.flatMap((answer) => ('saw' in answer ? answer.saw : []));

/** Guest memory after the answers, as far as they tell. */
const memoryAfter = (answers: readonly Answer[]): Uint8Array => {
  const memory = new Uint8Array(smokeMachine.memory).fill(smokeMachine.fill);
  for (const stimulus of reading) if (stimulus.do === 'memory.write') memory.set(stimulus.bytes, Number(stimulus.at));
  for (const seen of observed(answers)) {
    if (seen.saw !== 'memory.changed') continue;
    for (const { at, bytes } of seen.writes) if (at + BigInt(bytes.length) <= BigInt(memory.length)) memory.set(bytes, Number(at));
  }
  return memory;
};

export interface ReadingSeen {
  readonly usedIndex: number;
  readonly usedLength: number;
  readonly status: number;
  /** Whether all 512 bytes are those of the pattern. */
  readonly pattern: boolean;
  readonly interrupt: boolean;
}
/** What came of `readingOf`. */
export const readingSeen = (answers: readonly Answer[], from: number = sector): ReadingSeen => {
  const memory = memoryAfter(answers);
  const view = new DataView(memory.buffer);
  const words = Array.from({ length: 256 }, (_, i) => view.getUint16(data + 2 * i, true));
  return {
    usedIndex: view.getUint16(used + 2, true),
    usedLength: view.getUint32(used + 8, true),
    status: view.getUint8(status),
    pattern: words.every((wordHere, i) => wordHere === ((from * 256 + i) & 0xffff)),
    interrupt: observed(answers).some((seen) => seen.saw === 'interrupt' && seen.from === 'queue'),
  };
};
