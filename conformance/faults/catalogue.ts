// The registration of fault tables: one line each.

import type { Fault } from './fault.ts';
import { virtioBasicFaults } from './virtio-basic.ts';
import { virtioBlkFaults } from './virtio-blk.ts';
import { virtioSplitFaults } from './virtio-split.ts';
import { virtioTransportFaults } from './virtio-transport.ts';

export const faults: readonly Fault[] = [...virtioBasicFaults, ...virtioSplitFaults, ...virtioBlkFaults, ...virtioTransportFaults];
