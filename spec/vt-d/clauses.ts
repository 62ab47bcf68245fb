// The clauses: one a fault reason and outcome, one a kind of invalidation, one a register rule; each reads the fact it is about.
// What may be said of a fact is decided where it is told; here stands what each rule says and when it applies.

import type { Clause, Judged } from '../clause.ts';
import { clauseOf } from '../clause.ts';
import { cacheRules } from './cache-rules.ts';
import { vtd } from '../sources.ts';
import type { EventOf } from '../vocabulary.ts';
import type { VtdGhost } from './ghost.ts';
import { interruptReasons, memoryReasons } from './reasons.ts';
import { statusRules } from './rules.ts';

const clause = clauseOf<VtdGhost>();
const scope = (): string => 'vtd';
type Verdict = EventOf<'vtd.access'> | EventOf<'vtd.message'>;
const no = (kind: string, e: { readonly expected: string; readonly got: string }): Judged => ({ kind, expected: e.expected, saw: e.got });

const idOf = (code: number, slug: string): string =>
  code === -3
    ? 'vt-d.pmr.protected'
    : code === -4
      ? 'vt-d.sriov.absent-requests'
      : code === -5
        ? 'vt-d.isolation.bus-master'
        : `vt-d.walk.${slug}`;
/** A request that has only one way to end, blocked for one reason. */
const sole = (e: Verdict, code: number): boolean => !e.reach && e.matched !== 'excluded' && e.reasons.length === 1 && e.reasons[0] === code;

/** Page requests end in a response or a place in their queue, which rules of their own judge. */
const paging: readonly number[] = [0x32, 0x47];
const blocked: readonly Clause<VtdGhost>[] = memoryReasons
  .filter(({ code }) => !paging.includes(code))
  .map(({ code, slug, says, section }) =>
    clause({
      id: idOf(code, slug),
      cite: vtd(section),
      level: 'must',
      binds: 'iommu',
      says: `blocked: ${says}`,
      on: ['vtd.access'],
      harm: 'stray-write',
      scope,
      when: ({ event }) => sole(event, code),
      holds: ({ event }) => event.matched === 'permitted' || no(event.seen, event),
    }),
  );
