// Decides how the decoder is found: when the first processor is built, from beside this file, whoever has bundled it.
// The rest of the reference needs no package, so nothing is loaded before a processor is asked for.

import type * as Iced from 'iced-x86';

let loaded: typeof Iced | undefined;
/** The decoder's package. */
export const iced = (): typeof Iced => {
  loaded ??= process.getBuiltinModule('node:module').createRequire(import.meta.url)('iced-x86') as typeof Iced;
  return loaded;
};
