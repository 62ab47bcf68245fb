// A pure pass over events: asks duties and clauses about each event, lets the areas remember it, and feeds derived events back.
// It knows no area's rules; a live run, an old recording and a stranger's log go through this one function.

import type { Area, Clause, Duty, Judged, Moment } from '../spec/clause.ts';
import type { Capability, Granted, MachineConfig, Scope } from '../spec/units.ts';
import type { Event, EventName } from '../spec/vocabulary.ts';
import { judgedMemory } from './memory.ts';

/** One objection: which clause, at which event of the trace, and why. */
export interface Finding {
  readonly clause: string;
  readonly at: number;
  readonly scope: Scope;
  readonly expected: string;
  readonly saw: string;
  readonly kind: string;
}
/** What one clause was seen doing over the programs judged so far. */
export interface Tally {
  readonly id: string;
  applied: number;
  kept: number;
  broken: number;
  unknown: number;
  /** The first reason for an unknown. */
  why?: string;
}
/** A duty seen broken, and the scope in which nothing is owed since. */
export interface Breach {
  readonly duty: string;
  readonly scope: Scope;
  readonly at: number;
  /** False: it could not be decided whether the duty was kept; findings in the scope become unknown. */
  readonly certain: boolean;
}
export interface Judge {
  /** A fresh machine: ghosts and memory start over, tallies go on. */
  reset(granted: Granted, image?: MachineConfig['image']): void;
  /** Judges one event of the wire. Returns the findings it led to, often none. */
  see(event: Event): readonly Finding[];
  /** Counts an event that is not judged: a stimulus that the target answered `unsupported` did not happen. */
  pass(): void;
  /** Index that the next event will have. */
  readonly at: number;
  readonly tallies: ReadonlyMap<string, Tally>;
  readonly breaches: readonly Breach[];
}

interface Room {
  readonly area: Area<unknown>;
  ghost: unknown;
  /** The machine is this area's business. */
  active: boolean;
}
interface Ask<Rule> {
  readonly room: Room;
  readonly rule: Rule;
  readonly tally: Tally;
  /** The machine does not offer what the rule needs. */
  off: boolean;
}
/** Derived events never legitimately nest deeper; more is an area feeding itself. */
const derivedDepth = 8;
const none: readonly Finding[] = [];

const register = <Rule extends { readonly on: readonly EventName[] }>(table: Map<EventName, Ask<Rule>[]>, ask: Ask<Rule>): void => {
  for (const name of ask.rule.on) {
    const list = table.get(name);
    if (list) list.push(ask);
    else table.set(name, [ask]);
  }
};
export const nameOf = (event: Event): EventName => ('do' in event ? event.do : event.saw);
const contains = (outer: Scope, inner: Scope): boolean => outer === 'machine' || inner === outer || inner.startsWith(`${outer}/`);
const offersAll = (granted: Granted, rule: { readonly needs?: readonly Capability[] }): boolean =>
  rule.needs?.every((c) => granted.offers.includes(c)) ?? true;

