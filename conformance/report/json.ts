// The stable machine-readable report: schema 1, no clocks, the same bytes for the same seed and target.

import type { CheckResult } from './result.ts';
import { rules } from './rules.ts';

export const jsonReport = (result: CheckResult): string => {
  const clauses: Record<string, unknown> = {};
  for (const c of result.clauses) {
    const rule = rules.get(c.id);
    const shown = result.counterexamples.find((x) => x.finding.clause === c.id);
    clauses[c.id] = {
      verdict: c.verdict,
      applied: c.tally.applied,
      level: rule?.level,
      harm: rule?.harm,
      ...(c.because === undefined ? {} : { because: c.because }),
      ...(c.deviates === undefined ? {} : { deviates: true }),
      ...(shown === undefined
        ? {}
        : {
            counterexample: {
              signature: shown.signature,
              expected: shown.finding.expected,
              saw: shown.finding.saw,
              stimuli: shown.stimuli,
            },
          }),
    };
  }
  const report = {
    schema: 1,
    target: result.target,
    seed: result.seed,
    verdict: result.verdict,
    programs: result.programs,
    stimuli: result.stimuli,
    clauses,
    findings: result.counterexamples.map((c) => ({
      clause: c.finding.clause,
      signature: c.signature,
      expected: c.finding.expected,
      saw: c.finding.saw,
      seen: c.seen,
    })),
    deviations: result.expected,
    unexpectedlyKept: result.unexpectedlyKept,
    notShown: result.notShown,
    refused: result.refused,
    ...(result.cutShort === undefined ? {} : { cutShort: result.cutShort.why }),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
};
