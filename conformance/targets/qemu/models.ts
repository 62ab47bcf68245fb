// The two machines: q35 with virtio-blk-pci, and microvm with virtio-blk over virtio-mmio. Arguments, where the device is, what can be seen.
// QEMU documentation: the q35, microvm and ivshmem devices. Guest RAM is exactly the memory a program sees; nothing is above it.

import type { Capability, Granted } from '../../../spec/units.ts';
import type { LiftedDevice, Messages, Unsupported } from '../../bus/bus.ts';
import { write } from '../../bus/bus.ts';
import { config } from '../../bus/pci-function.ts';
import { openMmio } from '../../bus/virtio-mmio.ts';
import { openPci } from '../../bus/virtio-pci.ts';
import { mmioBus, pciBus, type QemuBus, windows } from './bus.ts';
import type { Qtest } from './qtest.ts';

export interface Model {
  readonly name: 'qemu' | 'qemu-microvm';
  /** Programs that may have it, best first. */
  readonly binaries: readonly string[];
  readonly machine: string;
  /** QOM type of the device, whose properties are asked for. */
  readonly device: string;
  readonly level: Granted['level'] & ('pci' | 'mmio');
  readonly offers: readonly Capability[];
  /** Arguments beside machine, memory and disk; the device's own properties come last. */
  readonly extra: (dir: string, queues: number) => { readonly args: readonly string[]; readonly properties: readonly string[] };
  /** The bus its device is on; undefined: no device. */
  readonly bus: (qtest: Qtest) => QemuBus | undefined;
  readonly lift: (bus: QemuBus, messages: Messages) => LiftedDevice | Unsupported;
}

const VIRTIO_ID_BLOCK = 2;
const both: readonly Capability[] = ['memory.seen', 'virtio.blk', 'virtio.status', 'virtio.generation', 'host.resize', 'disk.seen'];

const blkSlot = 4;
const messageSlot = 5;
/** Where the message BAR goes: above every window. ivshmem has its shared memory in BAR 2, 64 bits wide. */
export const messagesAt = 0xf0000000;
const messageBar = 0x10 + 4 * 2;
const Command = 0x04;
const CommandMemory = 1 << 1;

export const q35: Model = {
  name: 'qemu',
  binaries: ['qemu-system-x86_64'],
  machine: 'q35',
  device: 'virtio-blk-pci',
  level: 'pci',
  offers: [...both, 'virtio.interrupt.queue', 'virtio.pci'],
  extra: (dir, queues) => ({
    args: [
      '-object',
      `memory-backend-file,id=messages,size=4096,mem-path=${dir}/messages,share=on`,
      '-device',
      `ivshmem-plain,memdev=messages,addr=${messageSlot}`,
    ],
    properties: [`addr=${blkSlot}`, 'disable-legacy=on', 'ioeventfd=off', `vectors=${queues + 1}`],
  }),
  bus: (qtest) => {
    pciBus(qtest, messageSlot).run([
      write(config(messageBar, 4), messagesAt),
      write(config(messageBar + 4, 4), 0),
      write(config(Command, 2), CommandMemory),
    ]);
    return pciBus(qtest, blkSlot);
  },
  lift: (bus, messages) => openPci(bus, VIRTIO_ID_BLOCK, windows, messages),
};

// hw/i386/microvm: up to 24 transports of 0x200 bytes from here, filled from the last or the first.
const transportsAt = 0xfeb00000;
const transportSize = 0x200;
const transports = 24;
const DeviceID = 0x008;

export const microvm: Model = {
  name: 'qemu-microvm',
  binaries: ['qemu-system-x86_64-microvm', 'qemu-system-x86_64'],
  machine: 'microvm',
  device: 'virtio-blk-device',
  level: 'mmio',
  offers: [...both, 'virtio.mmio'],
  extra: () => ({ args: ['-global', 'virtio-mmio.force-legacy=false', '-global', 'virtio-mmio.ioeventfd=off'], properties: [] }),
  bus: (qtest) => {
    const ids: number[] = [];
    qtest.run(
      Array.from({ length: transports }, (_, i) => `readl ${transportsAt + transportSize * i + DeviceID}`),
      ids,
    );
    const slot = ids.indexOf(VIRTIO_ID_BLOCK);
    return slot < 0 ? undefined : mmioBus(qtest, transportsAt + transportSize * slot, transportSize);
  },
  lift: (bus) => openMmio(bus, VIRTIO_ID_BLOCK),
};
