// Decides what a translation request is answered: the translations of its pages, or a status; and which faults it leaves unrecorded.
// PCI Express Base, Address Translation Services; VT-d 4.1, Device-TLBs, and the columns for translation requests of the fault conditions.

import type { AtsEntry } from '../../spec/vt-d/vocabulary.ts';
import { type Asked, prepare } from './dma.ts';
import { recordFault } from './faults.ts';
import { interruptRange } from './legacy.ts';
import { ABORTED, translate, translating } from './translate.ts';
import { aim, EXECUTABLE, EXECUTE, READ, type Request, TRANSLATION_REQUEST, type Unit, USER, WRITABLE, WRITE } from './unit.ts';

export interface Completion {
  readonly status: 'success' | 'unsupported-request' | 'completer-abort';
  readonly entries: readonly AtsEntry[];
}
const refused: Completion = { status: 'unsupported-request', entries: [] };
const aborted: Completion = { status: 'completer-abort', entries: [] };

/** Lack of permission, of a mapping, of reach: answered with R and W 0, and not recorded. LGN.1 to LGN.4, SFL.2, SSL.2, SGN. */
const permissionless: ReadonlySet<number> = new Set([0x04, 0x05, 0x06, 0x0e, 0x71, 0x79, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87]);
/** Tables that could not be read or are malformed below the context and PASID entries: completer abort. LSL, SFL, SSL. */
const tableErrors: ReadonlySet<number> = new Set([
  0x07, 0x0c, 0x70, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x7a, 0x7b, 0x7c, 0x90, 0x91,
]);
/** READ of the first page that may be asked for: whatever the tables allow is told. */
const ANYTHING = 0;

export const translationRequest = (
  unit: Unit,
  sourceId: number,
  asked: Asked & { readonly noWrite?: boolean },
  pages: number,
): Completion => {
  if (!translating(unit)) return refused;
  const request = prepare(unit, sourceId, { ...asked, translated: false }, 2, ANYTHING);
  request.type = TRANSLATION_REQUEST;
  request.noWrite = asked.noWrite === true && unit.profile.noWrite;
  const entries: AtsEntry[] = [];
  let page = Number(asked.at >> 12n);
  const end = page + pages;
  while (page < end && page < 2 ** 52) {
    if (asked.pasid === undefined && interruptRange(page)) {
      entries.push(interruptEntry(page));
      page += 1;
      continue;
    }
    aim(request, page);
    request.need = ANYTHING;
    let reason = translate(unit, request);
    if (reason === 0) reason = writeAhead(unit, request);
    if (reason !== 0 && !permissionless.has(reason)) {
      // What was translated before stands; the first page decides the status.
      if (entries.length > 0) break;
      if (reason !== ABORTED) recordFault(unit, request, reason);
      return tableErrors.has(reason) ? aborted : refused;
    }
    entries.push(entryOf(request, reason === 0));
    if (reason !== 0) break;
    const size = 2 ** request.order;
    page += size - (page % size);
  }
  return { status: 'success', entries };
};

/** Interrupt messages go out untranslated: written, never read. */
const interruptEntry = (page: number): AtsEntry => ({
  address: BigInt(page) << 12n,
  size: 4096n,
  read: false,
  write: true,
  execute: false,
  privileged: false,
  global: false,
  untranslatedOnly: true,
  noSnoop: false,
});

/** A device that may write through the translation will: the dirty flags are set now. */
const writeAhead = (unit: Unit, request: Request): number => {
  if (request.noWrite || !writes(request)) return 0;
  request.need = WRITE;
  return translate(unit, request);
};

const firstStage = (request: Request): boolean => (request.permissions & (USER | WRITABLE | EXECUTABLE)) !== 0;
const writes = (request: Request): boolean =>
  (request.permissions & WRITE) !== 0 && (!firstStage(request) || (request.permissions & WRITABLE) !== 0);

const entryOf = (request: Request, allowed: boolean): AtsEntry => {
  const { permissions, order } = request;
  const size = 2 ** order;
  const host = request.hostPage - (request.hostPage % size);
  const executable = (permissions & EXECUTE) !== 0 && (!firstStage(request) || (permissions & EXECUTABLE) !== 0);
  return {
    address: allowed ? BigInt(host) << 12n : 0n,
    size: allowed ? BigInt(size) << 12n : 4096n,
    read: allowed && (permissions & READ) !== 0,
    write: allowed && writes(request) && !request.noWrite,
    execute: allowed && request.execute && executable,
    privileged: allowed && request.privileged,
    global: allowed && firstStage(request) && request.global,
    untranslatedOnly: false,
    noSnoop: false,
  };
};
