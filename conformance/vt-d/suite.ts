// The suite vt-d: long histories of table edits, invalidations, requests, interrupts and looks, on remapping units of many kinds.

import type { Suite } from '../program.ts';
import { type VtdChoice, vtdChoices } from './choices.ts';
import { lateVtdChoices } from './late.ts';
import { vtdMachines } from './machines.ts';
import { playVtd } from './player.ts';
import { shapeOf, simpler } from './shape.ts';
import { DUTIES } from './violations.ts';

/** After so many blocks come late programs, a block for each machine of each kind. */
const plainBlocks = 50;
const blockSize = 16;
const rounds = plainBlocks + lateVtdChoices.length * vtdMachines.length;
const plain = vtdChoices(DUTIES);

export const vtdSuite: Suite<VtdChoice> = {
  id: 'vt-d',
  needs: ['vt-d', 'vt-d.register', 'memory.seen'],
  machines: vtdMachines,
  choices: plain,
  choicesOf: (block) => lateVtdChoices[Math.floor((block - plainBlocks) / vtdMachines.length)] ?? plain,
  play: playVtd,
  shape: shapeOf,
  simpler,
  oblivious: true,
  block: blockSize,
  runs: rounds * blockSize,
};
