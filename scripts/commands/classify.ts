// vmmc classify: what each instruction is to a monitor, derived by experiment on the reference and compared with the declared table; exit 1 where they differ.

import { differ, type DerivedMode, deriveAll, type Row } from '../../conformance/instructions/derive.ts';
import type { Kind, Setting } from '../../spec/instructions/classification.ts';
import { print } from '../print.ts';

interface Io {
  readonly out: (text: string) => void | Promise<void>;
}
const kinds: readonly Kind[] = ['privileged', 'control-sensitive', 'behaviour-sensitive', 'innocuous'];
/** The classic processor, what UMIP closes, and 64-bit mode. CR4.TSD and CR4.PCE are clear, IOPL is 0. */
export const settings: readonly (Setting & { readonly mode: DerivedMode; readonly title: string })[] = (
  [
    ['classic 32-bit protected mode', 'prot32', false],
    ['32-bit protected mode with UMIP', 'prot32', true],
    ['64-bit mode', 'long64', false],
    ['64-bit mode with UMIP', 'long64', true],
  ] as const
).map(([title, mode, umip]) => ({ title, mode, umip, tsd: false, pce: false, iopl: 0 }));

const kindOf = (r: Row): Kind => (typeof r.derived === 'string' ? r.derived : r.declared);
const names = (rows: readonly Row[], kind: Kind): readonly string[] => [
  ...new Set(rows.filter((r) => kindOf(r) === kind).map((r) => r.form.id)),
];
/** Popek and Goldberg 1974, theorem 1: every sensitive instruction is privileged. */
const verdict = (rows: readonly Row[]): string => {
  const holes = rows.filter((r) => kindOf(r) === 'control-sensitive' || kindOf(r) === 'behaviour-sensitive');
  return holes.length === 0
    ? 'condition holds: every sensitive instruction is privileged'
    : `condition fails: ${holes.length} forms of ${new Set(holes.map((r) => r.form.mnemonic)).size} mnemonics are sensitive and do not trap`;
};
const wrapped = (words: readonly string[]): string => {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    if (line.length + word.length > 110) {
      lines.push(line);
      line = '';
    }
    line += `${line === '' ? '    ' : ' · '}${word}`;
  }
  return [...lines, line].join('\n');
};
const section = (title: string, rows: readonly Row[]): string => {
  const parts = kinds.map((kind) => {
    const list = names(rows, kind);
    return `  ${kind} (${list.length})\n${kind === 'innocuous' ? '    everything else' : wrapped(list)}`;
  });
  const unseen = rows.filter((r) => typeof r.derived !== 'string');
  const blind = unseen.map((r) => `  as declared, not derived: ${r.form.id}: ${typeof r.derived === 'string' ? '' : r.derived.cannot}`);
  return [title, `  ${verdict(rows)}`, ...parts, ...blind].join('\n');
};

export const classifyCommand = async (options: { readonly json?: boolean }, io: Io = { out: print }): Promise<number> => {
  const derived = settings.map(({ title, ...setting }) => ({ title, setting, rows: deriveAll(setting) }));
  const wrong = derived.flatMap((d) => d.rows.filter(differ).map((r) => ({ title: d.title, row: r })));
  if (options.json === true) {
    const json = derived.map((d) => ({
      title: d.title,
      setting: d.setting,
      verdict: verdict(d.rows),
      forms: d.rows.map((r) => ({ form: r.form.id, declared: r.declared, derived: r.derived })),
    }));
    await io.out(`${JSON.stringify(json, null, 2)}\n`);
  } else {
    await io.out(`${derived.map((d) => section(d.title, d.rows)).join('\n\n')}\n\n`);
    for (const { title, row } of wrong)
      await io.out(`✗ ${title}: ${row.form.id} is declared ${row.declared}, derived ${String(row.derived)}\n`);
    await io.out(wrong.length === 0 ? 'derived and declared are equal\n' : `${wrong.length} forms differ\n`);
  }
  return wrong.length === 0 ? 0 : 1;
};
