// The area virtio.mmio: what a virtio-mmio device owes, judged from raw accesses to its registers.
// VIRTIO 1.4, Virtio Over MMIO.

import type { Area } from '../../clause.ts';
import { duties } from './driver.ts';
import type { MmioGhost } from './ghost.ts';
import { initial, observe, observed } from './ghost.ts';
import { registerClauses } from './registers.ts';

export type { MmioGhost } from './ghost.ts';
export const mmio: Area<MmioGhost> = {
  id: 'virtio.mmio',
  needs: ['virtio.mmio'],
  initial,
  observe,
  on: observed,
  clauses: registerClauses,
  duties,
};
