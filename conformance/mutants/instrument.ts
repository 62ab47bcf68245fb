// Makes the mutants: every file of an area is instrumented once, all mutants in it, and bundled in memory.
// Which mutant is active is decided at run time, by `__stryker__.activeMutant`; our own header also counts, to end loops.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { Instrumenter } from '@stryker-mutator/instrumenter';
import { build } from 'esbuild';
import { beside, faultError, referenceFolder } from '../faults/bundle.ts';
import type { Reference } from '../targets/ref/ref.ts';
import type { MutatedArea } from './areas.ts';

export interface Mutant {
  readonly id: string;
  /** Below reference/. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** What was there, and what stands there now. */
  readonly text: string;
  readonly becomes: string;
  readonly mutator: string;
  /** The whole line, trimmed: with file, text and becomes the key by which a survivor is classed. */
  readonly at: string;
}
export interface Instrumented {
  readonly mutants: readonly Mutant[];
  /** A function body that returns the exports of reference/machine.ts. */
  readonly code: string;
}
/** What the header of the bundle shares with us, as `globalThis.__stryker__`. */
export interface Switch {
  activeMutant: string | undefined;
  /** Evaluations of the active mutant that are left before the program is taken to loop for ever. */
  left: number;
  /** While defined: ids of the mutants whose place was reached. */
  reached: Set<string> | undefined;
}
export const mutantSwitch: Switch = { activeMutant: undefined, left: 0, reached: undefined };

const HEADER = `const stryker = globalThis.__stryker__;
function stryMutAct_9fa48(id) {
  if (stryker.activeMutant !== id) return false;
  if (--stryker.left < 0) throw new Error('the mutant does not come to an end');
  return true;
}
function stryCov_9fa48() { if (stryker.reached !== undefined) for (const id of arguments) stryker.reached.add(id); }`;

const filesOf = (root: string, area: MutatedArea): readonly string[] =>
  area.reference
    .flatMap((entry) =>
      statSync(path.join(root, entry)).isDirectory()
        ? readdirSync(path.join(root, entry), { recursive: true, encoding: 'utf8' })
            .filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'))
            .toSorted()
            .map((f) => path.join(entry, f))
        : [entry],
    )
    .filter((file) => area.except?.includes(file) !== true);

/** Positions of the instrumenter are lines and columns from 0. */
const slice = (lines: readonly string[], from: { line: number; column: number }, to: { line: number; column: number }): string =>
  lines
    .slice(from.line, to.line + 1)
    .map((l, i, all) => l.slice(i === 0 ? from.column : 0, i === all.length - 1 ? to.column : undefined))
    .join('\n');

const silent = (): void => {};
const logger = {
  isTraceEnabled: () => false,
  isDebugEnabled: () => false,
  isInfoEnabled: () => false,
  isWarnEnabled: () => false,
  isErrorEnabled: () => false,
  isFatalEnabled: () => false,
  trace: silent,
  debug: silent,
  info: silent,
  warn: silent,
  error: silent,
  fatal: silent,
};

export const instrument = async (area: MutatedArea): Promise<Instrumented> => {
  const root = referenceFolder();
  const sources = new Map(filesOf(root, area).map((file) => [file, readFileSync(path.join(root, file), 'utf8')]));
  const instrumented = await new Instrumenter(logger).instrument(
    [...sources].map(([name, content]) => ({ name, content, mutate: true })),
    { plugins: null, excludedMutations: [], ignorers: [], noHeader: true },
  );
  const contents = new Map(instrumented.files.map((f) => [path.join(root, f.name), f.content]));
  const { outputFiles } = await build({
    entryPoints: [path.join(root, 'machine.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'iife',
    globalName: 'reference',
    banner: { js: HEADER },
    footer: { js: 'return reference;' },
    logLevel: 'silent',
    tsconfigRaw: '{}',
    define: beside(root),
    plugins: [
      {
        name: 'mutants',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, (args) => {
            const text = contents.get(args.path);
            return text === undefined ? undefined : { contents: text, loader: 'ts' };
          }),
      },
    ],
  });
  const [bundle] = outputFiles;
  if (bundle === undefined) throw faultError('the mutants were not bundled');
  const mutants = instrumented.mutants.map((m): Mutant => {
    const lines = (sources.get(m.fileName) ?? '').split('\n');
    return {
      id: m.id,
      file: m.fileName,
      line: m.location.start.line + 1,
      text: slice(lines, m.location.start, m.location.end),
      becomes: m.replacement,
      mutator: m.mutatorName,
      at: (lines[m.location.start.line] ?? '').trim(),
    };
  });
  return { mutants, code: bundle.text };
};

/** Calls that only report coverage, which cost more than what they stand beside. */
const COVERAGE = /stryCov_9fa48\((?:"\d+"(?:, )?)+\)/g;
export const withoutCoverage = (code: string): string => code.replaceAll(COVERAGE, '0');

/** Evaluates the bundle; what happens at import time happens under the mutant that is active now. */
export const evaluate = (code: string): Reference => {
  Object.assign(globalThis, { __stryker__: mutantSwitch });
  return new Function(code)() as Reference;
};
