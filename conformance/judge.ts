// A pure pass over events: asks duties and clauses about each event, lets the areas remember it, and feeds derived events back.
// It knows no area's rules; a live run, an old recording and a stranger's log go through this one function.

import type { Area, Clause, Duty, Judged, Moment } from '../spec/clause.ts';
import type { Capability, Granted, MachineConfig, Scope } from '../spec/units.ts';
import type { Event, EventName, EventOf } from '../spec/vocabulary.ts';
import { judgedMemory } from './memory.ts';

/** One objection: which clause, at which event of the trace, and why. */
export interface Finding {
  readonly clause: string;
  readonly at: number;
  readonly scope: Scope;
  readonly expected: string;
  readonly saw: string;
  readonly kind: string;
  /** Which queue, head or sector, as its area says; only where somebody listens to what the areas tell. */
  readonly about?: string;
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
  readonly observe: Area<unknown>['observe'];
  readonly among: Area<unknown>['among'] | undefined;
  ghost: unknown;
  /** The machine is this area's business. */
  active: boolean;
  /** What its rules and its observer are shown of one event, and of which: the count of events when it was made. */
  moment: Moment<unknown> | undefined;
  shown: number;
}
interface Ask<Rule> {
  readonly room: Room;
  readonly rule: Rule;
  readonly tally: Tally;
}
// What is asked of a rule stands beside it: rules and areas come in many shapes, and finding a function in one of many costs more than most of them do.
interface Asking extends Ask<Clause<unknown>> {
  readonly when: Clause<unknown>['when'];
  readonly holds: Clause<unknown>['holds'];
  readonly scope: Clause<unknown>['scope'] | undefined;
  readonly always: boolean;
}
interface Owing extends Ask<Duty<unknown>> {
  readonly keeps: Duty<unknown>['keeps'];
}
/** Who is concerned with events of one name, in the order of the areas. */
interface Concerned {
  readonly duties: Owing[];
  readonly clauses: Asking[];
  readonly observers: Room[];
}
/** The clauses of one area on one event: all of them, and those of each list that the area says can matter. */
interface Asked {
  readonly room: Room;
  readonly all: Asking[];
  readonly among: Map<readonly Clause<unknown>[], readonly Asking[]>;
}
/** The same for a machine, its clauses area by area. */
interface Here extends Omit<Concerned, 'clauses'> {
  readonly asked: readonly Asked[];
}
const byArea = (clauses: readonly Asking[]): readonly Asked[] => {
  const lists: Asked[] = [];
  for (const one of clauses) {
    let last = lists.at(-1);
    if (last?.room !== one.room) lists.push((last = { room: one.room, all: [], among: new Map() }));
    last.all.push(one);
  }
  return lists;
};
const askedOf = ({ room, all, among }: Asked, event: Event): readonly Asking[] => {
  const list = room.among === undefined ? undefined : room.among(room.ghost, event);
  if (list === undefined) return all;
  let found = among.get(list);
  if (found === undefined) {
    const wanted = new Set(list);
    among.set(list, (found = all.filter((a) => wanted.has(a.rule))));
  }
  return found;
};
/** Derived events never legitimately nest deeper; more is an area feeding itself. */
const derivedDepth = 8;
const none: readonly Finding[] = [];
const nobody: Here = { duties: [], asked: [], observers: [] };

/** Read, not asked for with `in`, which is slow where records have many shapes. */
export const nameOf = (event: Event): EventName => (event as { readonly do?: EventName }).do ?? (event as { readonly saw: EventName }).saw;
const contains = (outer: Scope, inner: Scope): boolean => outer === 'machine' || inner === outer || inner.startsWith(`${outer}/`);
const same = (a: Granted['offers'], b: Granted['offers']): boolean => a === b || (a.length === b.length && a.every((c, i) => c === b[i]));
const offersAll = (granted: Granted, rule: { readonly needs?: readonly Capability[] }): boolean =>
  rule.needs?.every((c) => granted.offers.includes(c)) ?? true;

