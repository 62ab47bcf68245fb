// The area virtio.basic: device status, feature negotiation, reset, configuration space.
// VIRTIO 1.4, Basic Facilities of a Virtio Device.

import type { Area } from '../../clause.ts';
import { configurationClauses, configurationDuties } from './configuration.ts';
import { type BasicGhost, initialBasic, observeBasic } from './ghost.ts';
import { negotiationClauses, negotiationDuties } from './negotiation.ts';
import { resetClauses } from './reset.ts';
import { statusClauses, statusDuties } from './status.ts';

export const basic: Area<BasicGhost> = {
  id: 'virtio.basic',
  needs: ['virtio.blk'],
  initial: initialBasic,
  observe: observeBasic,
  on: [
    'virtio.status.write',
    'virtio.features.write',
    'virtio.config.write',
    'host.resize',
    'virtq.set',
    'mmio.read',
    'mmio.write',
    'pci.bar.read',
    'pci.bar.write',
    'virtio.status',
    'virtio.features',
    'virtio.config',
    'virtio.generation',
    'virtq.submitted',
    'settled',
    'interrupt',
  ],
  clauses: [...statusClauses, ...resetClauses, ...negotiationClauses, ...configurationClauses],
  duties: [...statusDuties, ...negotiationDuties, ...configurationDuties],
};
