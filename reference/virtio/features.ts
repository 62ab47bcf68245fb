// Decides which feature bits the device offers and which subsets of them it agrees to.
// VIRTIO 1.4: Feature Bits; Reserved Feature Bits; Block Device, Feature bits and Device Initialization.

import type { VirtioMachine } from '../../spec/virtio/vocabulary.ts';

/** Bit numbers. */
export const VIRTIO_BLK_F_SIZE_MAX = 1n;
export const VIRTIO_BLK_F_SEG_MAX = 2n;
export const VIRTIO_BLK_F_GEOMETRY = 4n;
export const VIRTIO_BLK_F_RO = 5n;
export const VIRTIO_BLK_F_BLK_SIZE = 6n;
export const VIRTIO_BLK_F_FLUSH = 9n;
export const VIRTIO_BLK_F_TOPOLOGY = 10n;
export const VIRTIO_BLK_F_CONFIG_WCE = 11n;
export const VIRTIO_BLK_F_MQ = 12n;
export const VIRTIO_BLK_F_DISCARD = 13n;
export const VIRTIO_BLK_F_WRITE_ZEROES = 14n;
export const VIRTIO_BLK_F_SECURE_ERASE = 16n;
export const VIRTIO_F_INDIRECT_DESC = 28n;
export const VIRTIO_F_EVENT_IDX = 29n;
const VIRTIO_F_VERSION_1 = 32n;
const VIRTIO_F_IN_ORDER = 35n;

/** What this device can honour if the machine wishes for it; VERSION_1, RO and MQ depend on more than a wish. */
const optional: readonly bigint[] = [
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_GEOMETRY,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_IN_ORDER,
];

export const has = (features: bigint, bit: bigint): boolean => ((features >> bit) & 1n) === 1n;

/** The 32 bits from 32 · select on, as registers show them; none are defined past 63. */
export const word = (bits: bigint, select: number): number => (select > 1 ? 0 : Number((bits >> BigInt(32 * select)) & 0xffff_ffffn));

/** The bits this machine's device offers. */
export const offering = (machine: VirtioMachine): bigint => {
  // Reserved Feature Bits: VERSION_1 is always offered.
  let offer = 1n << VIRTIO_F_VERSION_1;
  for (const bit of optional) {
    if (has(machine.offer, bit)) offer |= 1n << bit;
  }
  // Block Device, Feature bits: RO says that the device is read-only, so it follows the disk, not the wish.
  if (machine.blk.readOnly) offer |= 1n << VIRTIO_BLK_F_RO;
  // MQ says that there is more than one queue.
  if (machine.queues > 1 && has(machine.offer, VIRTIO_BLK_F_MQ)) offer |= 1n << VIRTIO_BLK_F_MQ;
  // Block Device, Device Initialization: CONFIG_WCE is not offered without FLUSH.
  if (!has(offer, VIRTIO_BLK_F_FLUSH)) offer &= ~(1n << VIRTIO_BLK_F_CONFIG_WCE);
  return offer;
};

/** Whether the device lets FEATURES_OK stand for what the driver accepted. No block feature requires another to be accepted. */
export const agreed = (offered: bigint, accepted: bigint): boolean => {
  // Feature Bits: nothing that was not offered.
  if ((accepted & ~offered) !== 0n) return false;
  // Reserved Feature Bits: a device without a legacy interface need not go on without VERSION_1.
  if (!has(accepted, VIRTIO_F_VERSION_1)) return false;
  return true;
};
