// The registration of fault tables: one line each.

import type { Fault } from './fault.ts';
import { instructionDataFaults } from './instructions-data.ts';
import { instructionDeliveryFaults } from './instructions-delivery.ts';
import { instructionFarFaults } from './instructions-far.ts';
import { instructionPagingFaults } from './instructions-paging.ts';
import { instructionPrivilegeFaults } from './instructions-privilege.ts';
import { instructionSegmentsFaults } from './instructions-segments.ts';
import { virtioBasicFaults } from './virtio-basic.ts';
import { virtioBlkFaults } from './virtio-blk.ts';
import { virtioSplitFaults } from './virtio-split.ts';
import { virtioTransportFaults } from './virtio-transport.ts';
import { vtdFaults } from './vt-d.ts';
import { vtdQueueFaults } from './vt-d-queue.ts';
import { vtdWalkFaults } from './vt-d-walks.ts';

export const faults: readonly Fault[] = [
  ...virtioBasicFaults,
  ...virtioSplitFaults,
  ...virtioBlkFaults,
  ...virtioTransportFaults,
  ...vtdFaults,
  ...vtdQueueFaults,
  ...vtdWalkFaults,
  ...instructionDataFaults,
  ...instructionDeliveryFaults,
  ...instructionFarFaults,
  ...instructionPagingFaults,
  ...instructionPrivilegeFaults,
  ...instructionSegmentsFaults,
];
