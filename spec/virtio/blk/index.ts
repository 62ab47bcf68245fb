// The area virtio.blk: what a block device owes on any transport and any ring, judged from submissions and completions.
// VIRTIO 1.4, Block Device.

import type { Area } from '../../clause.ts';
import { configurationClauses } from './configuration.ts';
import { dataClauses } from './data.ts';
import { duties } from './driver.ts';
import type { BlkGhost } from './ghost.ts';
import { initial } from './ghost.ts';
import { initializationClauses } from './initialization.ts';
import { observe, observed } from './observe.ts';
import { operationClauses } from './operation.ts';
import { about, tell } from './tell.ts';
import { usedClauses } from './used.ts';

export type { BlkGhost } from './ghost.ts';
export const blk: Area<BlkGhost> = {
  id: 'virtio.blk',
  needs: ['virtio.blk'],
  initial,
  observe,
  on: observed,
  clauses: [...initializationClauses, ...configurationClauses, ...operationClauses, ...dataClauses, ...usedClauses],
  duties,
  tell,
  about,
};
