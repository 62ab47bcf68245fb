// The table of clauses and rows: each clause with its source, the rows it stands for and the faults it kills; each row and how it ends.
// conformance/clauses.json is this table; a test says when it is stale.

import { existsSync, readFileSync } from 'node:fs';
import { cited } from '../../spec/sources.ts';
import { areas, within } from '../areas.ts';
import { readRows, rowsOf } from '../rows.ts';

interface ClauseEntry {
  readonly id: string;
  readonly area: string;
  readonly level: string;
  readonly binds: string;
  readonly cite: string;
  readonly says: string;
  /** Ids of the rows that end as it. */
  readonly rows: readonly string[];
  /** Ids of the seeded faults that it kills. */
  readonly kills: readonly string[];
  /** Implementations seen keeping it; none are recorded yet. */
  readonly witnesses: readonly string[];
}
interface RowEntry {
  readonly row: string;
  readonly area: string;
  readonly clause?: string;
  readonly duty?: string;
  readonly permit?: string;
  readonly generator?: string;
  readonly reason?: string;
}
export interface ClauseTable {
  readonly schema: 1;
  readonly clauses: readonly ClauseEntry[];
  readonly rows: readonly RowEntry[];
}

interface Kill {
  readonly id: string;
  readonly killedBy: string | null;
}
const matrix = (): readonly Kill[] => {
  const file = new URL('../faults/matrix.json', import.meta.url);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as readonly Kill[]) : [];
};
const outcome = (ends: string): Omit<RowEntry, 'row' | 'area'> => {
  const [word = '', ...rest] = ends.split(' ');
  return ['clause', 'duty', 'permit', 'generator'].includes(word) ? { [word]: rest.join(' ') } : { reason: ends };
};

/** `prefixes`: dotted prefixes of areas; none: all. */
export const clauseTable = (prefixes: readonly string[]): ClauseTable => {
  const rows = readRows().filter((r) => within(r.area, prefixes));
  const kills = matrix();
  const clauses = areas
    .filter((a) => within(a.id, prefixes))
    .flatMap((a) =>
      a.clauses.map((c) => ({
        id: c.id,
        area: a.id,
        level: c.level,
        binds: c.binds,
        cite: cited(c.cite),
        says: c.says,
        rows: rowsOf(rows, c.id),
        kills: kills.filter((k) => k.killedBy === c.id).map((k) => k.id),
        witnesses: [],
      })),
    );
  return { schema: 1, clauses, rows: rows.map((r) => ({ row: r.row, area: r.area, ...outcome(r.ends) })) };
};
/** As printed by `--json`, and as committed: one clause or row a line. */
export const clauseTableText = (t: ClauseTable): string => {
  const lines = (list: readonly object[]): string => list.map((x) => `    ${JSON.stringify(x)}`).join(',\n');
  return `{\n  "schema": 1,\n  "clauses": [\n${lines(t.clauses)}\n  ],\n  "rows": [\n${lines(t.rows)}\n  ]\n}\n`;
};
