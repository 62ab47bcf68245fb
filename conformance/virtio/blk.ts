// The suite virtio.blk: block requests over a split virtqueue, on any transport.
// It exercises device status, features, the ring and the block device at once; each area judges its part.

import type { Suite } from '../program.ts';
import type { BlkChoice } from './blk-choices.ts';
import { blkChoices } from './blk-choices.ts';
import { playBlk } from './blk-player.ts';
import { shapeOf, simplerThan } from './blk-shape.ts';
import { blkMachines } from './machines.ts';

export const blkSuite: Suite<BlkChoice> = {
  id: 'virtio.blk',
  needs: ['virtio.blk', 'memory.seen'],
  machines: blkMachines,
  choices: blkChoices,
  play: playBlk,
  shape: shapeOf,
  simpler: simplerThan,
  runs: 4000,
};
