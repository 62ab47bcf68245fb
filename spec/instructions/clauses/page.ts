// Page faults by cause with their error codes, CR2, and the accessed and dirty flags.
// Intel SDM volume 3, Paging: Access Rights; Page-Fault Exceptions; Accessed and Dirty Flags.

import type { Clause } from '../../clause.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { clause, ruleClause, sdm, without } from './clause.ts';

const exceptions = sdm('Volume 3, Paging, Page-Fault Exceptions');
const rights = sdm('Volume 3, Paging, Access Rights');
const needs = ['cpu.system'] as const;
export const pageClauses: readonly Clause<InstructionsGhost>[] = [
  ruleClause({ rule: 'page.present', cite: exceptions, says: 'an entry that is not present is #PF with P clear' }),
  ruleClause({ rule: 'page.reserved', cite: exceptions, says: 'a reserved bit in a present entry is #PF with P and RSVD set', needs }),
  ruleClause({
    rule: 'page.rights',
    cite: rights,
    says: 'user access to a supervisor page is #PF with P and U set',
    harm: 'stray-write',
    needs,
  }),
  ruleClause({
    rule: 'page.write',
    cite: rights,
    says: 'a write to a read-only page by the user, or by the supervisor with CR0.WP, is #PF with P and W set',
    harm: 'stray-write',
  }),
  ruleClause({ rule: 'page.fetch', cite: rights, says: 'a user fetch from a supervisor page is #PF', needs }),
  ruleClause({ rule: 'page.smep', cite: rights, says: 'a supervisor fetch from a user page with CR4.SMEP is #PF with I set', needs }),
  ruleClause({ rule: 'page.smap', cite: rights, says: 'a supervisor access to a user page with CR4.SMAP and AC clear is #PF', needs }),
  ruleClause({ rule: 'page.nx', cite: rights, says: 'a fetch from an execute-disable page with EFER.NXE is #PF with I set' }),
  clause({
    id: 'instructions.page.cr2',
    cite: exceptions,
    level: 'must',
    binds: 'cpu',
    says: 'CR2 holds the linear address that faulted',
    on: ['cpu.outcome'],
    needs,
    harm: 'wrong-data',
    when: ({ before, event }) => before.met?.vector === 14 && event.state.cr2 !== undefined,
    holds: (m) => without(m.before.differences, ['cr2']),
  }),
  clause({
    id: 'instructions.page.accessed',
    cite: sdm('Volume 3, Paging, Accessed and Dirty Flags'),
    level: 'must',
    binds: 'cpu',
    says: 'every paging-structure entry that an access used has its accessed flag set, and the last one of a write its dirty flag',
    on: ['cpu.outcome'],
    needs: ['cpu.system', 'memory.seen'],
    harm: 'wrong-data',
    when: ({ before }) => {
      if (before.met !== undefined) for (const mark of before.met.marks.values()) if (mark === 'accessed') return true;
      return false;
    },
    holds: (m) => without(m.before.differences, ['accessed']),
  }),
];
