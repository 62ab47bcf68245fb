// Faults of fetching and decoding, and of memory operands: limits, null segments, types, canonical addresses, alignment.
// Intel SDM volume 3, Protection: Limit Checking, Type Checking; volume 1, Canonical Addressing.

import type { Clause } from '../../clause.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { ruleClause, sdm } from './clause.ts';

const limits = sdm('Volume 3, Protection, Limit Checking');
const types = sdm('Volume 3, Protection, Type Checking');
const canonical = sdm('Volume 1, Basic Execution Environment, Canonical Addressing');
const system = ['cpu.system'] as const;
export const fetchClauses: readonly Clause<InstructionsGhost>[] = [
  ruleClause({ rule: 'fetch.limit', cite: limits, says: 'an instruction byte beyond the limit of CS is #GP(0)', needs: system }),
  ruleClause({
    rule: 'fetch.canonical',
    cite: canonical,
    says: 'an instruction byte at an address that is not canonical is #GP(0)',
    needs: system,
  }),
  ruleClause({
    rule: 'fetch.length',
    cite: sdm('Volume 2, Instruction Format, Instruction Prefixes'),
    says: 'an instruction of more than 15 bytes is #GP(0)',
  }),
  ruleClause({
    rule: 'operand.limit',
    cite: limits,
    says: 'a memory operand outside the limit of its segment is #GP(0), or #SS(0) where the segment is SS',
  }),
  ruleClause({
    rule: 'operand.null',
    cite: sdm('Volume 3, Protection, Null Segment Selector Checking'),
    says: 'an access by a segment register that holds a null selector is #GP(0), or #SS(0) where it is SS',
  }),
  ruleClause({
    rule: 'operand.type',
    cite: types,
    says: 'writing a code or read-only segment and reading an execute-only one are #GP(0)',
    harm: 'stray-write',
  }),
  ruleClause({
    rule: 'operand.canonical',
    cite: canonical,
    says: 'a memory operand at an address that is not canonical is #GP(0), or #SS(0) for a stack reference',
  }),
  ruleClause({
    rule: 'operand.alignment',
    cite: sdm('Volume 3, Interrupt and Exception Handling, Interrupt 17—Alignment Check Exception (#AC)'),
    says: 'a misaligned access at CPL 3 with CR0.AM and RFLAGS.AC set is #AC(0), and CMPXCHG16B of what is not aligned to 16 bytes #GP(0)',
  }),
];
