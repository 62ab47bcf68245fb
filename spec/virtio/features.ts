// Feature bits: numbers, who may offer them, and which bit needs which.
// VIRTIO 1.4, Reserved Feature Bits; Block Device / Feature bits; Feature Bits (allocation of ranges).

import type { Feature } from '../clause.ts';

/** Bit numbers of the transport and ring features, VIRTIO 1.4 Reserved Feature Bits. */
export const reserved = {
  INDIRECT_DESC: 28n,
  EVENT_IDX: 29n,
  VERSION_1: 32n,
  ACCESS_PLATFORM: 33n,
  RING_PACKED: 34n,
  IN_ORDER: 35n,
  ORDER_PLATFORM: 36n,
  SR_IOV: 37n,
  NOTIFICATION_DATA: 38n,
  NOTIF_CONFIG_DATA: 39n,
  RING_RESET: 40n,
  ADMIN_VQ: 41n,
  SUSPEND: 43n,
} as const;
/** Bits of earlier drafts that a transitional device offers: NOTIFY_ON_EMPTY, ANY_LAYOUT, UNUSED (Legacy Interface: Reserved Feature Bits). */
export const legacyBits: readonly bigint[] = [24n, 27n, 30n];

export type FeatureName = keyof typeof reserved;
export const has = (features: bigint, name: FeatureName): boolean => (features & masks[name]) !== 0n;
const masks = Object.fromEntries(Object.entries(reserved).map(([name, n]) => [name, 1n << n])) as Readonly<Record<FeatureName, bigint>>;
/** What a clause names that speaks only of devices which offer it. */
export const featureOf = (name: FeatureName): Feature => ({ name: `VIRTIO_F_${name}`, bit: masks[name] });
export const bit = (n: bigint): bigint => 1n << n;

/** Bits 44 to 49 are reserved for future extensions, and bits 24 to 43 not named above belong to nothing (Feature Bits). */
export const undefinedBits: bigint = (() => {
  const named = new Set<bigint>([...Object.values(reserved), ...legacyBits]);
  let bits = 0n;
  for (let n = 24n; n <= 49n; n++) {
    const device = n === 41n || n === 42n; // given back to the device types by the allocation, 41 named as ADMIN_VQ all the same
    if (!named.has(n) && !device) bits |= bit(n);
  }
  return bits;
})();

/** Bits defined for a device type: Block Device / Feature bits, its legacy bits 0 (BARRIER) and 7 (SCSI) included. */
export const definedFor: Readonly<Record<'blk', bigint>> = {
  blk: [0n, 1n, 2n, 4n, 5n, 6n, 7n, 9n, 10n, 11n, 12n, 13n, 14n, 15n, 16n, 17n].reduce((bits, n) => bits | (1n << n), 0n),
};
/** Bits 0 to 23, 42 and 50 to 63 belong to the device type (Feature Bits; 41 is named ADMIN_VQ). */
export const deviceTypeBits: bigint = (() => {
  let bits = 1n << 42n;
  for (let n = 0n; n < 64n; n++) if (n <= 23n || n >= 50n) bits |= 1n << n;
  return bits;
})();

/** A device that sees these declined may refuse to go on (Reserved Feature Bits, device requirements). */
export const mayInsistOn: bigint = bit(reserved.VERSION_1) | bit(reserved.ACCESS_PLATFORM) | bit(reserved.ORDER_PLATFORM);

/** Device status bits, VIRTIO 1.4 Device Status Field. */
export const status = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8, SUSPEND: 16, NEEDS_RESET: 64, FAILED: 128 } as const;
