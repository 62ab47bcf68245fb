// What a request and its completion say, in the words of the block device: for who reads a trace.
// VIRTIO 1.4, Block Device, Device Operation.

import type { Moment } from '../../clause.ts';
import type { EventOf } from '../../vocabulary.ts';
import type { Segment } from '../vocabulary.ts';
import { requestOf } from './driver.ts';
import { type BlkGhost, keyOf } from './ghost.ts';
import { statusName, T } from './layout.ts';
import type { Range, Request } from './request.ts';

const names: ReadonlyMap<number, string> = new Map(Object.entries(T).map(([name, value]) => [value, name]));
const hex = (at: bigint): string => `0x${at.toString(16)}`;
/** More pieces than this are counted. */
const listed = 4;
const pieces = (segments: readonly Segment[]): string => {
  const some = segments.slice(0, listed).map((s) => `${s.length} at ${hex(s.at)}`);
  return `${some.join(' + ')}${segments.length > listed ? ` + ${segments.length - listed} more` : ''}`;
};
const range = (r: Range): string => `${r.count} from sector ${r.sector}${r.flags === 0 ? '' : ` flags ${r.flags}`}`;
const data = (r: Request): string => {
  if (r.readable.length > 0) return `, ${r.readableLength} bytes to the device (${pieces(r.readable)})`;
  return r.writable.length > 0 ? `, ${r.writableLength} bytes to the driver (${pieces(r.writable)})` : '';
};
const typed = (r: Request): string =>
  r.type === undefined ? 'a request of unknown type' : (names.get(r.type) ?? `a request of type ${r.type}`);
const described = (r: Request): string => {
  const ranges = (r.ranges ?? []).slice(0, listed).map(range).join('; ');
  return `${typed(r)}${ranges === '' ? '' : ` of ${ranges}`}`;
};
const submitted = (m: Moment<BlkGhost, EventOf<'virtq.submitted'>>): string => {
  const r = requestOf(m);
  const { chain } = m.event;
  const form = `${chain.entries} descriptors${chain.mixed ? ', direct then indirect' : chain.indirect ? ', indirect' : ''}`;
  return `queue ${chain.queue} head ${chain.head} is available: ${described(r)}${data(r)}, ${
    r.statusAt === undefined ? 'no status byte' : `status at ${hex(r.statusAt)}`
  }; ${form}`;
};
const completed = (m: Moment<BlkGhost, EventOf<'virtq.completed'>>): string => {
  const { chain, length } = m.event;
  const last = chain.writable.findLast((s) => s.length > 0);
  const status = last === undefined ? undefined : m.memory.u8(last.at + BigInt(last.length) - 1n);
  return `queue ${chain.queue} head ${chain.head} is used: length ${length}, status ${status === undefined ? 'none' : statusName(status)}`;
};

/** Undefined for events that are no request's. */
export const tell = (m: Moment<BlkGhost>): string | undefined => {
  const { event } = m;
  if (!('saw' in event)) return undefined;
  switch (event.saw) {
    case 'virtq.submitted':
      return submitted(m as Moment<BlkGhost, typeof event>);
    case 'virtq.completed':
      return completed(m as Moment<BlkGhost, typeof event>);
    case 'virtq.malformed':
      return `queue ${event.queue} head ${event.head} breaks a rule of drivers: ${event.why}`;
    default:
      return undefined;
  }
};

/** Which request it is: `queue 0 head 2, IN of 1 from sector 7`. */
export const about = (m: Moment<BlkGhost>): string | undefined => {
  const { event } = m;
  if (!('saw' in event) || event.saw !== 'virtq.completed') return undefined;
  const { chain } = event;
  const flight = m.before.flights.get(keyOf(chain));
  return `queue ${chain.queue} head ${chain.head}${flight === undefined ? '' : `, ${described(flight.request)}`}`;
};
