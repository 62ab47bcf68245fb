// Every event, machine and hello as it stands on the wire and in traces: one field table each, in wire order.
// The annotations tie each table to its type: an event kind or a field that is forgotten, added or misspelt does not compile.

import type { Capability, Granted, Hello, MachineConfig } from '../../spec/units.ts';
import type { EventOf, Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Fields, FieldsOf } from './fields.ts';
import { cpu, cpuObservations, cpuStimuli, grantedCpu } from './shapes-instructions.ts';
import { vtd, vtdObservations, vtdStimuli } from './shapes-vt-d.ts';

/** A table of all the events of E; D is their discriminator. */
export type Shapes<E extends Stimulus | Observation, D extends string> = {
  readonly [N in E extends Stimulus ? E['do'] : E extends Observation ? E['saw'] : never]: FieldsOf<Omit<EventOf<N>, D>>;
};

const width124 = { numbers: { 1: true, 2: true, 4: true } } as const;
const width1248 = { numbers: { 1: true, 2: true, 4: true, 8: true } } as const;

export const stimuli: Shapes<Stimulus, 'do'> = {
  'memory.write': { at: 'u64', bytes: 'bytes' },
  settle: { until: { optional: { list: { record: { at: 'u64', value: 'u16' } } } }, interrupt: { optional: 'bool' } },
  'virtio.status.write': { value: 'u32' },
  'virtio.status.read': {},
  'virtio.features.read': {},
  'virtio.features.write': { accepted: 'u64' },
  'virtio.config.read': { at: 'u32', width: width1248 },
  'virtio.config.write': { at: 'u32', bytes: 'bytes' },
  'virtio.generation.read': {},
  'virtq.read': { queue: 'u16' },
  'virtq.set': { queue: 'u16', size: 'u32', desc: 'u64', avail: 'u64', used: 'u64', base: { optional: 'u16' } },
  'virtq.notify': { queue: 'u16' },
  'host.resize': { sectors: 'u53' },
  'pci.config.read': { at: 'u32', width: width124 },
  'pci.config.write': { at: 'u32', width: width124, value: 'u32' },
  'pci.bar.read': { bar: 'u8', at: 'u32', width: width124 },
  'pci.bar.write': { bar: 'u8', at: 'u32', width: width124, value: 'u32' },
  'mmio.read': { at: 'u32', width: width124 },
  'mmio.write': { at: 'u32', width: width124, value: 'u32' },
  ...cpuStimuli,
  ...vtdStimuli,
};

export const observations: Shapes<Observation, 'saw'> = {
  'memory.changed': { writes: { list: { record: { at: 'u64', bytes: 'bytes' } } } },
  settled: { by: { words: { sync: true, until: true, idle: true, bound: true } } },
  broke: { why: 'string' },
  unsupported: { what: 'string' },
  'virtio.status': { value: 'u32' },
  'virtio.features': { offered: 'u64' },
  'virtio.config': { at: 'u32', bytes: 'bytes' },
  'virtio.generation': { value: 'u32' },
  'virtq.state': { queue: 'u16', sizeMax: 'u32', enabled: 'bool' },
  interrupt: { from: { words: { queue: true, config: true } }, queue: { optional: 'u16' } },
  'pci.config': { at: 'u32', width: width124, value: 'u32' },
  'pci.bar': { bar: 'u8', at: 'u32', width: width124, value: 'u32' },
  mmio: { at: 'u32', width: width124, value: 'u32' },
  ...cpuObservations,
  ...vtdObservations,
};

const capability = {
  words: {
    'memory.order': true,
    'memory.seen': true,
    'virtio.blk': true,
    'virtio.status': true,
    'virtio.generation': true,
    'virtio.interrupt.queue': true,
    'virtq.base': true,
    'host.resize': true,
    'disk.seen': true,
    'virtio.pci': true,
    'virtio.mmio': true,
    cpu: true,
    'cpu.system': true,
    'cpu.ring3': true,
    'cpu.step': true,
    'cpu.hidden': true,
    'cpu.interrupt': true,
    'cpu.port': true,
    'vt-d': true,
    'vt-d.register': true,
    'vt-d.dma': true,
    'vt-d.atomic': true,
    'vt-d.pasid': true,
    'vt-d.ats': true,
    'vt-d.pri': true,
    'vt-d.interrupt': true,
    'vt-d.reset': true,
    sriov: true,
  } satisfies Record<Capability, true>,
} as const;
const offers = { list: capability } as const;

export const hello: FieldsOf<Hello> = { protocol: { numbers: { 1: true } }, name: 'string', version: 'string', offers };

const blk = {
  disk: { words: { pattern: true, unknown: true } },
  sectors: 'u53',
  readOnly: 'bool',
  blockSize: 'u32',
  serial: 'string',
} as const;
const virtio: FieldsOf<NonNullable<MachineConfig['virtio']>> = {
  device: { words: { blk: true } },
  offer: 'u64',
  queueSizeMax: 'u32',
  queues: 'u16',
  blk: { record: blk },
};

export const machine: FieldsOf<MachineConfig> = {
  memory: 'u53',
  fill: 'u8',
  bus: { words: { none: true, mmio: true, pci: true, 'vhost-user': true } },
  virtio: { optional: { record: virtio } },
  cpu: { optional: { record: cpu } },
  vtd: { optional: { record: vtd } },
  image: { optional: { list: { record: { at: 'u64', bytes: 'bytes' } } } },
};

const grantedMemory = {
  size: 'u53',
  fill: { words: { unknown: true }, or: 'u8' },
  seen: { words: { ordered: true, compared: true, unseen: true } },
} as const;
const level = { words: { queue: true, mmio: true, pci: true, 'vhost-user': true, agent: true } } as const;
const reset = { words: { device: true, process: true, snapshot: true } } as const;

export const granted: FieldsOf<Granted> = {
  memory: { record: grantedMemory },
  level,
  reset,
  offers,
  virtio: { optional: { record: virtio } },
  cpu: { optional: { record: grantedCpu } },
  vtd: { optional: { record: vtd } },
};

const partly = (fields: Fields): Fields => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, { optional: field }]));

/** What an adapter may answer to reset: only what differs from the machine asked for. */
export const grantedPart: Fields = {
  memory: { optional: { record: grantedMemory } },
  level: { optional: level },
  reset: { optional: reset },
  offers: { optional: offers },
  cpu: { optional: { record: partly(grantedCpu) } },
  vtd: { optional: { record: vtd } },
  virtio: { optional: { words: { unknown: true }, or: { record: { ...partly(virtio), blk: { optional: { record: partly(blk) } } } } } },
};
