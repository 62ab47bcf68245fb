// Rows of the sources and how each ends: clause, duty, permit, generator, or a reason. The denominators of `vmmc clauses`.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Row {
  readonly row: string;
  /** Folder below spec/, dotted: 'virtio.blk'. */
  readonly area: string;
  readonly says: string;
  /** `clause ID`, `duty ID`, `permit …`, `generator …`, or a reason. */
  readonly ends: string;
}
const spec = join(dirname(fileURLToPath(import.meta.url)), '..', 'spec');

/** Every spec/<area>/rows.tsv: columns id, kind, level, section, says, gate, class, ends. Throws where a line has another number of columns. */
export const readRows = (): readonly Row[] => {
  const rows: Row[] = [];
  for (const entry of readdirSync(spec, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!entry.endsWith('rows.tsv')) continue;
    const lines = readFileSync(join(spec, entry), 'utf8').split('\n').slice(1);
    for (const [i, line] of lines.entries()) {
      if (line === '') continue;
      const cells = line.split('\t');
      const [row, , , , says, , , ends] = cells;
      if (row === undefined || says === undefined || ends === undefined || ends === '')
        throw new Error(`spec/${entry}:${i + 2}: a row needs 8 columns, the last says how it ends`);
      rows.push({ row, area: dirname(entry).replaceAll('/', '.'), says, ends });
    }
  }
  return rows;
};
/** Rows that end as this clause. */
export const rowsOf = (rows: readonly Row[], clause: string): readonly string[] =>
  rows.filter((r) => r.ends.split(/[ ,;]+/).includes(clause) && r.ends.startsWith('clause')).map((r) => r.row);
