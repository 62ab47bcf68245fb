// vmmc agree: the same programs on several targets, one table of clauses by targets. Exit 1 where they disagree.

import Table from 'cli-table3';
import { connect } from '../../conformance/connect.ts';
import { explore } from '../../conformance/explore.ts';
import type { CheckResult } from '../../conformance/report/result.ts';

export interface AgreeOptions {
  readonly area?: readonly string[];
  readonly runs: string;
  readonly seed: string;
}

export const agreeCommand = async (names: readonly string[], options: AgreeOptions): Promise<number> => {
  const results: CheckResult[] = [];
  for (const name of names) {
    const target = await connect(name);
    try {
      results.push(
        await explore({
          target,
          name,
          areas: options.area ?? [],
          runs: Number(options.runs),
          seed: Number(options.seed),
          strict: false,
          deviations: 'none',
        }),
      );
    } finally {
      await target.close();
    }
  }
  const table = new Table({ head: ['clause', ...names, ''] });
  let disagree = 0;
  for (const c of results[0]?.clauses ?? []) {
    const verdicts = results.map((r) => r.clauses.find((x) => x.id === c.id)?.verdict ?? 'untested');
    const decided = new Set(verdicts.filter((v) => v === 'kept' || v === 'broken'));
    if (decided.size > 1) disagree++;
    table.push([c.id, ...verdicts, decided.size > 1 ? '≠' : '']);
  }
  process.stdout.write(`${table.toString()}\n${disagree} clauses on which ${names.join(', ')} disagree\n`);
  return disagree === 0 ? 0 : 1;
};
