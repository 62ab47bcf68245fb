// The report for a reader: a line an area, each failure as an argument that ends in the command which repeats it.

import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import type { Harm } from '../../spec/clause.ts';
import { cited } from '../../spec/sources.ts';
import { areas } from '../areas.ts';
import { plural } from '../plural.ts';
import type { CheckResult, ClauseResult, Counterexample, Verdict } from './result.ts';
import { stands } from '../verdict.ts';
import { counted, rules } from './rules.ts';

const harms: readonly Harm[] = ['dies', 'stray-write', 'all-stuck', 'self-stuck', 'wrong-data', 'interop'];
const verdicts: readonly Verdict[] = ['kept', 'broken', 'undecided', 'untested', 'unsupported'];
const count = (n: number, word: string): string => `${n} ${word}`;
const lacks = /^the target does not offer /;
/** Of longer lists only so many are named here; JSON names all. */
const named = 12;
const listed = (ids: readonly string[]): string =>
  ids.length <= named ? ids.join(', ') : `${ids.slice(0, named).join(', ')} and ${ids.length - named} more (--report json names them)`;

const areaLine = (id: string, results: readonly ClauseResult[]): string => {
  const advice = results.filter((r) => r.verdict === 'broken' && !r.deviates && !counted(r.id)).length;
  const parts = verdicts.flatMap((v) => {
    const n = results.filter((r) => r.verdict === v && !r.deviates).length - (v === 'broken' ? advice : 0);
    if (n === 0) return [];
    return [v === 'broken' ? pc.red(count(n, v)) : v === 'kept' ? pc.green(count(n, v)) : count(n, v)];
  });
  if (advice > 0) parts.push(pc.yellow(`${advice} against advice`));
  const deviating = results.filter((r) => r.deviates).length;
  if (deviating > 0) parts.push(pc.yellow(`${deviating} known to deviate`));
  return `  ${id.padEnd(16)} ${parts.join(', ')}`;
};

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const inCheckout = (): string =>
  process.cwd() === root ? 'npx tsx scripts/vmmc.ts' : `npx --prefix ${word(root)} tsx ${word(root)}/scripts/vmmc.ts`;
