// The register table of virtio over MMIO: offsets, direction, and which registers belong to the selected queue.
// VIRTIO 1.4, MMIO Device Register Layout.

export type Direction = 'R' | 'W' | 'RW';
/** [offset, direction]; every register is 32 bits wide. */
export const registers: Readonly<Record<string, readonly [offset: number, direction: Direction]>> = {
  MagicValue: [0x000, 'R'],
  Version: [0x004, 'R'],
  DeviceID: [0x008, 'R'],
  VendorID: [0x00c, 'R'],
  DeviceFeatures: [0x010, 'R'],
  DeviceFeaturesSel: [0x014, 'W'],
  DriverFeatures: [0x020, 'W'],
  DriverFeaturesSel: [0x024, 'W'],
  QueueSel: [0x030, 'W'],
  QueueSizeMax: [0x034, 'R'],
  QueueSize: [0x038, 'W'],
  QueueReady: [0x044, 'RW'],
  QueueNotify: [0x050, 'W'],
  InterruptStatus: [0x060, 'R'],
  InterruptACK: [0x064, 'W'],
  Status: [0x070, 'RW'],
  QueueDescLow: [0x080, 'W'],
  QueueDescHigh: [0x084, 'W'],
  QueueDriverLow: [0x090, 'W'],
  QueueDriverHigh: [0x094, 'W'],
  QueueDeviceLow: [0x0a0, 'W'],
  QueueDeviceHigh: [0x0a4, 'W'],
  SHMSel: [0x0ac, 'W'],
  SHMLenLow: [0x0b0, 'R'],
  SHMLenHigh: [0x0b4, 'R'],
  SHMBaseLow: [0x0b8, 'R'],
  SHMBaseHigh: [0x0bc, 'R'],
  QueueReset: [0x0c0, 'RW'],
  ConfigGeneration: [0x0fc, 'R'],
};
export const nameAt: ReadonlyMap<number, string> = new Map(Object.entries(registers).map(([name, [offset]]) => [offset, name]));
/** Device-specific configuration starts here. */
export const config = 0x100;
/** 'virt', little-endian. */
export const magic = 0x74726976;
export const version = 2;
export const blockDevice = 2;
/** InterruptStatus bits. */
export const used = 1;
export const changed = 2;
