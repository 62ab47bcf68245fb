// The machines that virtio programs run on: few, small, and each different in what implementations get wrong.
// Every variant stands once for each bus, so that a target meets one it can build early.

import type { Bus, MachineConfig } from '../../spec/units.ts';
import { bit, F } from './bits.ts';

const KIB = 1024;
const COMMON = [
  F.VERSION_1,
  F.INDIRECT_DESC,
  F.EVENT_IDX,
  F.SEG_MAX,
  F.BLK_SIZE,
  F.TOPOLOGY,
  F.FLUSH,
  F.CONFIG_WCE,
  F.DISCARD,
  F.WRITE_ZEROES,
].reduce((m, b) => m | bit(b), 0n);

interface Variant {
  readonly memory: number;
  readonly fill: number;
  readonly offer: bigint;
  readonly queueSizeMax: number;
  readonly queues: number;
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly blockSize: number;
  readonly serial: string;
}
const plain: Variant = {
  memory: 128 * KIB,
  fill: 0xa5,
  offer: COMMON,
  queueSizeMax: 8,
  queues: 1,
  sectors: 64,
  readOnly: false,
  blockSize: 512,
  serial: 'vmmc-0',
};
const VARIANTS: readonly Variant[] = [
  plain,
  {
    ...plain,
    fill: 0,
    queueSizeMax: 128,
    queues: 2,
    sectors: 257,
    offer: COMMON | bit(F.MQ) | bit(F.SECURE_ERASE),
    serial: 'exactly twenty bytes',
  },
  { ...plain, fill: 0xff, queueSizeMax: 256, sectors: 64, blockSize: 4096, offer: COMMON | bit(F.SECURE_ERASE) },
  { ...plain, fill: 0x01, sectors: 8, readOnly: true, offer: (COMMON & ~bit(F.FLUSH)) | bit(F.RO), serial: '' },
  { ...plain, fill: 0x5a, queueSizeMax: 8, queues: 2, sectors: 8, offer: COMMON | bit(F.IN_ORDER) | bit(F.MQ) },
  { ...plain, fill: 0x7f, queueSizeMax: 2, sectors: 64, offer: bit(F.VERSION_1) | bit(F.SIZE_MAX) | bit(F.SEG_MAX) | bit(F.GEOMETRY) },
];
const BUSES: readonly Bus[] = ['none', 'pci', 'mmio', 'vhost-user'];

const machine = (v: Variant, bus: Bus): MachineConfig => ({
  memory: v.memory,
  fill: v.fill,
  bus,
  virtio: {
    device: 'blk',
    offer: v.offer,
    queueSizeMax: v.queueSizeMax,
    queues: v.queues,
    blk: { disk: 'pattern', sectors: v.sectors, readOnly: v.readOnly, blockSize: v.blockSize, serial: v.serial },
  },
});

export const machinesOn = (buses: readonly Bus[]): readonly MachineConfig[] => VARIANTS.flatMap((v) => buses.map((bus) => machine(v, bus)));
export const blkMachines: readonly MachineConfig[] = machinesOn(BUSES);
