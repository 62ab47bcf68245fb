// Printing what is longer than a pipe holds: the process ends right after a command, and must not cut its output short.

import type { Writable } from 'node:stream';
import Table from 'cli-table3';

/** Resolves once the text has been handed over. */
export const print = (text: string): Promise<void> => new Promise((resolve) => process.stdout.write(text, () => resolve()));

/** Resolves once everything written before has been handed over. */
export const handedOver = (stream: Writable): Promise<void> => new Promise((resolve) => stream.write('', () => resolve()));

/** A table without colours of its own, one line a row. `widths` absent: as wide as needed. */
export const tableOf = (head: readonly string[], rows: readonly (readonly (string | number)[])[], widths?: readonly number[]): string => {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    ...(widths === undefined ? {} : { colWidths: [...widths], wordWrap: true }),
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
};
