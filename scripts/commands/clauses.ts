// vmmc clauses: every clause with its source and level, and every row of the sources and how it ends. Exit 64 where no area is so called.

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { clauseTable, clauseTableText, type ClauseTable } from '../../conformance/report/clauses.ts';
import { areasNamed } from '../options.ts';
import { print, tableOf } from '../print.ts';
import { usage } from '../usage.ts';

export interface ClausesOptions {
  readonly area?: readonly string[];
  readonly json?: boolean;
  readonly write?: boolean;
}
const kinds = ['clause', 'duty', 'permit', 'generator', 'reason'] as const;

const printed = ({ clauses, rows }: ClauseTable): string => {
  // A name that is cut can be given to no other command.
  const widest = (of: (c: ClauseTable['clauses'][number]) => readonly string[]): number =>
    Math.max(20, ...clauses.flatMap(of).map((name) => name.length)) + 2;
  const table = tableOf(
    ['clause', 'level', 'source', 'rows', 'kills', 'says'],
    clauses.map((c) => [c.id, c.level, c.cite, c.rows.join(' '), c.kills.join(' '), c.says]),
    [widest((c) => [c.id]), 8, 40, widest((c) => c.rows), widest((c) => c.kills), 50],
  );
  const ends = new Map<string, number[]>();
  for (const r of rows) {
    const counts = ends.get(r.area) ?? kinds.map(() => 0);
    kinds.forEach((k, i) => {
      if (r[k] !== undefined) counts[i] = (counts[i] ?? 0) + 1;
    });
    ends.set(r.area, counts);
  }
  const summary = tableOf(
    ['rows of', ...kinds],
    [...ends].map(([area, counts]) => [area, ...counts]),
  );
  return `${table}\n${summary}\n${clauses.length} clauses; ${rows.length} rows\n`;
};

export const clausesCommand = async (options: ClausesOptions): Promise<number> => {
  const prefixes = areasNamed(options.area);
  if (options.write === true && prefixes.length > 0) throw usage('--write needs the whole table: leave --area out');
  const table = clauseTable(prefixes);
  const text = clauseTableText(table);
  if (options.write === true) writeFileSync(fileURLToPath(new URL('../../conformance/clauses.json', import.meta.url)), text);
  await print(options.json === true ? text : printed(table));
  return 0;
};
