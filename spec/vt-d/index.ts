// The area vt-d: what a remapping unit owes, judged from registers, memory, requests of devices and interrupts that arrive.
// Intel Virtualization Technology for Directed I/O 4.1.

import type { Area } from '../clause.ts';
import { clauses } from './clauses.ts';
import { duties } from './driver.ts';
import type { VtdGhost } from './ghost.ts';
import { initial } from './ghost.ts';
import { observe, observed } from './observe.ts';
import { tell } from './tell.ts';

export type { VtdGhost } from './ghost.ts';
export const vtd: Area<VtdGhost> = {
  id: 'vt-d',
  needs: ['vt-d'],
  initial,
  observe,
  on: observed,
  clauses,
  duties,
  tell,
};
