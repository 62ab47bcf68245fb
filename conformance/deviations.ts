// Known differences of real implementations: each with a trace that shows it, why it is one, and evidence.
// The trace alone decides whether a deviation still stands; a signature that no entry has is a new finding.

import { existsSync, readFileSync } from 'node:fs';
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

const fileOf = (target: string): string =>
  join(dirname(fileURLToPath(import.meta.url)), 'deviations', `${target.replace(/[:/]/g, '-')}.json`);
/** Where this project keeps a target's deviations: conformance/deviations/<target>.json, with `:` and `/` made `-`. A target that is another model or
 *  binary, as in `bochs:ryzen`, and has no file of its own has that of the target without the argument. */
export const deviationsFile = (target: string): string => {
  const own = fileOf(target);
  const plain = fileOf(target.split(':', 1)[0] ?? target);
  return !existsSync(own) && existsSync(plain) ? plain : own;
};

export interface KnownDeviations {
  readonly file: string;
  readonly entries: readonly Deviation[];
  /** They were seen on another model or binary: what does not show here is told, not taken for gone. */
  readonly lent: boolean;
}
/** Entries for this version. `path` undefined: the project's own file, which may be absent; 'none': no entries. */
export const readDeviations = (target: string, version: string, path: string | undefined): KnownDeviations => {
  const file = path ?? deviationsFile(target);
  const lent = path === undefined && file !== fileOf(target);
  if (path === 'none') return { file, entries: [], lent };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (path === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return { file, entries: [], lent };
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
    lent,
    entries: entries.filter(
      (e) => e.versions === undefined || e.versions.some((v) => version.split(', ').some((part) => part.startsWith(v))),
    ),
  };
};
