// How clauses of this area are made: a fault that a rule demands, a completion that a topic owes, and what must be equal afterwards.
// All of them judge cpu.outcome against the endings that were foretold.

import type { Clause, Harm, Judged, Moment, Objection } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import { type Citation, sdm } from '../../sources.ts';
import type { Capability } from '../../units.ts';
import type { EventOf } from '../../vocabulary.ts';
import { flag, hex, statusFlags } from '../bits.ts';
import type { Topic } from '../forms/index.ts';
import type { Difference, Ending, InstructionsGhost, Kind } from '../ghost.ts';

type Outcome = EventOf<'cpu.outcome'>;
export type Seen = Moment<InstructionsGhost, Outcome>;
export const clause: ReturnType<typeof clauseOf<InstructionsGhost>> = clauseOf<InstructionsGhost>();
export { sdm };
/** Clauses that can apply only where this rule demands the first permitted ending, or where the instruction is of this topic. */
export const ofRule: Map<Clause<InstructionsGhost>, string> = new Map();
export const ofTopic: Map<Clause<InstructionsGhost>, Topic> = new Map();
export const noted = <K>(map: Map<Clause<InstructionsGhost>, K>, key: K, c: Clause<InstructionsGhost>): Clause<InstructionsGhost> => {
  map.set(c, key);
  return c;
};

const names: Readonly<Record<number, string>> = {
  0: '#DE',
  1: '#DB',
  3: '#BP',
  4: '#OF',
  5: '#BR',
  6: '#UD',
  7: '#NM',
  8: '#DF',
  10: '#TS',
  11: '#NP',
  12: '#SS',
  13: '#GP',
  14: '#PF',
  17: '#AC',
};
const event = (vector: number | undefined, error: number | 'any' | undefined): string =>
  vector === undefined
    ? 'nothing'
    : `${names[vector] ?? `vector ${vector}`}${error === undefined ? '' : `(${error === 'any' ? 'any' : hex(error)})`}`;
export const described = (e: Ending): string => (e.by === 'event' ? event(e.vector, e.error) : e.by === 'end' ? `stop ${e.stop}` : e.by);
export const seen = (o: Outcome): string =>
  o.by === 'event' ? `${event(o.vector, o.error)}${o.rip === undefined ? '' : ` at ${hex(o.rip)}`}` : o.by;

const nameOf = (vector: number | undefined): string => names[vector ?? -1] ?? 'an interrupt';
/** Bits of a page fault's error code, and of others, from the lowest. SDM volume 3, Page-Fault Exceptions; Error Code. */
const pageBits = ['P', 'W', 'U', 'RSVD', 'I', 'PK', 'SS'] as const;
const otherBits = ['EXT', 'IDT', 'TI', 'index'] as const;
/** What an error code differs in: all that a selector has above its bits is one thing; with reserved bits set it is another word altogether. */
const codeKind = ({ vector, error }: Ending, saw: number | undefined): string => {
  if (saw === undefined || typeof error !== 'number') return 'error code';
  const differs = saw ^ error;
  if (differs >>> 16 !== 0) return 'error code reserved';
  if (saw === 0 && (vector === 14 || differs !== 1)) return 'error code 0';
  const parts = vector === 14 ? differs : differs < 8 ? differs : 8 | (differs & 7);
  return ['error code', ...(vector === 14 ? pageBits : otherBits).filter((_, n) => (parts & (1 << n)) !== 0)].join(' ');
};
/** What happened in place of what was permitted, in fixed words: so that a known difference of one kind hides no other. */
const kindOf = (o: Outcome, endings: readonly Ending[]): string => {
  const same = o.by === 'event' ? endings.filter((e) => e.vector === o.vector).map((e) => codeKind(e, o.error)) : [];
  // Of several codes that are permitted, that whose difference is said shortest.
  if (same.length > 0) return same.reduce((near, kind) => (kind.length < near.length ? kind : near));
  const expected = [...new Set(endings.map((e) => (e.by === 'event' ? nameOf(e.vector) : e.by)))].join(' or ');
  const ends = o.by === 'end' || o.by === 'halt' || o.by === 'limit' || (o.by === 'event' && (o.vector === 3 || o.vector === 1));
  if (ends && endings.every((e) => e.fault && e.by === 'event')) return 'no fault';
  return `${o.by === 'event' ? nameOf(o.vector) : o.by} for ${expected}`;
};
export const missedOf = (o: Outcome, endings: readonly Ending[]): Objection => ({
  kind: kindOf(o, endings),
  expected: endings.map(described).join(' or '),
  saw: seen(o),
});
export const missed = (m: Seen): Objection => missedOf(m.event, m.before.expected.endings);
export const judgeEnd = (m: Seen): Judged => m.before.met !== undefined || missed(m);

/** All permitted endings come of this rule. */
const demanded =
  (rule: string) =>
  (m: Seen): boolean => {
    const { endings } = m.before.expected;
    if (endings.length === 0 || endings[0]?.rule !== rule) return false;
    return endings.length === 1 || endings.every((e) => e.rule === rule);
  };
export interface RuleText {
  readonly rule: string;
  readonly cite: Citation;
  readonly says: string;
  readonly harm?: Harm;
  readonly needs?: readonly Capability[];
}
/** The rule's fault, and no other, ends the case. */
export const ruleClause = ({ rule, cite, says, harm = 'wrong-data', needs }: RuleText): Clause<InstructionsGhost> =>
  noted(
    ofRule,
    rule,
    clause({
      id: `instructions.${rule}`,
      cite,
      level: 'must',
      binds: 'cpu',
      says,
      on: ['cpu.outcome'],
      ...(needs === undefined ? {} : { needs }),
      harm,
      when: demanded(rule),
      holds: judgeEnd,
    }),
  );
/** The converse: where no rule demands a fault there is none. */
export const completesClause = (topic: Topic, cite: Citation, says: string): Clause<InstructionsGhost> =>
  noted(
    ofTopic,
    topic,
    clause({
      id: `instructions.${topic}.completes`,
      cite,
      level: 'must',
      binds: 'cpu',
      says,
      on: ['cpu.outcome'],
      harm: 'dies',
      when: (m) =>
        m.before.expected.completes &&
        m.before.expected.instruction?.form.topic === topic &&
        m.before.expected.endings[0]?.rule === 'complete',
      holds: judgeEnd,
    }),
  );
/** So many flags beside the status flags differ only where something else stands in their place, and so do fewer where one of them is reserved. */
const tooMany = 3;
/** Flags by name; status flags are one thing. */
const flagNames = (bits: number): string => {
  const all = Object.values(flag).reduce((sum, mask) => sum | mask, statusFlags);
  const named = Object.entries(flag).flatMap(([name, mask]) => ((bits & mask & ~statusFlags) === 0 ? [] : [name]));
  const others = (bits & ~all) === 0 ? named : [...named, 'reserved'];
  return others.length >= tooMany - (named.length < others.length ? 1 : 0)
    ? 'many'
    : [...((bits & statusFlags) === 0 ? [] : ['status']), ...others].join(' ');
};
/** Nothing of these kinds differs from the ending that was met. */
export const without = (differences: readonly Difference[], kinds: readonly Kind[]): Judged => {
  for (const d of differences)
    if (kinds.includes(d.kind))
      return {
        kind: d.as ?? (d.what.startsWith('byte') ? 'bytes' : d.bits === undefined ? d.what : `${d.what} ${flagNames(d.bits)}`),
        expected: `${d.what} ${d.expected}`,
        saw: d.saw,
      };
  return true;
};
