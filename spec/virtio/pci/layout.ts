// Numbers of virtio over PCI: capability types, common configuration fields, MSI-X and header registers.
// VIRTIO 1.4, Virtio Over PCI Bus; header and MSI-X registers are those of the PCI Local Bus Specification.

/** PCI configuration header offsets, and capability identifiers. */
export const header = {
  vendor: 0x00,
  device: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  bars: 0x10,
  subsystem: 0x2e,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
  capabilities: 0x34,
} as const;
export const barCount = 6;
export const capabilityId = { vendor: 0x09, msix: 0x11 } as const;
/** PCI command register bits: I/O space, memory space, bus mastering enabled; of its high byte, INTx disabled. */
export const commandBits = { io: 0x01, memory: 0x02, master: 0x04 } as const;
export const interruptDisableBit = 0x04;
/** PCI status register bits: interrupt status, capability list present. */
export const interruptStatusBit = 0x08;
export const capabilityListBit = 0x10;

export const virtioVendor = 0x1af4;
/** A block device: 0x1040 + 2, or the transitional ID of its type. */
export const blockDevice: number = 0x1040 + 2;
export const transitionalBlockDevice = 0x1001;

/** cfg_type of struct virtio_pci_cap. */
export type Structure = 'common' | 'notify' | 'isr' | 'device' | 'window';
export const structureOf: ReadonlyMap<number, Structure> = new Map<number, Structure>([
  [1, 'common'],
  [2, 'notify'],
  [3, 'isr'],
  [4, 'device'],
  [5, 'window'],
]);
/** struct virtio_pci_cap; one more 32-bit word in the notification and window capabilities. */
export const capSizeOf: Readonly<Record<Structure, number>> = { common: 16, notify: 20, isr: 16, device: 16, window: 20 };

/** Field of struct virtio_pci_common_cfg: offset, width of one access, and whether the driver may write it, once or per queue. */
export type Kind = 'read-only' | 'global' | 'per-queue' | 'per-queue read-only';
export const common: Readonly<Record<string, readonly [offset: number, width: 1 | 2 | 4, kind: Kind]>> = {
  device_feature_select: [0, 4, 'global'],
  device_feature: [4, 4, 'read-only'],
  driver_feature_select: [8, 4, 'global'],
  driver_feature: [12, 4, 'global'],
  config_msix_vector: [16, 2, 'global'],
  num_queues: [18, 2, 'read-only'],
  device_status: [20, 1, 'global'],
  config_generation: [21, 1, 'read-only'],
  queue_select: [22, 2, 'global'],
  queue_size: [24, 2, 'per-queue'],
  queue_msix_vector: [26, 2, 'per-queue'],
  queue_enable: [28, 2, 'per-queue'],
  queue_notify_off: [30, 2, 'per-queue read-only'],
  queue_desc_lo: [32, 4, 'per-queue'],
  queue_desc_hi: [36, 4, 'per-queue'],
  queue_driver_lo: [40, 4, 'per-queue'],
  queue_driver_hi: [44, 4, 'per-queue'],
  queue_device_lo: [48, 4, 'per-queue'],
  queue_device_hi: [52, 4, 'per-queue'],
};
export const fieldAt: ReadonlyMap<number, string> = new Map(Object.entries(common).map(([name, [offset]]) => [offset, name]));
/** queue_reset, with RING_RESET: behind the unconditional fields, and no rule of its own. */
export const queueReset = { at: 58, width: 2 } as const;
/** Bytes up to and including queue_device: the smallest structure that has every unconditional field. */
export const commonSize = 56;

export const noVector = 0xffff;
/** MSI-X Message Control, high byte: enable, function mask. */
export const msixControl = { enable: 0x80, functionMask: 0x40 } as const;
/** MSI-X table: bytes of an entry, and where in it the address halves, the data and Vector Control stand; its one bit masks. */
export const entry = { size: 16, address: 0, upper: 4, data: 8, control: 12, masked: 1 } as const;
/** Bit of device_status, and a block device's feature bit in window 0. */
export const featuresOk = 8;
export const window0: Readonly<Record<'MQ', number>> = { MQ: 2 ** 12 };
/** Reserved feature bits that move a rule of this transport, as bits of window 1: bit - 32. */
export const window1: Readonly<Record<'RING_PACKED' | 'NOTIFICATION_DATA' | 'ADMIN_VQ', number>> = {
  RING_PACKED: 2 ** (34 - 32),
  NOTIFICATION_DATA: 2 ** (38 - 32),
  ADMIN_VQ: 2 ** (41 - 32),
};
