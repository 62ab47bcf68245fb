// Known differences of real implementations: each with a trace that shows it, why it is one, and evidence.
// The trace alone decides whether a deviation still stands; a signature that no entry has is a new finding.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Deviation {
  /** clause | kind | shape, as a counterexample prints it; `*` for the shape where the kind names the whole difference, `*word*` where the shape
   *  needs to have that word. `area.* | * | *word*`, as one of `also`: where the word names the cause, whatever came of it. */
  readonly signature: string;
  /** Further signatures of the same difference: other shortest programs of it. */
  readonly also?: readonly string[];
  /** Path of the trace, relative to the deviations file. */
  readonly trace: string;
  /** What the implementation does differently, and why that is not permitted or only advised against. */
  readonly because: string;
  /** Where else this was seen: source, issue, version. */
  readonly evidence: string;
  readonly link?: string;
  /** It depends on timing inside the target, or on what its host did before: the trace is replayed more often, and that it does not show is told, not
   *  taken for gone. */
  readonly race?: boolean;
  /** What the version, or one of its parts between commas, starts with where it was seen; absent: all. */
  readonly versions?: readonly string[];
}

/** An unreadable or misshapen deviations file: exit 64. */
export interface DeviationsError extends Error {
  readonly kind: 'deviations';
}
const wrong = (message: string): DeviationsError => Object.assign(new Error(message), { kind: 'deviations' as const });

const fields = ['signature', 'trace', 'because', 'evidence'] as const;
const check = (file: string, entry: unknown, i: number): Deviation => {
  if (typeof entry !== 'object' || entry === null) throw wrong(`${file}: entry ${i} must be an object`);
  const record = entry as Readonly<Record<string, unknown>>;
  for (const field of fields)
    if (typeof record[field] !== 'string' || record[field] === '')
      throw wrong(`${file}: entry ${i} needs a "${field}"; it says what, where seen, and why`);
  return entry as Deviation;
};

/** Where this project keeps a target's deviations: conformance/deviations/<target>.json, with `:` and `/` made `-`. */
export const deviationsFile = (target: string): string =>
  join(dirname(fileURLToPath(import.meta.url)), 'deviations', `${target.replace(/[:/]/g, '-')}.json`);

/** Entries for this version. `path` undefined: the project's own file, which may be absent; 'none': no entries. */
export const readDeviations = (
  target: string,
  version: string,
  path: string | undefined,
): { readonly file: string; readonly entries: readonly Deviation[] } => {
  const file = path ?? deviationsFile(target);
  if (path === 'none') return { file, entries: [] };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (path === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return { file, entries: [] };
    throw wrong(`${file}: cannot be read (${(error as Error).message}); name an existing file, or none`);
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong(`${file}: is not JSON (${(error as Error).message})`);
  }
  if (!Array.isArray(json)) throw wrong(`${file}: must be an array of deviations`);
  const entries = json.map((entry, i) => check(file, entry, i));
  return {
    file,
    entries: entries.filter(
      (e) => e.versions === undefined || e.versions.some((v) => version.split(', ').some((part) => part.startsWith(v))),
    ),
  };
};