const access: readonly Clause<VtdGhost>[] = [
  clause({
    id: 'vt-d.walk.refused',
    cite: vtd('Fault Conditions (general)'),
    level: 'must',
    binds: 'iommu',
    says: 'a request that no permitted translation lets through is blocked, whichever of several reasons is reported',
    on: ['vtd.access'],
    harm: 'stray-write',
    scope,
    when: ({ event: e }) => !e.reach && e.matched !== 'excluded' && (e.reasons.length > 1 || e.reasons[0] === -1 || e.reasons[0] === 0),
    holds: ({ event }) => event.matched === 'permitted' || no(event.seen, event),
  }),
  clause({
    id: 'vt-d.walk.translates',
    cite: vtd('DMA Remapping'),
    level: 'must',
    binds: 'iommu',
    says: 'a request that the tables translate, with the rights it needs, is let through',
    on: ['vtd.access'],
    harm: 'self-stuck',
    scope,
    when: ({ event: e }) => e.reach && e.reasons.length === 0 && e.matched !== 'excluded' && e.seen !== 'bytes' && e.seen !== 'landed',
    holds: ({ event }) => event.matched === 'permitted' || no(event.seen, event),
  }),
  clause({
    id: 'vt-d.walk.address',
    cite: vtd('DMA Remapping'),
    level: 'must',
    binds: 'iommu',
    says: 'a request reaches the host address that the tables give',
    on: ['vtd.access'],
    harm: 'stray-write',
    scope,
    when: ({ event: e }) => e.reach && e.matched !== 'excluded' && (e.seen === 'bytes' || e.seen === 'landed'),
    holds: ({ event }) => event.matched === 'permitted' || no(event.seen, event),
  }),
  clause({
    id: 'vt-d.isolation.memory',
    cite: vtd('Isolation through Remapping'),
    level: 'must',
    binds: 'iommu',
    says: 'memory changes only where a request, a wait, a page request or a flag of a walk may change it',
    on: ['vtd.changed'],
    needs: ['memory.seen'],
    harm: 'stray-write',
    scope,
    when: () => true,
    holds: ({ event }) => event.explained || { kind: 'stray', expected: 'no change', saw: event.where },
  }),
];
const caches: readonly Clause<VtdGhost>[] = cacheRules.map(([kind, says, section]) =>
  clause({
    id: `vt-d.cache.${kind}`,
    cite: vtd(section),
    level: 'must',
    binds: 'iommu',
    says,
    on: ['vtd.access', 'vtd.message', 'vtd.status'],
    harm: kind === 'not-cached' ? 'self-stuck' : 'stray-write',
    scope,
    blind: 'an implementation that caches less cannot break it',
    when: ({ event: e }) =>
      e.saw === 'vtd.status'
        ? e.checks.some((c) => c.rule === `vt-d.cache.${kind}`)
        : e.matched === 'excluded'
          ? e.rule === kind
          : e.matched === 'permitted' && e.rules.includes(kind),
    holds: ({ event: e }) => {
      if (e.saw === 'vtd.status') {
        const bad = e.checks.find((c) => c.rule === `vt-d.cache.${kind}` && !c.ok);
        return bad === undefined || no('stale', bad);
      }
      return e.matched === 'permitted' || no('stale', e);
    },
  }),
);
const interrupts: readonly Clause<VtdGhost>[] = [
  ...interruptReasons.map(({ code, slug, says, section }) =>
    clause({
      id: `vt-d.interrupt.${slug}`,
      cite: vtd(section),
      level: 'must',
      binds: 'iommu',
      says: `an interrupt is blocked: ${says}`,
      on: ['vtd.message'],
      needs: ['vt-d.interrupt'],
      harm: 'stray-write',
      scope,
      when: ({ event }) => sole(event, code),
      holds: ({ event }) => event.matched === 'permitted' || no('delivered', event),
    }),
  ),
  clause({
    id: 'vt-d.interrupt.refused',
    cite: vtd('Interrupt Remapping Fault Conditions'),
    level: 'must',
    binds: 'iommu',
    says: 'an interrupt request that no permitted entry lets through is blocked, whichever of several reasons is reported',
    on: ['vtd.message'],
    needs: ['vt-d.interrupt'],
    harm: 'stray-write',
    scope,
    when: ({ event: e }) => !e.reach && e.matched !== 'excluded' && e.reasons.length > 1,
    holds: ({ event }) => event.matched === 'permitted' || no('delivered', event),
  }),
  clause({
    id: 'vt-d.interrupt.delivered',
    cite: vtd('Interrupt Remapping'),
    level: 'must',
    binds: 'iommu',
    says: 'an interrupt request that the table lets through arrives',
    on: ['vtd.message'],
    needs: ['vt-d.interrupt'],
    harm: 'self-stuck',
    scope,
    when: ({ event: e }) =>
      e.reach && e.reasons.length === 0 && e.matched !== 'excluded' && (e.seen === 'nothing' || e.matched === 'permitted'),
    holds: ({ event }) => event.matched === 'permitted' || no('lost', event),
  }),
  clause({
    id: 'vt-d.interrupt.fields',
    cite: vtd('Interrupt Remapping Table Entry'),
    level: 'must',
    binds: 'iommu',
    says: 'a remapped interrupt has the vector, delivery mode, destination and trigger mode of its entry',
    on: ['vtd.message'],
    needs: ['vt-d.interrupt'],
    harm: 'wrong-data',
    scope,
    when: ({ event: e }) => e.reach && (e.form === 'remapped' || e.form === 'posted') && e.matched !== 'excluded' && e.seen === 'delivered',
    holds: ({ event }) => event.matched === 'permitted' || no('fields', event),
  }),
  clause({
    id: 'vt-d.interrupt.unchanged',
    cite: vtd('Interrupt Remapping'),
    level: 'must',
    binds: 'iommu',
    says: 'an interrupt that is not remapped arrives as it was sent',
    on: ['vtd.message'],
    needs: ['vt-d.interrupt'],
    harm: 'wrong-data',
    scope,
    when: ({ event: e }) =>
      e.reach && (e.form === 'off' || e.form === 'compatibility') && e.matched !== 'excluded' && e.seen === 'delivered',
    holds: ({ event }) => event.matched === 'permitted' || no('fields', event),
  }),
];
const status: readonly Clause<VtdGhost>[] = statusRules.map(([id, level, harm, says, section, blind]) =>
  clause({
    id,
    cite: vtd(section),
    level,
    binds: /^vt-d\.(sriov|function)/.test(id) ? 'device' : 'iommu',
    says,
    on: ['vtd.status'],
    harm,
    scope,
    ...(blind === undefined ? {} : { blind }),
    when: ({ event }) => event.checks.some((c) => c.rule === id),
    holds: ({ event }) => {
      const bad = event.checks.find((c) => c.rule === id && !c.ok);
      return bad === undefined || no('value', bad);
    },
  }),
);
const fieldRules: readonly (readonly [field: string, says: string])[] = [
  ['source-id', 'a fault record names the requester'],
  ['direction', 'a fault record tells reads from writes'],
  ['address', 'a fault record of a memory request holds the page of its address'],
  ['interrupt-index', 'a fault record of an interrupt request holds its index'],
  ['address-type', 'a fault record holds the address type of the request'],
  ['pasid', 'a fault record holds the PASID of the request, if it had one'],
  ['attributes', 'a fault record of a request with PASID holds its execute and privileged attributes'],
];
const recordSection = vtd('Fault Recording Registers');
const field = (id: string, says: string, name: string, applies: (reasons: readonly number[]) => boolean): Clause<VtdGhost> =>
  clause({
    id,
    cite: recordSection,
    level: 'must',
    binds: 'iommu',
    says,
    on: ['vtd.record'],
    harm: 'wrong-data',
    scope,
    when: ({ event: e }) => applies(e.reasons) && e.fields.some((f) => f.name === name),
    holds: ({ event: e }) => {
      const bad = e.fields.find((f) => f.name === name && !f.ok);
      return bad === undefined || { kind: name, expected: bad.expected, saw: bad.saw };
    },
  });
