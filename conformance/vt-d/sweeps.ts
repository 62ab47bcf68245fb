// The sweeps by name: each goes through a whole class of values, one by one, where other programs draw a few of it.
// What a unit has no place for gives way to another, far from it in the list.

import type { Software } from './software.ts';
import { commands, largeMasks, masks, mended, neighbours, tagsDropped } from './sweep-caches.ts';
import { descriptors, entriesDropped, entryBits, entryFields, indexes, sources } from './sweep-interrupts.ts';
import { looksLike, messages } from './sweep-messages.ts';
import { config, pages, responses, translations, virtual } from './sweep-devices.ts';
import { descriptorBits, deviceInvalidations, queueEnds, queueNowhere, timeouts, types } from './sweep-queue.ts';
import { events, faultFields, ring } from './sweep-faults.ts';
import { allCommands, protectedRegions, registers } from './sweep-registers.ts';
import { aside, limits } from './sweep-limits.ts';
import { beyond, indices, large, lengths } from './sweep-places.ts';
import { bits, contexts, edges, entries, manners1, ridPasid, rights } from './sweep-tables.ts';

/** False: nothing of it fits this unit. */
export type Sweep = (sw: Software, n: number) => boolean;
const sweeps: Readonly<Record<string, Sweep>> = {
  bits,
  edges,
  contexts,
  'rid-pasid': ridPasid,
  entries,
  rights,
  manners: manners1,
  indices,
  beyond,
  large,
  lengths,
  masks,
  'large-masks': largeMasks,
  mended,
  neighbours,
  tags: tagsDropped,
  commands,
  'entry-bits': entryBits,
  'entry-fields': entryFields,
  sources,
  descriptors,
  indexes,
  'entries-dropped': entriesDropped,
  messages,
  'looks-like': looksLike,
  registers,
  'all-commands': allCommands,
  'fault-fields': faultFields,
  ring,
  events,
  'protected-regions': protectedRegions,
  config,
  virtual,
  translations,
  pages,
  responses,
  'descriptor-bits': descriptorBits,
  types,
  'queue-ends': queueEnds,
  'queue-nowhere': queueNowhere,
  'device-invalidations': deviceInvalidations,
  timeouts,
  limits,
  aside,
};
export const SWEEPS: readonly string[] = Object.keys(sweeps);
/** What can be asked where neither the end of a request is told nor an interrupt of any kind or destination is shown: memory and records tell of it.
 *  Not what leaves a unit that takes a wrong descriptor ahead of what software knows of its queue: nothing that follows would mean anything. */
const plain: ReadonlySet<string> = new Set([
  'bits',
  'edges',
  'contexts',
  'rid-pasid',
  'entries',
  'rights',
  'indices',
  'beyond',
  'large',
  'lengths',
  'masks',
  'large-masks',
  'mended',
  'neighbours',
  'tags',
  'commands',
  'registers',
  'all-commands',
  'fault-fields',
  'ring',
  'queue-ends',
  'queue-nowhere',
  'limits',
]);
/** Where not all of them can be asked, none gives way to another: the name of a sweep says what was seen. */
export const sweep = (sw: Software, what: string, n: number): void => {
  if (!sw.rich) return void (plain.has(what) && sweeps[what]?.(sw, n));
  const from = Math.max(0, SWEEPS.indexOf(what));
  for (let k = 0; k < SWEEPS.length; k++) if (sweeps[SWEEPS[(from + 17 * k) % SWEEPS.length] as string]?.(sw, n) === true) return;
};
