// Samples programs, plays and judges each, and keeps going: one shortest program per finding, all clauses' tallies at the end.

import type { Area, Clause } from '../spec/clause.ts';
import type { Capability, MachineConfig, Target } from '../spec/units.ts';
import { areas as allAreas, asked, suitesFor } from './areas.ts';
import { commonOffers } from './common-machines.ts';
import type { Crew } from './crew.ts';
import { crewSource } from './crew-source.ts';
import { type Deviation, readDeviations } from './deviations.ts';
import { createJudge, type Finding } from './judge.ts';
import { type Allowance, allowancePerStimulus, initialAllowance, minimize } from './minimize.ts';
import { plural } from './plural.ts';
import type { Program, Suite } from './program.ts';
import { askedFor } from './report/asked.ts';
import type { CheckResult, Counterexample } from './report/result.ts';
import { type Played } from './run.ts';
import { schedule, type Site, type Turn } from './schedule.ts';
import { signatureOf } from './signature.ts';
import { ownThread } from './source.ts';
import { standing } from './standing.ts';
import { isAdapterError } from './targets/exec/blame.ts';
import { bySignature, concluded, explains, names } from './verdict.ts';

export interface Progress {
  readonly programs: number;
  readonly stimuli: number;
  /** Share of the budget used, 0 to 1. */
  readonly done: number;
  readonly broken: number;
}
export interface ExploreOptions {
  readonly target: Target;
  /** Name it was connected by; its deviations go by it. */
  readonly name: string;
  /** Dotted prefixes of area ids; empty: all. */
  readonly areas: readonly string[];
  /** Only these clauses are reported; empty: all of the areas. */
  readonly clauses?: readonly string[];
  /** Programs per suite; default: the suite's own. */
  readonly runs?: number;
  /** Instead of runs: stop after so many milliseconds. */
  readonly forMs?: number;
  /** Only on these machines; default: all that the target builds. */
  readonly machines?: ReadonlySet<MachineConfig>;
  /** Targets that are given the same programs; default: this one. */
  readonly among?: readonly Target[];
  readonly seed: number;
  readonly shard?: { readonly index: number; readonly of: number };
  readonly strict: boolean;
  readonly deviations?: string;
  /** Judge with these areas instead of all registered. */
  readonly spec?: readonly Area<never>[];
  readonly onProgress?: (p: Progress) => void;
  readonly onProgram?: (p: Program, played: Played) => void;
  readonly stopped?: () => boolean;
  /** Others that play and judge, ahead; their target is the same, and they judge with all registered areas. `onProgram` hears of nothing then. */
  readonly crew?: Crew;
}
/** Findings of one clause and kind that are minimized: the 1st, 2nd, 4th, 8th … to notice other shapes without minimizing all; where all shapes so
 *  far are known deviations the 1st, 8th and 64th. */
const worthMinimizing = (seen: number, deviates: boolean): boolean =>
  deviates ? seen === 8 || seen === 64 : (seen & (seen - 1)) === 0 && seen <= 32;

/** Programs that hang in a way that is not known: each may take a whole deadline, so that after so many the run says what it has. */
const hangsMost = 8;
const hangs = ({ clause, kind }: Finding): boolean => clause === 'machine.alive' && kind === 'hung';

/** A counterexample as its program showed it. */
const unshortened = (finding: Finding, program: Program, { lines, stimuli }: Played): Omit<Counterexample, 'repeated' | 'signature'> => ({
  program,
  finding,
  lines,
  stimuli,
  shrinks: 0,
  partly: false,
  suite: program.suite,
  of: stimuli,
  ofChoices: program.choices.length,
  seen: 0,
});

