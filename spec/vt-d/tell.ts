// What came of requests, invalidations and faults, beside what was permitted: for who reads a trace.

import type { Moment } from '../clause.ts';
import type { VtdGhost } from './ghost.ts';
import { GCMD, GSTS, registersOf } from './layout.ts';

const hex = (value: bigint): string => `${value.toString(16).toUpperCase()}H`;
/** Bits of GCMD_REG and GSTS_REG by their number. VT-d 4.1, Global Command Register; Global Status Register. */
const commands: Readonly<Record<number, string>> = {
  31: 'TE',
  30: 'SRTP',
  29: 'SFL',
  28: 'EAFL',
  27: 'WBF',
  26: 'QIE',
  25: 'IRE',
  24: 'SIRTP',
  23: 'CFI',
};
/** The register at an offset, and for commands and status the bits that are set. */
const registerAt = (g: VtdGhost, at: number, value: bigint): string => {
  const found = registersOf(g.a).find((r) => at >= r.at && at < r.at + r.width);
  if (found === undefined && at !== GSTS) return `the register at ${hex(BigInt(at))} is ${hex(value)}`;
  const name = at === GSTS ? 'GSTS_REG' : (found?.name ?? '');
  const bits = Object.entries(commands).flatMap(([bit, word]) => (((value >> BigInt(bit)) & 1n) === 1n ? [word] : []));
  return `${name} is ${hex(value)}${(at === GSTS || at === GCMD) && bits.length > 0 ? ` (${bits.reverse().join(' ')})` : ''}`;
};

/** Undefined for events that need no explanation. */
export const tell = (m: Moment<VtdGhost>): string | undefined => {
  const { event } = m;
  if ('do' in event) return event.do === 'vtd.write' ? registerAt(m.before, event.at, BigInt(event.value)) : undefined;
  switch (event.saw) {
    case 'vtd.register':
      return registerAt(m.before, event.at, event.value);
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
