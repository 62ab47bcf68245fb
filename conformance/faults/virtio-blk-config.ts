// Seeded faults of virtio.blk that show in its configuration: fields, generation.
// One for each rule that no real bug stands for.

import type { Fault } from './fault.ts';

export const virtioBlkConfigFaults: readonly Fault[] = [
  {
    id: 'blk-config-topology',
    origin: 'rule',
    file: 'virtio/config-space.ts',
    swap: ['view.setUint8(25, 0);', 'view.setUint8(25, 1);'],
    killedBy: 'virtio.blk.config.topology',
    story: 'alignment_offset lies outside the physical block',
  },
  {
    id: 'blk-wce-alone',
    origin: 'rule',
    file: 'virtio/features.ts',
    swap: ['  if (!has(offer, VIRTIO_BLK_F_FLUSH)) offer &= ~(1n << VIRTIO_BLK_F_CONFIG_WCE);\n', ''],
    killedBy: 'virtio.blk.features.wce-flush',
    story: 'CONFIG_WCE is offered without FLUSH',
  },
];