export const explore = async (options: ExploreOptions): Promise<CheckResult> => {
  const { target, seed } = options;
  const areas = options.spec ?? allAreas;
  const offered = new Set<Capability>();
  const refused = new Map<string, { readonly suite: Suite; readonly why: string; readonly machines: MachineConfig[] }>();
  const found = new Map<string, Counterexample>();
  const seenKinds = new Map<string, number>();
  const started = performance.now();
  let programs = 0;
  let stimuli = 0;
  let features: bigint | undefined;
  /** Machines on which a program has read them. */
  const looked = new Set<MachineConfig>();
  let hung = 0;
  const allowance: Allowance = { left: initialAllowance };

  const deviations = readDeviations(options.name, target.hello.version, options.deviations);
  const unexpectedlyKept: { signature: string; why: string }[] = [];
  const notShown: { signature: string; why: string }[] = [];
  const ofAreas = deviations.entries.filter((e) => asked(areaOf(areas, e.signature.split(' | ')[0] ?? ''), options.areas));
  const unshown = await standing(target, areas, deviations.file, ofAreas);
  const absent = new Set<Deviation>();
  for (const [i, entry] of ofAreas.entries()) {
    const one = unshown[i];
    if (one === undefined) continue;
    // What depends on timing, on what the host did last or on the model may well not be there today: that proves nothing.
    (entry.race === true || deviations.lent ? notShown : unexpectedlyKept).push({ signature: entry.signature, why: one.why });
    if (deviations.lent && entry.race !== true && !one.refused) absent.add(entry);
  }
  const known = bySignature(deviations.entries.filter((entry) => !absent.has(entry)));

  const sites: Site[] = [];
  for (const suite of suitesFor(options.areas)) {
    const lacks = suite.needs.filter((c) => !target.hello.offers.includes(c));
    if (lacks.length > 0)
      refused.set(suite.id, { suite, why: `the target does not offer ${lacks.join(', ')}`, machines: [...suite.machines] });
    else {
      const machines = suite.machines.filter((m) => options.machines?.has(m) ?? true);
      const offers = commonOffers(options.among ?? [target], suite);
      sites.push({ suite, machines, offers, built: new Set(), block: 0, played: 0 });
    }
  }
  const record = async (suite: Suite, program: Program, played: Played): Promise<void> => {
    const kinds = new Set<string>();
    let failed: { readonly error: unknown } | undefined;
    for (const finding of played.findings) {
      const kind = `${finding.clause} | ${finding.kind}`;
      if (kinds.has(kind)) continue;
      kinds.add(kind);
      const seen = (seenKinds.get(kind) ?? 0) + 1;
      seenKinds.set(kind, seen);
      // Known whatever the program, or by the shape of its only choice: its own trace, replayed above, is the shortest one.
      const only = program.choices.length === 1 ? [signatureOf(finding, suite, program, true)] : [];
      const signature = [`${kind} | *`, ...only].find((s) => known.has(s));
      if (signature !== undefined) {
        if (!found.has(signature)) found.set(signature, { ...unshortened(finding, program, played), repeated: true, signature });
        continue;
      }
      const shapes = [...found.values()].filter((c) => `${c.finding.clause} | ${c.finding.kind}` === kind);
      const worth = hangs(finding)
        ? worthMinimizing(++hung, false)
        : worthMinimizing(seen, shapes.length > 0 && shapes.every((c) => names(known, c) !== undefined));
      if (!worth) continue;
      const first = { finding, lines: played.lines, stimuli: played.stimuli };
      const minimal =
        failed ?? (await minimize(target, areas, suite, program, finding, first, allowance).catch((error: unknown) => ({ error })));
      if ('error' in minimal) {
        // Nothing more can be asked of the target: the finding, and those that follow in this program, are told as they came.
        failed = minimal;
        const signature = signatureOf(finding, suite, program, false);
        if (!found.has(signature)) found.set(signature, { ...unshortened(finding, program, played), repeated: false, signature });
        continue;
      }
      const shortest = signatureOf(minimal.finding, suite, minimal.program, minimal.repeated);
      const counterexample = {
        ...minimal,
        signature: shortest,
        suite: suite.id,
        of: played.stimuli,
        ofChoices: program.choices.length,
        seen: 0,
      };
      if (hangs(finding) && explains(known, counterexample) !== undefined) hung--;
      if (!found.has(shortest)) found.set(shortest, counterexample);
    }
    if (failed !== undefined) throw failed.error;
  };
  const turns = schedule(sites, { runs: options.runs, timed: options.forMs !== undefined, shard: options.shard ?? { index: 1, of: 1 } });
  const { spent } = turns;
  const late = (): boolean => options.forMs !== undefined && performance.now() - started >= options.forMs;
  const done = (): boolean => options.stopped?.() === true || hung >= hangsMost || sites.every(spent) || late();
  const unmet = (site: Site): boolean => site.machines.some((m) => m.virtio !== undefined && !looked.has(m));
  const budget = sites.reduce((sum, site) => sum + (options.runs ?? site.suite.runs), 0);

  const source =
    options.crew === undefined
      ? ownThread({
          target,
          judge: createJudge(areas),
          seed,
          schedule: turns,
          ...(options.onProgram === undefined ? {} : { onProgram: options.onProgram }),
        })
      : crewSource(options.crew, { target, seed, schedule: turns, over: () => options.stopped?.() === true || late() });

  const exploring = async (turn: Turn): Promise<void> => {
    const { site, machine } = turn;
    for await (const part of source.play(turn)) {
      if (part.programs > 0) site.built.add(machine);
      site.played += part.programs;
      programs += part.programs;
      stimuli += part.stimuli;
      allowance.left += allowancePerStimulus * part.stimuli;
      for (const c of part.offers) offered.add(c);
      if (part.features !== undefined) {
        features = (features ?? 0n) | part.features;
        looked.add(machine);
      }
      if (part.refused !== undefined) {
        site.machines.splice(site.machines.indexOf(machine), 1);
        // The same block, on the next machine: what was played is not played again.
        site.block = turn.block;
        const key = `${site.suite.id}: ${part.refused}`;
        refused.set(key, { suite: site.suite, why: part.refused, machines: [...(refused.get(key)?.machines ?? []), machine] });
        break;
      }
      if (part.shown !== undefined) await record(site.suite, part.shown.program, part.shown.played);
      if (spent(site) || done()) break;
    }
    options.onProgress?.({
      programs,
      stimuli,
      done: options.forMs === undefined ? programs / budget : (performance.now() - started) / options.forMs,
      broken: found.size,
    });
    await new Promise((resume) => setImmediate(resume));
  };
  let cutShort: CheckResult['cutShort'];
  try {
    for (let turn = done() ? undefined : turns.next(); turn !== undefined; turn = done() ? undefined : turns.next()) await exploring(turn);
  } catch (error) {
    if (!isAdapterError(error) || programs === 0) throw error;
    // What was judged before does not become less true.
    cutShort = { why: `after ${plural(programs, 'program')}: ${error.message}`, stderr: error.stderr ?? '' };
  }
  if (hung >= hangsMost) cutShort ??= { why: `after ${plural(programs, 'program')}: ${hung} of them hung`, stderr: '' };
  // Where machines were not come to, what the target has is what it says.
  const left = (site: Site): boolean =>
    options.machines !== undefined || (site.machines.length > 0 && (site.built.size === 0 || options.forMs !== undefined));
  for (const site of sites) if (left(site)) for (const c of target.hello.offers) offered.add(c);
  for (const c of found.values()) c.seen = seenKinds.get(`${c.finding.clause} | ${c.finding.kind}`) ?? 1;
  return concluded({
    target: target.hello,
    seed,
    programs,
    stimuli,
    clauses: selected(areas, options),
    tallies: source.tallies,
    offered,
    // What is offered may depend on the machine: nothing is said of those that were not come to.
    ...(features === undefined || sites.some(unmet) ? {} : { features }),
    counterexamples: [...found.values()],
    deviations: deviations.entries,
    unexpectedlyKept,
    notShown,
    refused: [...refused.values()].map(({ suite, why, machines }) => {
      const asked = askedFor(machines, [...(sites.find((s) => s.suite === suite)?.built ?? [])]);
      return {
        suite: suite.id,
        why,
        machines: machines.length,
        of: suite.machines.length,
        ...(asked === '' || why.startsWith(asked) ? {} : { asked }),
      };
    }),
    ...(cutShort === undefined ? {} : { cutShort }),
    strict: options.strict,
  });
};

const areaOf = (areas: readonly Area<never>[], clause: string): string =>
  areas.find((a) => a.clauses.some((c) => c.id === clause))?.id ?? clause;
const selected = (areas: readonly Area<never>[], options: ExploreOptions): readonly Clause<never>[] =>
  areas
    .filter((a) => asked(a.id, options.areas) || a.id === 'machine')
    .flatMap((a) => a.clauses.map((c) => (a.needs === undefined ? c : { ...c, needs: [...a.needs, ...(c.needs ?? [])] })))
    .filter((c) => options.clauses === undefined || options.clauses.length === 0 || options.clauses.includes(c.id));
