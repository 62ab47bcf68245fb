// Instructions that need CPL 0, and opcodes that are undefined: by definition, in a mode, with LOCK, or for want of a feature.
// Intel SDM volume 3, Privileged Instructions; Interrupt 6—Invalid Opcode Exception.

import type { Clause } from '../../clause.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { ruleClause, sdm } from './clause.ts';

const ud = sdm('Volume 3, Interrupt and Exception Handling, Interrupt 6—Invalid Opcode Exception (#UD)');
export const privilegeClauses: readonly Clause<InstructionsGhost>[] = [
  ruleClause({
    rule: 'privileged.gp',
    cite: sdm('Volume 3, Protection, Privileged Instructions'),
    says: 'a privileged instruction above CPL 0 is #GP(0)',
    harm: 'dies',
  }),
  ruleClause({
    rule: 'privileged.monitor',
    cite: sdm('Volume 2, MONITOR—Set Up Monitor Address'),
    says: 'MONITOR and MWAIT above CPL 0 are #UD, and #GP(0) with an extension in ECX that does not exist',
    needs: ['cpu.system'],
  }),
  ruleClause({ rule: 'ud.reserved', cite: ud, says: 'opcodes reserved to be undefined are #UD at any privilege' }),
  ruleClause({
    rule: 'ud.mode',
    cite: ud,
    says: 'an instruction that 64-bit mode does not have, or that only it has, is #UD in the other',
  }),
  ruleClause({
    rule: 'ud.protected',
    cite: ud,
    says: 'LLDT, LTR, SLDT, STR, LAR, LSL, VERR, VERW and ARPL are #UD in real-address and virtual-8086 mode',
    needs: ['cpu.system'],
  }),
  ruleClause({
    rule: 'ud.lock',
    cite: sdm('Volume 2, LOCK—Assert LOCK# Signal Prefix'),
    says: 'LOCK before an instruction that cannot have it, or whose destination is no memory, is #UD',
  }),
  ruleClause({
    rule: 'ud.feature',
    cite: ud,
    says: 'an instruction of a feature that is absent or not enabled is #UD',
  }),
];