const records: readonly Clause<VtdGhost>[] = [
  ...fieldRules.map(([name, says]) => field(`vt-d.fault.${name}`, says, name, () => true)),
  ...memoryReasons
    .filter((r) => r.code > 0)
    .map((r) =>
      field(
        `vt-d.fault.reason-${r.slug}`,
        `fault reason 0x${r.code.toString(16)}: ${r.says}`,
        'reason',
        (x) => x.length === 1 && x[0] === r.code,
      ),
    ),
  ...interruptReasons.map((r) =>
    field(
      `vt-d.fault.reason-interrupt-${r.slug}`,
      `fault reason 0x${r.code.toString(16)}: ${r.says}`,
      'reason',
      (x) => x.length === 1 && x[0] === r.code,
    ),
  ),
  field('vt-d.fault.reason-either', 'a fault that fits several reasons is reported with one of them', 'reason', (x) => x.length > 1),
  clause({
    id: 'vt-d.fault.recorded',
    cite: vtd('Primary Fault Logging'),
    level: 'must',
    binds: 'iommu',
    says: 'a fault is recorded in the next record if it is free, and stays there until cleared',
    on: ['vtd.record'],
    harm: 'self-stuck',
    scope,
    when: ({ event: e }) => e.may === 'all' && e.present !== undefined,
    holds: ({ event: e }) => e.present === true || { kind: 'missing', expected: 'F set', saw: 'F clear' },
  }),
  clause({
    id: 'vt-d.fault.disabled',
    cite: vtd('Fault Processing Disable'),
    level: 'must',
    binds: 'iommu',
    says: 'where FPD is set, qualified faults are not recorded',
    on: ['vtd.record'],
    harm: 'interop',
    scope,
    when: ({ event: e }) => e.may === 'none' && e.present !== undefined && (e.suppressed || e.present === false),
    holds: ({ event: e }) => e.present === false || { kind: 'recorded', expected: 'F clear', saw: 'F set' },
  }),
  clause({
    id: 'vt-d.fault.nothing-else',
    cite: vtd('Primary Fault Logging'),
    level: 'must',
    binds: 'iommu',
    says: 'no fault is recorded where none was met',
    on: ['vtd.record'],
    harm: 'interop',
    scope,
    when: ({ event: e }) => e.may === 'none' && e.present !== undefined && !e.suppressed,
    holds: ({ event: e }) => e.present === false || { kind: 'spurious', expected: 'F clear', saw: 'F set' },
  }),
];
export const clauses: readonly Clause<VtdGhost>[] = [...blocked, ...access, ...caches, ...interrupts, ...status, ...records];
