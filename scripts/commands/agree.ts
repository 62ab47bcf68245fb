// vmmc agree: the same programs on several targets, and the clauses on which they disagree. Exit 1 where there are any, 2 where nothing ran.

import { connect } from '../../conformance/connect.ts';
import { explore } from '../../conformance/explore.ts';
import type { CheckResult } from '../../conformance/report/result.ts';
import { suitesNamed, whole } from '../options.ts';
import { print, tableOf } from '../print.ts';
import { usage } from '../usage.ts';

export interface AgreeOptions {
  readonly area?: readonly string[];
  readonly runs: string;
  readonly seed: string;
}

export const agreeCommand = async (names: readonly string[], options: AgreeOptions): Promise<number> => {
  if (names.length < 2) throw usage(`agree compares targets: name one more beside ${names.join(', ')}, for example ref`);
  suitesNamed(options.area);
  const [runs, seed] = [whole(options.runs, '--runs', 1), whole(options.seed, '--seed')];
  const results: CheckResult[] = [];
  for (const name of names) {
    const target = await connect(name);
    try {
      results.push(await explore({ target, name, areas: options.area ?? [], runs, seed, strict: false, deviations: 'none' }));
    } finally {
      await target.close();
    }
  }
  const verdictsOf = (id: string): readonly string[] => results.map((r) => r.clauses.find((c) => c.id === id)?.verdict ?? 'untested');
  const decided = (id: string): ReadonlySet<string> => new Set(verdictsOf(id).filter((v) => v === 'kept' || v === 'broken'));
  const ids = (results[0]?.clauses ?? []).map((c) => c.id);
  const differ = ids.filter((id) => decided(id).size > 1);
  const same = (verdict: string): number => ids.filter((id) => verdictsOf(id).every((v) => v === verdict)).length;
  const table = tableOf(
    ['clause', ...names],
    differ.map((id) => [id, ...verdictsOf(id)]),
  );
  const ran = results.map((r, i) => `${names[i]} ${r.programs}`).join(', ');
  await print(
    `${differ.length === 0 ? '' : `${table}\n`}${differ.length} clauses of ${ids.length} on which ${names.join(', ')} disagree; all keep ${same('kept')}, all break ${same('broken')}; programs: ${ran}\n`,
  );
  if (results.some((r) => r.programs === 0)) return 2;
  return differ.length === 0 ? 0 : 1;
};
