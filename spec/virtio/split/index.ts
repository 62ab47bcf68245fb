// The area virtio.split: split virtqueues.
// VIRTIO 1.4, Split Virtqueues.

import type { Area, Moment } from '../../clause.ts';
import { splitDuties } from './driver.ts';
import { initialSplit, type SplitGhost } from './ghost.ts';
import { memoryClauses } from './memory.ts';
import { notificationClauses } from './notification.ts';
import { observeSplit } from './observe.ts';
import { tell } from './tell.ts';
import { usedClauses } from './used.ts';

/** Which chain it is. */
const about = ({ event }: Moment<SplitGhost>): string | undefined => {
  if (!('saw' in event)) return undefined;
  if (event.saw === 'virtq.completed') return `queue ${event.chain.queue} head ${event.chain.head}`;
  return event.saw === 'virtq.used.stray' ? `queue ${event.queue} head ${event.head}` : undefined;
};

export const split: Area<SplitGhost> = {
  id: 'virtio.split',
  needs: ['virtio.blk'],
  initial: initialSplit,
  observe: observeSplit,
  on: [
    'virtq.enabled',
    'scope.reset',
    'virtio.negotiated',
    'virtio.live',
    'memory.changed',
    'virtq.completed',
    'virtq.malformed',
    'interrupt',
    'settled',
    'virtq.notify',
    'mmio.read',
    'mmio.write',
    'pci.bar.read',
    'pci.bar.write',
    'memory.write',
  ],
  clauses: [...usedClauses, ...memoryClauses, ...notificationClauses],
  duties: splitDuties,
  about,
  tell,
};
