// vmmc agree: the same programs on several targets, and the clauses on which they disagree. Exit 1 where there are any, 2 where nothing ran.

import { dirname, join, relative } from 'node:path';
import { connect } from '../../conformance/connect.ts';
import { commonMachines } from '../../conformance/common-machines.ts';
import { deviationsFile } from '../../conformance/deviations.ts';
import { explore } from '../../conformance/explore.ts';
import { type Account, clausesAccount, type Outcomes, outcomes, programsAccount, undecided } from '../../conformance/report/agreement.ts';
import { self, word } from '../../conformance/report/console.ts';
import type { CheckResult } from '../../conformance/report/result.ts';
import { saveCounterexample } from '../../conformance/trace/save.ts';
import type { Target } from '../../spec/units.ts';
import { suitesNamed, whole } from '../options.ts';
import { print, tableOf } from '../print.ts';
import { lastWords, usage } from '../usage.ts';

export interface AgreeOptions {
  readonly area?: readonly string[];
  readonly runs: string;
  readonly seed: string;
  readonly save?: string;
  readonly json?: boolean;
}

/** Two targets may break a clause in the same way, and a target's name may be a command. */
const folderOf = (name: string): string => name.replaceAll(/[^\w.-]+/g, '-').slice(0, 40);

/** What one target did about a clause: its verdict, and why that is no news or how to see it again. */
interface Told {
  readonly target: string;
  readonly verdict: string;
  readonly known?: string;
  readonly trace?: string;
}
const toldBy = (name: string, id: string, result: CheckResult, saved: ReadonlyMap<string, string>): Told => {
  const clause = result.clauses.find((c) => c.id === id);
  const known = clause?.deviates === true ? result.expected.find((e) => e.clause === id) : undefined;
  const trace = known === undefined ? saved.get(id) : relative(process.cwd(), join(dirname(deviationsFile(name)), known.trace));
  return {
    target: name,
    verdict: clause?.verdict ?? 'untested',
    ...(known === undefined ? {} : { known: known.because }),
    ...(trace === undefined ? {} : { trace }),
  };
};
const cell = ({ verdict, known }: Told): string => (known === undefined ? verdict : `${verdict}, known`);
const evidence = ({ target, known, trace }: Told): string => {
  if (known !== undefined) return `  ${target}, known: ${known}${trace === undefined ? '' : `; trace ${trace}`}`;
  return `  ${target}${trace === undefined ? '' : `, again: ${self()} replay ${word(trace)} --on ${word(target)}`}`;
};

const left = ({ clause, targets }: { readonly clause: string; readonly targets: readonly Told[] }): string =>
  `${clause} (${targets.map((t) => `${t.target} ${t.verdict}`).join(', ')})`;
const named = 12;
const listed = (all: readonly string[]): string =>
  `${all.slice(0, named).join(', ')}${all.length > named ? ` and ${all.length - named} more (--json names them)` : ''}`;
/** Nothing is left out: the four add up. */
const accounted = ({ agree, differKnown, differNew, notComparable }: Account, why: string): string =>
  `${agree} agreed, ${differKnown} differ as known, ${differNew} differ otherwise, ${notComparable} not comparable (${why})`;

export const agreeCommand = async (names: readonly string[], options: AgreeOptions): Promise<number> => {
  if (names.length < 2)
    throw usage(`agree compares targets: name one more beside ${names.join(', ')}, for example ${names.includes('ref') ? 'qemu' : 'ref'}`);
  suitesNamed(options.area);
  const [runs, seed] = [whole(options.runs, '--runs', 1), whole(options.seed, '--seed')];
  const results: CheckResult[] = [];
  const played: Outcomes[] = [];
  const targets: Target[] = [];
  try {
    for (const name of names) targets.push(await connect(name));
    const machines = await commonMachines(targets, options.area ?? []);
    for (const [i, target] of targets.entries()) {
      const { of, add } = outcomes();
      played.push(of);
      const name = names[i] ?? '';
      results.push(
        await explore({ target, name, areas: options.area ?? [], machines, among: targets, runs, seed, strict: false, onProgram: add }),
      );
    }
  } finally {
    for (const target of targets) await target.close();
  }
  const decided = (id: string): number =>
    new Set(results.map((r) => r.clauses.find((c) => c.id === id)?.verdict).filter((v) => v === 'kept' || v === 'broken')).size;
  const ids = (results[0]?.clauses ?? []).map((c) => c.id);
  const differing = ids.filter((id) => decided(id) > 1);
  // One counterexample a clause and target, the shortest: a difference is seen, not believed.
  const saved = results.map(({ counterexamples, target }, i) => {
    const files = new Map<string, string>();
    for (const c of counterexamples.toSorted((a, b) => a.stimuli - b.stimuli))
      if (differing.includes(c.finding.clause) && !files.has(c.finding.clause))
        files.set(c.finding.clause, saveCounterexample(join(options.save ?? 'traces/found', folderOf(names[i] ?? '')), c, target));
    return files;
  });
  const rows = differing.map((id) => ({
    clause: id,
    targets: results.map((r, i) => toldBy(names[i] ?? '', id, r, saved[i] ?? new Map())),
  }));
  const same = (verdict: string): number =>
    ids.filter((id) => results.every((r) => r.clauses.find((c) => c.id === id)?.verdict === verdict)).length;
  const counts = { clauses: ids.length, kept: same('kept'), broken: same('broken') };
  const accounts = { clauses: clausesAccount(results), programs: programsAccount(results, played) };
  const notComparable = undecided(results).map((id) => ({
    clause: id,
    targets: results.map((r, i) => ({ target: names[i] ?? '', verdict: r.clauses.find((c) => c.id === id)?.verdict ?? 'untested' })),
  }));
  const programs = results.map((r, i) => ({ target: names[i] ?? '', programs: r.programs }));
  if (options.json === true)
    await print(`${JSON.stringify({ schema: 1, seed, runs, ...counts, accounts, programs, differ: rows, notComparable }, null, 1)}\n`);
  else {
    const table = tableOf(
      ['clause', ...names],
      rows.map(({ clause, targets }) => [clause, ...targets.map(cell)]),
    );
    const why = rows.map(({ clause, targets }) => [clause, ...targets.filter((t) => t.verdict === 'broken').map(evidence)].join('\n'));
    await print(
      `${rows.length === 0 ? '' : `${table}\n\n${why.join('\n')}\n\n`}` +
        `clauses: ${ids.length}: ${accounted(accounts.clauses, 'decided by fewer than two')}; all keep ${counts.kept}, all break ${counts.broken}\n` +
        (notComparable.length === 0 ? '' : `  not comparable: ${listed(notComparable.map(left))}\n`) +
        `programs: ${programs.map((p) => `${p.target} ${p.programs}`).join(', ')}: ${accounted(accounts.programs, 'played on the same machine by fewer than two')}\n`,
    );
  }
  const cut = results.map(({ cutShort }, i) =>
    cutShort === undefined ? '' : `vmmc: ${names[i]}: cut short ${lastWords(cutShort.why, cutShort.stderr)}\n`,
  );
  process.stderr.write(cut.join(''));
  if (rows.length > 0) return 1;
  return results.some((r) => r.programs === 0 || r.cutShort !== undefined) ? 2 : 0;
};
