// How a TypeScript file of ours is started as a program: as it is in a checkout, compiled in the package.

import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Arguments of Node. `here` is the caller's import.meta.url, `name` the file beside it, without extension. */
export const programArguments = (here: string, name: string): readonly string[] => {
  const typescript = here.endsWith('.ts');
  const file = fileURLToPath(new URL(`${name}${typescript ? '.ts' : '.js'}`, here));
  return typescript ? ['--import', pathToFileURL(createRequire(here).resolve('tsx')).href, file] : [file];
};
