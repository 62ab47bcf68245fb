// The suite vt-d: long histories of table edits, invalidations, requests, interrupts and looks, on remapping units of many kinds.

import type { Suite } from '../program.ts';
import { type VtdChoice, vtdChoices } from './choices.ts';
import { vtdMachines } from './machines.ts';
import { playVtd } from './player.ts';
import { shapeOf, simpler } from './shape.ts';
import { DUTIES } from './violations.ts';

export const vtdSuite: Suite<VtdChoice> = {
  id: 'vt-d',
  needs: ['vt-d', 'vt-d.register', 'memory.seen'],
  machines: vtdMachines,
  choices: vtdChoices(DUTIES),
  play: playVtd,
  shape: shapeOf,
  simpler,
  oblivious: true,
  block: 16,
  runs: 800,
};