/** How this command is called where it runs from: a checkout has no vmmc on its path. */
export const self = (): string => (import.meta.url.endsWith('.ts') ? inCheckout() : 'npx vmmc');
/** As a shell takes it for one word. */
export const word = (text: string): string => (/^[\w./:=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** A program of a processor is few stimuli, however many instructions it has: what was left out of it shows in its choices. */
const length = ({ stimuli, of, ofChoices = 0, program }: Counterexample): string =>
  stimuli === of && program.choices.length < ofChoices
    ? `${plural(program.choices.length, 'choice')} of ${ofChoices}`
    : `${stimuli} ${stimuli === 1 ? 'stimulus' : 'stimuli'} of ${of}`;

/** `others`: counterexamples of the same clause and kind that programs of other shapes showed. */
const failure = (c: Counterexample, others: readonly Counterexample[], target: string, saved: string | undefined): string => {
  const rule = rules.get(c.finding.clause);
  const advice = rule?.level !== 'must';
  const sure = stands(c);
  const head = `${sure ? (advice ? pc.yellow('!') : pc.red('✗')) : pc.yellow('?')} ${pc.bold(c.finding.clause)}  ${rule?.level.toUpperCase() ?? ''}, ${rule?.binds ?? ''}, ${rule?.harm ?? ''}`;
  return [
    `${head}     ${rule === undefined ? '' : cited(rule.cite)}`,
    `  ${rule?.says ?? ''}`,
    `  expected ${c.finding.expected}; saw ${c.finding.saw}`,
    `  ${length(c)}, ${plural(c.shrinks, 'shrink')}${c.partly ? ' (stopped by their bound)' : ''}; shown by ${plural(c.seen, 'program')}${c.repeated ? '' : '; not seen again when repeated'}`,
    `  signature: ${c.signature}`,
    ...(others.length === 0 ? [] : [`  also shown by: ${others.map((o) => o.signature.split(' | ')[2] ?? '').join(', ')}`]),
    ...(saved === undefined ? [] : [sure ? `  again: ${self()} replay ${word(saved)} --on ${word(target)}` : `  trace: ${word(saved)}`]),
  ].join('\n');
};

/** By clause and kind of objection: one difference, as far as one can tell. */
const grouped = (failures: readonly Counterexample[]): ReadonlyMap<string, readonly Counterexample[]> => {
  const groups = new Map<string, Counterexample[]>();
  for (const c of failures) {
    const key = `${c.finding.clause} | ${c.finding.kind}`;
    groups.set(key, [...(groups.get(key) ?? []), c]);
  }
  return groups;
};

/** The last word. What was not tried is no failure, and is said beside what was kept. */
const conclusion = ({ verdict, clauses }: CheckResult): string => {
  if (verdict === 'broken') return pc.red(verdict);
  const n = (v: Verdict): number => clauses.filter((c) => c.verdict === v).length;
  if (verdict === 'undecided' || n('kept') === 0) return verdict;
  const rest = (['untested', 'unsupported'] as const).flatMap((v) => (n(v) === 0 ? [] : [count(n(v), v)]));
  const deviating = clauses.filter((c) => c.deviates).length;
  const advice = clauses.filter((c) => c.verdict === 'broken' && !c.deviates).length;
  if (deviating > 0) rest.unshift(`${deviating} known to deviate`);
  if (advice > 0) rest.unshift(`${advice} against advice`);
  return [`${n('kept')} kept`, ...rest].join(', ');
};

/** What was asked, and what the target says that it has instead. */
const unbuilt = ({ suite, why, machines, of, asked }: CheckResult['refused'][number]): string =>
  lacks.test(why)
    ? `${suite}: not tried: ${why}`
    : `${suite}: ${machines} of ${plural(of, 'machine')} not built${asked === undefined ? '' : `, asked for ${asked}`}; the target's reason: ${why}`;

/** `saved`: the trace file of a counterexample, where it was written. */
export const consoleReport = (
  result: CheckResult,
  name: string,
  saved: ReadonlyMap<Counterexample, string>,
  interrupted = false,
): string => {
  const lines = [
    `${pc.bold(name)} (${result.target.name} ${result.target.version}), seed ${result.seed}: ${plural(result.programs, 'program')}, ${result.stimuli} stimuli`,
  ];
  const byId = new Map(result.clauses.map((c) => [c.id, c]));
  for (const area of areas) {
    const results = area.clauses.flatMap((c) => byId.get(c.id) ?? []);
    if (results.length > 0) lines.push(areaLine(area.id, results));
  }
  const rank = (c: Counterexample): number => {
    const rule = rules.get(c.finding.clause);
    return (rule?.level === 'must' ? 0 : 100) + harms.indexOf(rule?.harm ?? 'interop');
  };
  const failures = [...result.counterexamples].sort((a, b) => rank(a) - rank(b) || a.stimuli - b.stimuli);
  const alike = grouped(failures);
  for (const [first, ...others] of alike.values()) if (first !== undefined) lines.push('', failure(first, others, name, saved.get(first)));
  const known = new Map<string, string>();
  for (const e of result.expected) known.set(e.because, e.clause);
  if (known.size > 0) lines.push('', 'Known deviations, seen again:', ...[...known].map(([because, clause]) => `  ${clause}: ${because}`));
  for (const u of result.unexpectedlyKept) lines.push('', `${pc.red('✗')} a known deviation is gone: ${u.why}; remove its entry`);
  for (const u of result.notShown)
    lines.push('', `a known deviation did not show now; it does not show each time, or was seen on another model: ${u.why}`);
  for (const verdict of ['undecided', 'untested', 'unsupported'] as const) {
    const byReason = new Map<string, string[]>();
    for (const c of result.clauses)
      if (c.verdict === verdict) byReason.set(c.because ?? '', [...(byReason.get(c.because ?? '') ?? []), c.id]);
    for (const [because, ids] of byReason) lines.push('', `${verdict}, ${because}: ${listed(ids)}`);
  }
  for (const r of result.refused) lines.push('', unbuilt(r));
  if (result.cutShort !== undefined) lines.push('', `${pc.red('cut short')} ${result.cutShort.why}`);
  lines.push('', interrupted ? `interrupted; so far ${conclusion(result)} (exit 130)` : `${conclusion(result)} (exit ${result.exit})`);
  return lines.join('\n');
};