export const createJudge = (areas: readonly Area<never>[]): Judge => {
  const rooms: Room[] = (areas as unknown as readonly Area<unknown>[]).map((area) => ({ area, ghost: undefined, active: false }));
  const clauses = new Map<EventName, Ask<Clause<unknown>>[]>();
  const duties = new Map<EventName, Ask<Duty<unknown>>[]>();
  const observers = new Map<EventName, Room[]>();
  const tallies = new Map<string, Tally>();
  const memory = judgedMemory();
  /** What `active` and `off` were last worked out for. */
  let offered: Granted['offers'] | undefined;
  let breaches: Breach[] = [];
  let granted: Granted | undefined;
  let at = 0;
  for (const room of rooms) {
    for (const rule of room.area.clauses) {
      if (tallies.has(rule.id)) throw new Error(`two clauses are called ${rule.id}`);
      const tally: Tally = { id: rule.id, applied: 0, kept: 0, broken: 0, unknown: 0 };
      tallies.set(rule.id, tally);
      register(clauses, { room, rule, tally, off: false });
    }
    for (const rule of room.area.duties)
      register(duties, { room, rule, tally: { id: rule.id, applied: 0, kept: 0, broken: 0, unknown: 0 }, off: false });
    for (const name of room.area.on) observers.set(name, [...(observers.get(name) ?? []), room]);
  }

  const breachIn = (scope: Scope): Breach | undefined => {
    for (const breach of breaches) if (contains(breach.scope, scope)) return breach;
    return undefined;
  };
  const remember = (tally: Tally, why: string): void => {
    tally.unknown++;
    tally.why ??= why;
  };
  const ask = ({ rule, tally }: Ask<Clause<unknown>>, m: Moment<unknown>, findings: Finding[]): void => {
    if (!rule.when(m)) return;
    const scope = rule.scope?.(m) ?? 'machine';
    const breach = rule.always || breaches.length === 0 ? undefined : breachIn(scope);
    if (breach?.certain) return;
    const judged: Judged = rule.holds(m);
    tally.applied++;
    if (judged === true) tally.kept++;
    else if ('unknown' in judged) remember(tally, judged.unknown);
    else if (breach) remember(tally, `whether ${breach.duty} was kept is unknown`);
    else {
      tally.broken++;
      findings.push({ clause: rule.id, at, scope, expected: judged.expected, saw: judged.saw, kind: judged.kind });
    }
  };
  const judgeEvent = (event: Event, depth: number, findings: Finding[]): void => {
    const name = nameOf(event);
    if (depth > derivedDepth) throw new Error(`derived events nest deeper than ${derivedDepth} at ${name}`);
    for (const { rule, room } of duties.get(name) ?? []) {
      if (!room.active) continue;
      const m: Moment<unknown> = { before: room.ghost, event, memory, granted: granted as Granted, at };
      const kept = rule.keeps(m);
      if (kept !== true) breaches.push({ duty: rule.id, scope: rule.taints(m), at, certain: !('unknown' in kept) });
    }
    // Clauses stand in the order of their areas: one moment serves all of an area's.
    let asking: Room | undefined;
    let m: Moment<unknown> | undefined;
    for (const asked of clauses.get(name) ?? []) {
      const { room } = asked;
      if (!room.active || asked.off) continue;
      if (m === undefined || asking !== room) m = { before: room.ghost, event, memory, granted: granted as Granted, at };
      asking = room;
      ask(asked, m, findings);
    }
    if ('saw' in event && event.saw === 'scope.reset') breaches = breaches.filter((b) => !contains(event.scope, b.scope));
    let derived: Event[] | undefined;
    for (const room of observers.get(name) ?? []) {
      if (!room.active) continue;
      const more = room.area.observe(room.ghost, { before: room.ghost, event, memory, granted: granted as Granted, at });
      if (more.length > 0) derived = derived === undefined ? [...more] : [...derived, ...more];
    }
    if (derived !== undefined) for (const d of derived) judgeEvent(d, depth + 1, findings);
  };

  return {
    reset(g, image) {
      granted = g;
      memory.reset(g.memory, image);
      breaches = [];
      at = 0;
      if (g.offers !== offered) {
        offered = g.offers;
        for (const room of rooms) room.active = offersAll(g, room.area);
        for (const list of clauses.values()) for (const asked of list) asked.off = !offersAll(g, asked.rule);
      }
      for (const room of rooms) if (room.active) room.ghost = room.area.initial(g);
    },
    see(event) {
      if (granted === undefined) throw new Error('an event before the first reset');
      if ('do' in event) {
        if (event.do === 'memory.write') memory.write(event.at, event.bytes);
      } else if (event.saw === 'memory.changed') for (const w of event.writes) memory.write(w.at, w.bytes);
      const findings: Finding[] = [];
      judgeEvent(event, 0, findings);
      at++;
      return findings.length === 0 ? none : findings;
    },
    pass() {
      at++;
    },
    get at() {
      return at;
    },
    tallies,
    get breaches() {
      return breaches;
    },
  };
};
