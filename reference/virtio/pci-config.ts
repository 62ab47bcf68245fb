// Decides what the PCI configuration space of the function holds: header, base address registers, capability list, and what is writable.
// VIRTIO 1.4, PCI Device Discovery and Virtio Structure PCI Capabilities; PCI Local Bus Specification 3.0, Configuration Space.

import { COMMON_BYTES } from './pci-common.ts';
import { CONFIG_BYTES } from './config-space.ts';

export const COMMAND = 0x04;
export const STATUS = 0x06;
export const MEMORY_SPACE: number = 1 << 1;
export const BUS_MASTER: number = 1 << 2;
export const INTERRUPT_DISABLE: number = 1 << 10;
export const INTERRUPT_STATUS: number = 1 << 3;
const CAPABILITIES_LIST = 1 << 4;

/** BAR 0: the virtio structures, 64-bit memory. BAR 2: the MSI-X structures, 32-bit memory. Sizes are powers of 2. */
export const STRUCTURES_BAR = 0;
const STRUCTURES_BYTES = 0x4000;
export const MSIX_BAR = 2;
const MSIX_BYTES = 0x1000;
const MEMORY_64_BIT = 0b100;

/** Offsets of the structures in their BAR. */
export const COMMON_AT = 0x0000;
export const ISR_AT = 0x1000;
export const DEVICE_AT = 0x2000;
export const NOTIFY_AT = 0x3000;
/** Bytes between two queues' notify addresses: an even power of 2. */
export const NOTIFY_MULTIPLIER = 4;
const TABLE_AT = 0x000;
export const PENDING_AT = 0x800;

/** Where the capabilities that something happens at stand. */
export const WINDOW = 0x84;
export const WINDOW_DATA: number = WINDOW + 16;
export const MSIX = 0x98;
export const MSIX_ENABLE: number = 1 << 15;
export const MSIX_FUNCTION_MASK: number = 1 << 14;

export interface PciConfig {
  readonly bytes: DataView;
  /** One for each bit that a write changes. */
  readonly writable: DataView;
}

export const createPciConfig = (queues: number, vectors: number): PciConfig => {
  const bytes = new DataView(new ArrayBuffer(256));
  const writable = new DataView(new ArrayBuffer(256));
  const u16 = (at: number, value: number): void => bytes.setUint16(at, value, true);
  const u32 = (at: number, value: number): void => bytes.setUint32(at, value, true);

  // PCI Device Discovery: 0x1040 + 2; revision and subsystem device ID of a non-transitional device.
  u16(0x00, 0x1af4);
  u16(0x02, 0x1042);
  writable.setUint16(COMMAND, MEMORY_SPACE | BUS_MASTER | INTERRUPT_DISABLE, true);
  u16(STATUS, CAPABILITIES_LIST);
  bytes.setUint8(0x08, 1);
  // Class code: mass storage controller, other, no programming interface.
  bytes.setUint8(0x0b, 0x01);
  bytes.setUint8(0x0a, 0x80);
  u32(0x10, MEMORY_64_BIT);
  writable.setUint32(0x10, (~(STRUCTURES_BYTES - 1) >>> 0) & ~0xf, true);
  writable.setUint32(0x14, 0xffff_ffff, true);
  writable.setUint32(0x18, (~(MSIX_BYTES - 1) >>> 0) & ~0xf, true);
  u16(0x2c, 0x1af4);
  u16(0x2e, 0x1042);
  // Interrupt Line is scratch; Interrupt Pin INTA#.
  writable.setUint8(0x3c, 0xff);
  bytes.setUint8(0x3d, 1);

  // Virtio Structure PCI Capabilities: cap_vndr, cap_next, cap_len, cfg_type, bar, id, padding, offset, length.
  const structure = (at: number, next: number, len: number, type: number, offset: number, length: number): void => {
    bytes.setUint8(at, 0x09);
    bytes.setUint8(at + 1, next);
    bytes.setUint8(at + 2, len);
    bytes.setUint8(at + 3, type);
    bytes.setUint8(at + 4, STRUCTURES_BAR);
    u32(at + 8, offset);
    u32(at + 12, length);
  };
  bytes.setUint8(0x34, 0x40);
  structure(0x40, 0x50, 16, 1, COMMON_AT, COMMON_BYTES); // VIRTIO_PCI_CAP_COMMON_CFG
  structure(0x50, 0x64, 20, 2, NOTIFY_AT, NOTIFY_MULTIPLIER * queues); // VIRTIO_PCI_CAP_NOTIFY_CFG
  u32(0x60, NOTIFY_MULTIPLIER);
  structure(0x64, 0x74, 16, 3, ISR_AT, 1); // VIRTIO_PCI_CAP_ISR_CFG
  structure(0x74, WINDOW, 16, 4, DEVICE_AT, CONFIG_BYTES); // VIRTIO_PCI_CAP_DEVICE_CFG
  structure(WINDOW, MSIX, 20, 5, 0, 0); // VIRTIO_PCI_CAP_PCI_CFG
  writable.setUint8(WINDOW + 4, 0xff);
  writable.setUint32(WINDOW + 8, 0xffff_ffff, true);
  writable.setUint32(WINDOW + 12, 0xffff_ffff, true);
  writable.setUint32(WINDOW_DATA, 0xffff_ffff, true);

  // MSI-X Capability: Table Size is one less than the number of vectors.
  bytes.setUint8(MSIX, 0x11);
  bytes.setUint8(MSIX + 1, 0);
  u16(MSIX + 2, vectors - 1);
  writable.setUint16(MSIX + 2, MSIX_ENABLE | MSIX_FUNCTION_MASK, true);
  u32(MSIX + 4, TABLE_AT | MSIX_BAR);
  u32(MSIX + 8, PENDING_AT | MSIX_BAR);
  return { bytes, writable };
};

/** Every writable bit 0. */
export const clearPciConfig = (config: PciConfig): void => {
  for (let at = 0; at < 256; at += 1) config.bytes.setUint8(at, config.bytes.getUint8(at) & ~config.writable.getUint8(at));
};

/** Little-endian; what lies outside reads as ones. */
export const readPciConfig = (config: PciConfig, at: number, width: number): number => {
  let value = 0;
  for (let i = 0; i < width; i += 1) value += (at + i < 256 ? config.bytes.getUint8(at + i) : 0xff) * 256 ** i;
  return value;
};
export const writePciConfig = (config: PciConfig, at: number, width: number, value: number): void => {
  for (let i = 0; i < width && at + i < 256; i += 1) {
    const mask = config.writable.getUint8(at + i);
    const kept = config.bytes.getUint8(at + i) & ~mask;
    config.bytes.setUint8(at + i, kept | ((value >>> (8 * i)) & mask));
  }
};
