// Which arguments build the machine that was asked for, or why this QEMU cannot.
// QEMU documentation, block device options and virtio-blk properties; properties that this QEMU lacks stay at their defaults.

import type { MachineConfig } from '../../../spec/units.ts';
import type { Unsupported } from '../../bus/bus.ts';
import type { Model } from './models.ts';

/** Feature bits that a property turns on and off. The others are as QEMU has them. */
const switches: readonly (readonly [bit: bigint, property: string])[] = [
  [11n, 'config-wce'],
  [13n, 'discard'],
  [14n, 'write-zeroes'],
  [24n, 'notify_on_empty'],
  [27n, 'any_layout'],
  [28n, 'indirect_desc'],
  [29n, 'event_idx'],
  [33n, 'iommu_platform'],
  [40n, 'queue_reset'],
];

/** Above it a PC has holes: video memory, option ROMs, firmware. */
const memoryMax = 0xa0000;
const memoryStep = 8192; // -m is rounded up to it
const diskMax = 64 << 20;
const bool = (on: boolean): string => (on ? 'on' : 'off');

export interface Wanted {
  /** Identifies machines that one process can serve. */
  readonly key: string;
  readonly memory: number;
  readonly sectors: number;
  readonly args: (dir: string) => readonly string[];
}

export function wanted(model: Model, m: MachineConfig, properties: ReadonlySet<string>): Wanted | Unsupported {
  const virtio = m.virtio;
  if (virtio === undefined) return { unsupported: `${model.name} without a virtio device` };
  if (m.bus !== 'none' && m.bus !== model.level) return { unsupported: `bus ${m.bus}: ${model.name} has ${model.level}` };
  if (m.memory > memoryMax || m.memory % memoryStep !== 0)
    return { unsupported: `${m.memory} bytes of memory: a multiple of ${memoryStep} up to ${memoryMax} is possible` };
  const { sectors, readOnly, blockSize, serial } = virtio.blk;
  if (sectors * 512 > diskMax) return { unsupported: `a disk of ${sectors} sectors: up to ${diskMax / 512} are possible` };
  const extra = (dir: string): ReturnType<Model['extra']> => model.extra(dir, virtio.queues);
  const device = [
    ...extra('').properties,
    'id=blk',
    'drive=disk',
    `num-queues=${virtio.queues}`,
    `queue-size=${virtio.queueSizeMax}`,
    `logical_block_size=${blockSize}`,
    `physical_block_size=${blockSize}`,
    ...(serial === '' ? [] : [`serial=${serial.replaceAll(',', ',,')}`]),
    ...(properties.has('packed') ? ['packed=off'] : []),
    ...switches.filter(([, p]) => properties.has(p)).map(([bit, p]) => `${p}=${bool((virtio.offer & (1n << bit)) !== 0n)}`),
  ];
  const args = (dir: string): readonly string[] => [
    '-object',
    `memory-backend-file,id=ram,size=${m.memory},mem-path=${dir}/ram,share=on`,
    '-machine',
    `${model.machine},memory-backend=ram`,
    '-m',
    `${m.memory}B`,
    // Without the qtest accelerator the processor is there, asleep in the firmware.
    '-accel',
    'qtest',
    '-accel',
    'tcg',
    '-blockdev',
    `driver=file,filename=${dir}/disk,node-name=disk,discard=unmap,cache.direct=off,read-only=${bool(readOnly)}`,
    ...extra(dir).args,
    '-device',
    [model.device, ...device].join(','),
  ];
  // The size of the disk is the size of its file: no argument tells it.
  return { key: [sectors, ...args('')].join(' '), memory: m.memory, sectors, args };
}
