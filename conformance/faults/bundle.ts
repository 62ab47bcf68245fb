// Applies a fault to the reference and loads the result: esbuild bundles in memory, one source file edited on the way.
// A fault whose `before` does not stand exactly once in its file is an error: the reference has moved on without it.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import type { Reference } from '../targets/ref/ref.ts';
import type { Fault } from './fault.ts';

/** A fault that cannot be applied: the catalogue or the installation is at fault, never the target. */
export interface FaultError extends Error {
  readonly kind: 'fault';
}
export const faultError = (message: string): FaultError => Object.assign(new Error(message), { kind: 'fault' as const });

/** The folder with the reference's sources: they are shipped beside the compiled files. */
export const referenceFolder = (): string => {
  for (let at = path.dirname(fileURLToPath(import.meta.url)); ; at = path.dirname(at)) {
    if (existsSync(path.join(at, 'reference', 'machine.ts'))) return path.join(at, 'reference');
    if (at === path.dirname(at)) throw faultError('the sources of the reference (reference/*.ts) are not installed');
  }
};

/** The reference loads its decoder from beside its own file: a bundle has none, so it is told where that was. */
export const beside = (root: string): Readonly<Record<string, string>> => ({
  'import.meta.url': JSON.stringify(pathToFileURL(path.join(root, 'machine.ts')).href),
});

/** The file's text with the fault in it. */
export const swapped = (fault: Fault, text: string): string => {
  const [before, after] = fault.swap;
  const parts = text.split(before);
  if (parts.length !== 2)
    throw faultError(`${fault.id}: reference/${fault.file} has ${parts.length - 1} times, not once: ${JSON.stringify(before)}`);
  return parts.join(after);
};

/** The module `reference/machine.ts` with the fault in it. */
export const load = async (fault: Fault): Promise<Reference> => {
  const root = referenceFolder();
  const edited = path.join(root, fault.file);
  if (!existsSync(edited)) throw faultError(`${fault.id}: there is no reference/${fault.file}`);
  const contents = swapped(fault, readFileSync(edited, 'utf8'));
  const { outputFiles } = await build({
    entryPoints: [path.join(root, 'machine.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
    tsconfigRaw: '{}',
    define: beside(root),
    plugins: [
      {
        name: 'fault',
        setup: ({ onLoad }) => onLoad({ filter: /\.ts$/ }, (args) => (args.path === edited ? { contents, loader: 'ts' } : undefined)),
      },
    ],
  });
  const [bundle] = outputFiles;
  if (bundle === undefined) throw faultError(`${fault.id}: nothing was bundled`);
  return (await import(`data:text/javascript;base64,${Buffer.from(bundle.contents).toString('base64')}`)) as Reference;
};
