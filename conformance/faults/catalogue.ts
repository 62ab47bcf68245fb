// The registration of fault tables: one line each.

import type { Fault } from './fault.ts';
import { instructionConditionFaults } from './instructions-conditions.ts';
import { instructionCourseFaults } from './instructions-courses.ts';
import { instructionDebugFaults } from './instructions-debug.ts';
import { instructionDeliveryFaults } from './instructions-delivery.ts';
import { instructionFarFaults } from './instructions-far.ts';
import { instructionSwitchFaults } from './instructions-switches.ts';
import { instructionTaskFaults } from './instructions-tasks.ts';
import { instructionPagingFaults } from './instructions-paging.ts';
import { instructionPrivilegeFaults } from './instructions-privilege.ts';
import { instructionRegisterFaults } from './instructions-registers.ts';
import { instructionResultFaults } from './instructions-results.ts';
import { instructionSegmentsFaults } from './instructions-segments.ts';
import { instructionIntegerFaults } from './instructions-integer.ts';
import { instructionMoveFaults } from './instructions-moves.ts';
import { instructionMonitorFaults } from './monitors.ts';
import { instructionSystemFaults } from './instructions-system.ts';
import { virtioBasicFaults } from './virtio-basic.ts';
import { virtioBlkFaults } from './virtio-blk.ts';
import { virtioBlkConfigFaults } from './virtio-blk-config.ts';
import { virtioMmioFaults } from './virtio-mmio.ts';
import { virtioPciInterruptsFaults } from './virtio-pci-interrupts.ts';
import { virtioPciLayoutFaults } from './virtio-pci-layout.ts';
import { virtioPciRegistersFaults } from './virtio-pci-registers.ts';
import { virtioSplitChainFaults } from './virtio-split-chain.ts';
import { virtioSplitUsedFaults } from './virtio-split-used.ts';
import { vtdFaults } from './vt-d.ts';
import { vtdEventFaults } from './vt-d-events.ts';
import { vtdPassingFaults } from './vt-d-passing.ts';
import { vtdQueueFaults } from './vt-d-queue.ts';
import { vtdReasonFaults } from './vt-d-reasons.ts';
import { vtdRuleFaults } from './vt-d-rules.ts';
import { vtdWalkFaults } from './vt-d-walks.ts';

export const faults: readonly Fault[] = [
  ...virtioBasicFaults,
  ...virtioSplitChainFaults,
  ...virtioSplitUsedFaults,
  ...virtioBlkFaults,
  ...virtioBlkConfigFaults,
  ...virtioPciLayoutFaults,
  ...virtioPciRegistersFaults,
  ...virtioPciInterruptsFaults,
  ...virtioMmioFaults,
  ...vtdFaults,
  ...vtdQueueFaults,
  ...vtdWalkFaults,
  ...vtdPassingFaults,
  ...vtdReasonFaults,
  ...vtdRuleFaults,
  ...vtdEventFaults,
  ...instructionIntegerFaults,
  ...instructionMoveFaults,
  ...instructionSystemFaults,
  ...instructionConditionFaults,
  ...instructionDeliveryFaults,
  ...instructionDebugFaults,
  ...instructionFarFaults,
  ...instructionTaskFaults,
  ...instructionSwitchFaults,
  ...instructionPagingFaults,
  ...instructionPrivilegeFaults,
  ...instructionRegisterFaults,
  ...instructionSegmentsFaults,
  ...instructionResultFaults,
  ...instructionMonitorFaults,
  ...instructionCourseFaults,
];
