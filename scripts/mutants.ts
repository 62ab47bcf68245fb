// npm run mutants -- AREA: the mutation score of an area, and its survivors. Exit 1 below the gate, or where a class is stale.
// It needs the development dependencies, so it is no command of vmmc.

import { appendFileSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { mutatedAreas } from '../conformance/mutants/areas.ts';
import { classesOf, fits, scoreOf } from '../conformance/mutants/classes.ts';
import type { Mutant } from '../conformance/mutants/instrument.ts';
import { type Outcome, tryMutants } from '../conformance/mutants/run.ts';

const gate = 0.85;

/** `count` of them, the same for the same seed: ordered by a hash of seed and place (FNV-1a). */
const sampled = (mutants: readonly Mutant[], count: number, seed: number): readonly Mutant[] => {
  const hash = (m: Mutant): number => {
    let h = 0x811c9dc5;
    for (const c of `${seed}/${m.file}/${m.id}`) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0;
    return Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) >>> 0;
  };
  const kept = new Set(mutants.toSorted((a, b) => hash(a) - hash(b)).slice(0, count));
  return mutants.filter((m) => kept.has(m));
};
const keyOf = (m: Mutant): string => [m.file, m.at, m.text, m.becomes].join('\n');
const keysOf = (report: string): ReadonlySet<string> => {
  const { outcomes } = JSON.parse(readFileSync(report, 'utf8')) as { readonly outcomes: readonly Outcome[] };
  return new Set(outcomes.filter((o) => o.noticedBy === null).map((o) => keyOf(o.mutant)));
};
const oneLine = (text: string): string => {
  const flat = text.replaceAll(/\s+/g, ' ');
  return flat.length > 100 ? `${flat.slice(0, 97)}…` : flat;
};

const command = new Command('mutants')
  .argument('<area>', Object.keys(mutatedAreas).join(', '))
  .option('--json', 'every outcome, machine-readable')
  .option('--sample <n>', 'only so many mutants')
  .option('--seed <n>', 'which ones', '1')
  .option('--programs <n>', 'at most so many programs a mutant: quick, and a lower bound of the score')
  .option('--again <report>', 'only the survivors of an earlier --json')
  .option('--log <file>', 'each outcome as a line of JSON, as soon as it is known')
  .option('--file <name>', 'only mutants of this file below reference/')
  .action(
    async (
      area: string,
      options: { json?: boolean; sample?: string; seed: string; programs?: string; again?: string; log?: string; file?: string },
    ) => {
      const whole = [options.sample, options.file, options.again].every((o) => o === undefined);
      const before = options.again === undefined ? undefined : keysOf(options.again);
      const choose = (all: readonly Mutant[]): readonly Mutant[] => {
        const some = all.filter((m) => (options.file === undefined || m.file === options.file) && before?.has(keyOf(m)) !== false);
        return options.sample === undefined ? some : sampled(some, Number(options.sample), Number(options.seed));
      };
      const classes = classesOf(area);
      // A classed mutant is expected to survive, and noticing it could only raise the score: where programs are counted it gets few.
      const most = (m: Mutant): number =>
        Math.min(Number(options.programs ?? Infinity), options.programs !== undefined && classes.some((c) => fits(c, m)) ? 12 : Infinity);
      const outcomes = await tryMutants(area, choose, most, (done, of, outcome) => {
        if (options.log !== undefined) appendFileSync(options.log, `${JSON.stringify(outcome)}\n`);
        if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${of} mutants`);
      });
      const score = scoreOf(outcomes, classes);
      if (options.json === true) process.stdout.write(`${JSON.stringify({ schema: 1, area, ...score, outcomes }, null, 1)}\n`);
      else {
        for (const { mutant: m, reachedBy } of score.survivors)
          process.stdout.write(
            `reference/${m.file}:${m.line} ${m.mutator}${reachedBy === 0 ? ', not reached' : ''}\n  ${m.at}\n  ${oneLine(m.text)}\n  → ${oneLine(m.becomes)}\n`,
          );
        for (const o of outcomes)
          if (o.noticedBy?.startsWith('threw')) process.stdout.write(`reference/${o.mutant.file}:${o.mutant.line} ${o.noticedBy}\n`);
        if (whole) for (const c of score.stale) process.stdout.write(`stale class: ${c.file}: ${c.at}\n`);
        process.stdout.write(
          `${area}: ${score.all} mutants, ${score.noticed} noticed, ${score.equivalent} equivalent, ${score.permitted} permitted, ${score.survivors.length} survive: score ${(100 * score.score).toFixed(1)} %\n`,
        );
      }
      process.exitCode = score.score >= gate && (!whole || score.stale.length === 0) ? 0 : 1;
    },
  );
await command.parseAsync();
