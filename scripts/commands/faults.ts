// vmmc faults: the kill matrix. Every seeded fault must be noticed, by the clause that names its rule; else exit 1.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { faults } from '../../conformance/faults/catalogue.ts';
import { gate, type Row, selected } from '../../conformance/faults/gate.ts';
import { print, tableOf } from '../print.ts';
import { usage } from '../usage.ts';

interface Io {
  readonly out: (text: string) => void | Promise<void>;
  readonly err: (text: string) => void;
}
const terminal: Io = {
  out: print,
  err: (text) => void process.stderr.write(text),
};

const printed = (rows: readonly Row[]): string => {
  const table = tableOf(
    ['fault', 'origin', 'killed by', 'programs'],
    rows.map((r) => [
      r.id,
      r.origin,
      `${r.byOwnClause ? '' : r.killedBy === null ? 'SURVIVED' : 'foreign: '}${r.killedBy ?? ''}`,
      r.programs,
    ]),
    [28, 44, 48, 10],
  );
  const own = rows.filter((r) => r.byOwnClause).length;
  const survived = rows.filter((r) => r.killedBy === null).length;
  const one = rows.length === 1 ? faults.find((f) => f.id === rows[0]?.id) : undefined;
  const what = one === undefined ? '' : `${one.id}: ${one.story} (reference/${one.file})\n`;
  return `${table}\n${what}${rows.length} fault${rows.length === 1 ? '' : 's'}: ${own} killed by their own clause, ${rows.length - own - survived} by another, ${survived} survived\n`;
};

/** Renews these rows of the committed matrix, in the order of the catalogue; rows of faults that are gone go too. */
const renew = (rows: readonly Row[]): void => {
  const file = fileURLToPath(new URL('../../conformance/faults/matrix.json', import.meta.url));
  const before = JSON.parse(readFileSync(file, 'utf8')) as readonly Row[];
  const all = new Map([...before, ...rows].map((r) => [r.id, r]));
  const kept = selected(undefined).flatMap((f) => all.get(f.id) ?? []);
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
};

export const faultsCommand = async (
  area: string | undefined,
  options: { readonly json?: boolean; readonly write?: boolean },
  io: Io = terminal,
): Promise<number> => {
  const chosen = selected(area);
  if (chosen.length === 0) throw usage(`no fault is seeded for ${area}: name an area, as vmmc clauses does, or the id of a fault`);
  const live = options.json !== true && process.stderr.isTTY;
  const rows = await gate(chosen, (done) => {
    if (live) io.err(`\r${done} of ${chosen.length} faults`);
  });
  if (live) io.err('\r');
  const json = `${JSON.stringify(rows, null, 2)}\n`;
  await io.out(options.json === true ? json : printed(rows));
  if (options.write === true) renew(rows);
  return rows.every((r) => r.byOwnClause) ? 0 : 1;
};
