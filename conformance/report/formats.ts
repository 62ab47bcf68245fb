// The other report formats: JUnit, TAP, Markdown and GitHub annotations. Each is one function from the result to text.

import junitModule, { type Builder } from 'junit-report-builder';
import { counted } from './rules.ts';
import type { CheckResult, ClauseResult } from './result.ts';

/** CommonJS: at run time the default import is the builder, whatever its types say. */
const junit: Builder = junitModule as unknown as Builder;

const fails = (result: CheckResult, c: ClauseResult): boolean =>
  c.verdict === 'broken' && !c.deviates && counted(c.id) && result.counterexamples.length > 0;
const why = (result: CheckResult, id: string): string =>
  result.counterexamples
    .filter((c) => c.finding.clause === id)
    .map((c) => `expected ${c.finding.expected}; saw ${c.finding.saw} [${c.signature}]`)
    .join('\n');

const junitReport = (result: CheckResult, name: string): string => {
  const builder = junit.newBuilder();
  const suite = builder.testSuite().name(`vmmc check ${name}`);
  for (const c of result.clauses) {
    const test = suite.testCase().className(name).name(c.id);
    if (fails(result, c)) test.failure(why(result, c.id));
    else if (c.verdict !== 'kept') test.skipped();
  }
  if (result.cutShort !== undefined) suite.testCase().className(name).name('the run to its end').error(result.cutShort.why);
  for (const u of result.unexpectedlyKept) suite.testCase().className(name).name(u.signature).failure(u.why);
  return `${builder.build()}\n`;
};

const tapReport = (result: CheckResult): string =>
  [
    'TAP version 14',
    `1..${result.clauses.length}`,
    ...result.clauses.flatMap((c, i) => {
      const skip =
        c.verdict === 'kept' || fails(result, c)
          ? ''
          : ` # SKIP ${c.deviates ? 'known deviation' : `${c.verdict}${c.because === undefined ? '' : `: ${c.because}`}`}`;
      const line = `${fails(result, c) ? 'not ok' : 'ok'} ${i + 1} - ${c.id}${skip}`;
      return fails(result, c) ? [line, '  ---', `  message: ${JSON.stringify(why(result, c.id))}`, '  ...'] : [line];
    }),
    ...(result.cutShort === undefined ? [] : [`Bail out! ${result.cutShort.why.replace(/\s+/g, ' ')}`]),
    '',
  ].join('\n');

const markdownReport = (result: CheckResult, name: string): string =>
  [
    `# ${name}: ${result.verdict}`,
    '',
    `${result.target.name} ${result.target.version}, seed ${result.seed}, ${result.programs} programs, ${result.stimuli} stimuli.`,
    '',
    ...(result.cutShort === undefined ? [] : [`Cut short ${result.cutShort.why.replace(/\s+/g, ' ')}.`, '']),
    '| clause | verdict | applied | why |',
    '|---|---|---|---|',
    ...result.clauses.map(
      (c) =>
        `| ${c.id} | ${c.deviates ? 'known deviation' : c.verdict} | ${c.tally.applied} | ${(why(result, c.id) || c.because || '').replace(/\n/g, '<br>').replace(/\|/g, '\\|')} |`,
    ),
    '',
  ].join('\n');

/** https://docs.github.com/actions/reference/workflow-commands-for-github-actions: `%`, CR and LF are escaped. */
const escaped = (text: string): string => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
const githubReport = (result: CheckResult, name: string): string =>
  (result.cutShort === undefined ? '' : `::error title=${escaped(`${name}: cut short`)}::${escaped(result.cutShort.why)}\n`) +
  result.clauses
    .filter((c) => c.verdict === 'broken' && !c.deviates)
    .map((c) => `::${counted(c.id) ? 'error' : 'warning'} title=${escaped(`${name}: ${c.id}`)}::${escaped(why(result, c.id))}\n`)
    .join('');

export const reports: Readonly<Record<string, (result: CheckResult, name: string) => string>> = {
  junit: junitReport,
  tap: tapReport,
  markdown: markdownReport,
  github: githubReport,
};
