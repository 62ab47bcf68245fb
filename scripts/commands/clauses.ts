// vmmc clauses: every clause with its source and level, and every row of the sources and how it ends.

import { existsSync, readFileSync } from 'node:fs';
import Table from 'cli-table3';
import { areas, within } from '../../conformance/areas.ts';
import { readRows, rowsOf } from '../../conformance/rows.ts';
import { cited } from '../../spec/sources.ts';

interface Kill {
  readonly id: string;
  readonly killedBy: string | null;
}
const matrix = (): readonly Kill[] => {
  const file = new URL('../../conformance/faults/matrix.json', import.meta.url);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as readonly Kill[]) : [];
};
const outcome = (ends: string): object => {
  const [word = '', ...rest] = ends.split(' ');
  return ['clause', 'duty', 'permit', 'generator'].includes(word) ? { [word]: rest.join(' ') } : { reason: ends };
};

export const clausesCommand = async (options: { readonly area?: readonly string[]; readonly json?: boolean }): Promise<number> => {
  const prefixes = options.area ?? [];
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
  if (options.json) {
    const text = { schema: 1, clauses, rows: rows.map((r) => ({ row: r.row, area: r.area, ...outcome(r.ends) })) };
    process.stdout.write(`${JSON.stringify(text, null, 2)}\n`);
    return 0;
  }
  const table = new Table({ head: ['clause', 'level', 'rows', 'kills', 'says'], wordWrap: true, colWidths: [44, 8, 24, 24, 60] });
  for (const c of clauses) table.push([c.id, c.level, c.rows.join(' '), c.kills.join(' '), c.says]);
  const ends = new Map<string, number>();
  for (const r of rows) {
    const [word = ''] = r.ends.split(/[ :]/);
    ends.set(`${r.area} ${word}`, (ends.get(`${r.area} ${word}`) ?? 0) + 1);
  }
  process.stdout.write(
    `${table.toString()}\n${clauses.length} clauses; ${rows.length} rows\n${[...ends].map(([k, n]) => `  ${k}: ${n}`).join('\n')}\n`,
  );
  return 0;
};
