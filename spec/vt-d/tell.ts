// What came of requests, invalidations and faults, beside what was permitted: for who reads a trace.

import type { Moment } from '../clause.ts';
import type { VtdGhost } from './ghost.ts';

/** Undefined for events that need no explanation. */
export const tell = (m: Moment<VtdGhost>): string | undefined => {
  const { event } = m;
  if (!('saw' in event)) return undefined;
  switch (event.saw) {
    case 'vtd.access':
    case 'vtd.message':
      return `requester ${event.requester}: permitted: ${event.expected}; was: ${event.got}${
        event.matched === 'excluded' ? ` (a stale entry: ${event.rule ?? 'excluded'})` : ''
      }`;
    case 'vtd.invalidated':
      return `invalidated by ${event.by}: ${event.what}`;
    case 'vtd.record':
      return event.present === true ? `a fault record: ${event.fields.map((f) => `${f.name} ${f.saw}`).join(', ')}` : undefined;
    case 'vtd.changed':
      return event.explained ? undefined : `memory changed where nothing was asked for: ${event.where}`;
    default:
      return undefined;
  }
};
