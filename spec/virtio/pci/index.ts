// The area virtio.pci: what a virtio function owes on a PCI bus, judged from raw accesses to configuration space and BARs.
// VIRTIO 1.4, Virtio Over PCI Bus.

import type { Area } from '../../clause.ts';
import { capabilityClauses } from './capabilities.ts';
import { commonClauses } from './common.ts';
import { duties } from './driver.ts';
import type { PciGhost } from './ghost.ts';
import { initial } from './ghost.ts';
import { headerClauses } from './header.ts';
import { interruptClauses } from './interrupts.ts';
import { observe, observed } from './observe.ts';
import { vectorClauses } from './vectors.ts';

export type { PciGhost } from './ghost.ts';
export const pci: Area<PciGhost> = {
  id: 'virtio.pci',
  needs: ['virtio.pci'],
  initial,
  observe,
  on: observed,
  clauses: [...capabilityClauses, ...commonClauses, ...interruptClauses, ...headerClauses, ...vectorClauses],
  duties,
};