/** `told` hears what the areas make of events, their own and those that they derive. */
export const createJudge = (areas: readonly Area<never>[], told?: (line: string) => void): Judge => {
  const rooms: Room[] = (areas as unknown as readonly Area<unknown>[]).map((area) => ({
    area,
    observe: area.observe,
    among: area.among,
    ghost: undefined,
    active: false,
    moment: undefined,
    shown: 0,
  }));
  const everybody = new Map<EventName, Concerned>();
  /** Of them, those with something to say about the machine that is judged now. */
  const present = new Map<EventName, Here>();
  const tallies = new Map<string, Tally>();
  const memory = judgedMemory();
  /** What `present` was last worked out for. */
  let offered: Granted['offers'] | undefined;
  let breaches: Breach[] = [];
  let granted: Granted | undefined;
  let at = 0;
  let moments = 0;
  const found: Finding[] = [];
  const concerned = (name: EventName): Concerned => {
    const known = everybody.get(name);
    if (known !== undefined) return known;
    const fresh: Concerned = { duties: [], clauses: [], observers: [] };
    everybody.set(name, fresh);
    return fresh;
  };
  for (const room of rooms) {
    for (const rule of room.area.clauses) {
      if (tallies.has(rule.id)) throw new Error(`two clauses are called ${rule.id}`);
      const tally: Tally = { id: rule.id, applied: 0, kept: 0, broken: 0, unknown: 0 };
      tallies.set(rule.id, tally);
      const { when, holds, scope } = rule;
      const asking: Asking = { room, rule, when, holds, scope, always: rule.always === true, tally };
      for (const name of rule.on) concerned(name).clauses.push(asking);
    }
    for (const rule of room.area.duties) {
      const tally: Tally = { id: rule.id, applied: 0, kept: 0, broken: 0, unknown: 0 };
      for (const name of rule.on) concerned(name).duties.push({ room, rule, keeps: rule.keeps, tally });
    }
    for (const name of room.area.on) concerned(name).observers.push(room);
  }
  const meet = (g: Granted): void => {
    offered = g.offers;
    for (const room of rooms) room.active = offersAll(g, room.area);
    present.clear();
    for (const [name, all] of everybody) {
      const here: Here = {
        duties: all.duties.filter(({ room }) => room.active),
        asked: byArea(all.clauses.filter(({ room, rule }) => room.active && offersAll(g, rule))),
        observers: all.observers.filter((room) => room.active),
      };
      if (here.duties.length + here.asked.length + here.observers.length > 0) present.set(name, here);
    }
  };

  const breachIn = (scope: Scope): Breach | undefined => {
    for (const breach of breaches) if (contains(breach.scope, scope)) return breach;
    return undefined;
  };
  const remember = (tally: Tally, why: string): void => {
    tally.unknown++;
    tally.why ??= why;
  };
  const ask = (asking: Asking, m: Moment<unknown>, findings: Finding[]): void => {
    const { tally } = asking;
    const scope = asking.scope === undefined ? 'machine' : asking.scope(m);
    const breach = asking.always || breaches.length === 0 ? undefined : breachIn(scope);
    if (breach?.certain) return;
    const judged: Judged = asking.holds(m);
    tally.applied++;
    if (judged === true) tally.kept++;
    else if ('unknown' in judged) remember(tally, judged.unknown);
    else if (breach) remember(tally, `whether ${breach.duty} was kept is unknown`);
    else {
      tally.broken++;
      const about = told === undefined ? undefined : asking.room.area.about?.(m);
      const { expected, saw, kind } = judged;
      findings.push({ clause: asking.rule.id, at, scope, expected, saw, kind, ...(about === undefined ? {} : { about }) });
    }
  };
  const momentOf = (room: Room, event: Event, now: number): Moment<unknown> => {
    if (room.shown === now && room.moment !== undefined) return room.moment;
    room.shown = now;
    room.moment = { before: room.ghost, event, memory, granted: granted as Granted, at };
    return room.moment;
  };
  const judgeEvent = (event: Event, name: EventName, depth: number, findings: Finding[]): void => {
    if (depth > derivedDepth) throw new Error(`derived events nest deeper than ${derivedDepth} at ${name}`);
    const here = present.get(name) ?? nobody;
    const now = ++moments;
    for (const { rule, room, keeps } of here.duties) {
      const m = momentOf(room, event, now);
      const kept = keeps(m);
      if (kept !== true) breaches.push({ duty: rule.id, scope: rule.taints(m), at, certain: !('unknown' in kept) });
    }
    for (const asked of here.asked) {
      const m = momentOf(asked.room, event, now);
      for (const one of askedOf(asked, event)) if (one.when(m)) ask(one, m, findings);
    }
    if (name === 'scope.reset') breaches = breaches.filter((b) => !contains((event as EventOf<'scope.reset'>).scope, b.scope));
    if (told !== undefined)
      for (const room of rooms) {
        const line = room.active ? room.area.tell?.(momentOf(room, event, now)) : undefined;
        if (line !== undefined) told(line);
      }
    let derived: readonly Event[] | undefined;
    for (const room of here.observers) {
      const more = room.observe(room.ghost, momentOf(room, event, now));
      if (more.length > 0) derived = derived === undefined ? more : [...derived, ...more];
    }
    if (derived !== undefined) for (const d of derived) judgeEvent(d, nameOf(d), depth + 1, findings);
  };

  return {
    reset(g, image) {
      granted = g;
      memory.reset(g.memory, image);
      breaches = [];
      at = 0;
      found.length = 0;
      if (offered === undefined || !same(g.offers, offered)) meet(g);
      for (const room of rooms) if (room.active) room.ghost = room.area.initial(g);
    },
    see(event) {
      if (granted === undefined) throw new Error('an event before the first reset');
      const name = nameOf(event);
      if (name === 'memory.write') {
        const { at: start, bytes } = event as EventOf<'memory.write'>;
        memory.write(start, bytes);
      } else if (name === 'memory.changed') for (const w of (event as EventOf<'memory.changed'>).writes) memory.write(w.at, w.bytes);
      judgeEvent(event, name, 0, found);
      at++;
      return found.length === 0 ? none : found.splice(0);
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
