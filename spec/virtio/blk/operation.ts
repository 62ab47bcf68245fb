// How a block device answers: the status byte, what must be refused, and that nothing else is.
// VIRTIO 1.4, Block Device, Device Operation (struct virtio_blk_req; device requirements).

import type { Clause, Feature, Harm, Judged, Level, Moment } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import type { EventOf } from '../../vocabulary.ts';
import type { BlkGhost, Flight } from './ghost.ts';
import { hasBadFlags, inside, keyOf, negotiated, queueScope, readOnly } from './ghost.ts';
import { featureOf, isLegacyType, offered, S, sectorSize, statusName, T, typeName, zoneTypes } from './layout.ts';

export type Completed = Moment<BlkGhost, EventOf<'virtq.completed'>>;
export const flightOf = (m: Completed): Flight | undefined => m.before.flights.get(keyOf(m.event.chain));
/** The status byte a completed request shows, or undefined where it cannot be seen. */
export const statusOf = (m: Completed): number | undefined => {
  const at = flightOf(m)?.request.statusAt;
  return at !== undefined && m.memory.known(at, 1) ? m.memory.u8(at) : undefined;
};
export const completedScope = (m: Completed): string => queueScope(m.event.chain.queue);
const clause = clauseOf<BlkGhost>();
export const requirements: Citation = virtio('Device Types / Block Device / Device Operation', 'device requirements');
const form: Citation = virtio('Device Types / Block Device / Device Operation', 'status');
export const needs = ['virtio.blk', 'memory.seen'] as const;

const isErase = (type: number | undefined): boolean => type === T.DISCARD || type === T.WRITE_ZEROES || type === T.SECURE_ERASE;
const changes = (type: number | undefined): boolean => type === T.OUT || isErase(type);
const known: ReadonlySet<number> = new Set(Object.values(T));

/** An answer rule: which completed requests it speaks of, and which statuses it permits. */
interface Answer {
  readonly id: string;
  readonly says: string;
  readonly level: Level;
  readonly harm: Harm;
  readonly cite?: Citation;
  readonly always?: true;
  readonly feature?: Feature;
  readonly speaks: (f: Flight, m: Completed) => boolean;
  readonly permits: (status: number) => boolean;
  readonly expected: string;
}
/** A longer chain may be past what a device reasonably takes (Message Framing); with SEG_MAX it has said how much that is. */
const reasonable = 128;
const taken = (f: Flight, m: Completed): boolean => f.request.chain.entries <= reasonable || negotiated(m.before, 'SEG_MAX') === true;
/** Legal in every respect, of a length that any device takes, with buffers that were its own, and a device that may write where it asks. */
const plain = (f: Flight, m: Completed): boolean =>
  f.legal === true &&
  f.negotiated === true &&
  !f.resized &&
  !f.disturbed &&
  taken(f, m) &&
  !(changes(f.request.type) && readOnly(m.before, m.granted) !== false);
/** The types a device must serve: plain reads and writes, and what was negotiated. */
const must = (f: Flight): boolean =>
  f.request.type === T.IN || f.request.type === T.OUT || (featureOf.has(f.request.type ?? -1) && f.request.type !== T.GET_LIFETIME);
/** Requests whose success the text leaves no doubt about: some data, no stray fields, nothing the driver should have left out. */
const ordinary = (f: Flight): boolean => {
  const { type, reserved, sector, readableLength, writableLength } = f.request;
  const data = readableLength + writableLength;
  if (reserved !== 0 || (type !== T.IN && type !== T.OUT && sector !== 0n)) return false;
  return type === T.FLUSH ? data === 0 : data > 0;
};
const disk = (m: Completed): boolean => m.granted.virtio?.blk.disk === 'pattern';

const answers: readonly Answer[] = [
  // RO: statements about writes; a read-only device may answer a write with bad flags either way.
  {
    id: 'virtio.blk.read-only.ioerr',
    feature: offered('RO'),
    says: 'OUT to a device that offers RO is answered IOERR',
    level: 'must',
    harm: 'wrong-data',
    speaks: (f, m) =>
      f.request.type === T.OUT && f.legal === true && f.request.readableLength > 0 && readOnly(m.before, m.granted) === true,
    permits: (s) => s === S.IOERR,
    expected: 'IOERR',
  },
  {
    id: 'virtio.blk.read-only.erase',
    feature: offered('RO'),
    says: 'write zeroes and secure erase do not succeed on a device that offers RO',
    level: 'must',
    harm: 'wrong-data',
    speaks: (f, m) =>
      (f.request.type === T.WRITE_ZEROES || f.request.type === T.SECURE_ERASE) &&
      f.legal === true &&
      readOnly(m.before, m.granted) === true,
    permits: (s) => s !== S.OK,
    expected: 'IOERR or UNSUPP',
  },
  // Flags: an erase behind a feature that was not negotiated may be unsupported for that reason; it is UNSUPP all the same.
  {
    id: 'virtio.blk.erase.flags',
    says: 'discard, write zeroes and secure erase with an unknown flag are answered UNSUPP',
    level: 'must',
    harm: 'wrong-data',
    speaks: (f, m) =>
      isErase(f.request.type) &&
      f.legal !== false &&
      readOnly(m.before, m.granted) === false &&
      (f.request.ranges?.some((r) => (r.flags & ~1) !== 0) ?? false),
    permits: (s) => s === S.UNSUPP,
    expected: 'UNSUPP',
  },
  {
    id: 'virtio.blk.discard.unmap',
    says: 'discard with unmap is answered UNSUPP',
    level: 'must',
    harm: 'wrong-data',
    speaks: (f, m) =>
      f.request.type === T.DISCARD &&
      f.legal !== false &&
      readOnly(m.before, m.granted) === false &&
      (f.request.ranges?.some((r) => r.flags === 1) ?? false),
    permits: (s) => s === S.UNSUPP,
    expected: 'UNSUPP',
  },
  {
    id: 'virtio.blk.zone.unsupp',
    says: 'zone commands are answered UNSUPP while ZONED is not negotiated',
    level: 'must',
    harm: 'interop',
    speaks: (f, m) => zoneTypes.has(f.request.type ?? -1) && f.legal === true && negotiated(m.before, 'ZONED') === false,
    permits: (s) => s === S.UNSUPP,
    expected: 'UNSUPP',
  },
  {
    id: 'virtio.blk.unsupp.unknown',
    says: 'a type that no edition defines does not succeed',
    level: 'must',
    harm: 'interop',
    cite: form,
    speaks: (f) => undefinedType(f) && f.legal === true,
    permits: (s) => s !== S.OK,
    expected: 'UNSUPP',
  },
  {
    id: 'virtio.blk.unsupp.status',
    says: 'an unsupported type is answered UNSUPP rather than IOERR',
    level: 'should',
    harm: 'interop',
    cite: form,
    speaks: (f) => undefinedType(f) && f.legal === true,
    permits: (s) => s !== S.IOERR,
    expected: 'UNSUPP',
  },
  {
    id: 'virtio.blk.unsupp.legacy',
    says: 'a type of the legacy interface does not succeed on the modern one',
    level: 'should',
    harm: 'interop',
    cite: form,
    speaks: (f) => isLegacyType(f.request.type ?? 0) && f.legal === true,
    permits: (s) => s !== S.OK,
    expected: 'UNSUPP',
  },
  // A request past the end is the driver's fault, and IOERR is defined as the answer to driver errors; success would invent sectors.
  {
    id: 'virtio.blk.range.refused',
    says: 'a read or write that reaches past capacity does not succeed',
    level: 'must',
    harm: 'stray-write',
    cite: form,
    always: true,
    speaks: (f, m) =>
      (f.request.type === T.IN || f.request.type === T.OUT || f.request.type === T.WRITE_ZEROES) &&
      !f.resized &&
      !f.disturbed &&
      !hasBadFlags(f.request) &&
      (f.request.ranges?.some((r) => r.count > 0 && inside(m.before, r) === false) ?? false),
    permits: (s) => s !== S.OK,
    expected: 'IOERR',
  },
  // The converses.
  {
    id: 'virtio.blk.supported',
    says: 'IN, OUT and what was negotiated are not answered UNSUPP',
    level: 'must',
    harm: 'self-stuck',
    cite: form,
    speaks: (f, m) => plain(f, m) && must(f) && ordinary(f) && !hasBadFlags(f.request),
    permits: (s) => s !== S.UNSUPP,
    expected: 'OK',
  },
  {
    id: 'virtio.blk.served',
    says: 'a legal request to a working disk is not answered IOERR',
    level: 'must',
    harm: 'self-stuck',
    cite: form,
    // The suite made the disk and knows of no error in it.
    speaks: (f, m) => plain(f, m) && must(f) && ordinary(f) && !hasBadFlags(f.request) && disk(m),
    permits: (s) => s !== S.IOERR,
    expected: 'OK',
  },
  {
    id: 'virtio.blk.id.served',
    says: 'GET_ID is answered OK',
    level: 'should',
    harm: 'interop',
    cite: form,
    speaks: (f, m) => plain(f, m) && f.request.type === T.GET_ID && ordinary(f),
    permits: (s) => s === S.OK,
    expected: 'OK',
  },
  {
    id: 'virtio.blk.sectors.refused',
    says: 'IN and OUT of a part of a sector do not succeed',
    level: 'should',
    harm: 'wrong-data',
    cite: form,
    always: true,
    speaks: (f) =>
      (f.request.type === T.IN || f.request.type === T.OUT) &&
      !f.disturbed &&
      (f.request.readableLength + f.request.writableLength) % sectorSize !== 0,
    permits: (s) => s !== S.OK,
    expected: 'IOERR',
  },
];
function undefinedType(f: Flight): boolean {
  const type = f.request.type;
  return type !== undefined && !known.has(type) && !zoneTypes.has(type) && !isLegacyType(type);
}

/** A part of a block: legal, since blk_size changes no unit of the protocol, and what some devices refuse all the same. */
const partOfBlock = (f: Flight, m: Completed): boolean => {
  const per = BigInt((m.granted.virtio?.blk.blockSize ?? sectorSize) / sectorSize);
  return f.request.ranges?.some((r) => r.sector % per !== 0n || BigInt(r.count) % per !== 0n) ?? false;
};
const kindOf = (f: Flight, m: Completed): string => {
  if (isLegacyType(f.request.type ?? 0)) return 'a legacy type';
  if (undefinedType(f)) return 'an undefined type';
  return `${typeName(f.request.type ?? -1)}${partOfBlock(f, m) ? ' of part of a block' : ''}`;
};

const judgeAnswer = (rule: Answer, m: Completed): Judged => {
  const status = statusOf(m);
  const flight = flightOf(m);
  if (status === undefined || flight === undefined) return { unknown: 'the status byte was not seen' };
  const type = typeName(flight.request.type ?? -1);
  return (
    rule.permits(status) || {
      kind: `${statusName(status)} for ${kindOf(flight, m)}`,
      expected: `${rule.expected} for ${type}`,
      saw: statusName(status),
    }
  );
};

export const operationClauses: readonly Clause<BlkGhost>[] = [
  ...answers.map((rule) =>
    clause({
      id: rule.id,
      cite: rule.cite ?? requirements,
      level: rule.level,
      binds: 'device',
      says: rule.says,
      on: ['virtq.completed'],
      needs,
      harm: rule.harm,
      scope: completedScope,
      ...(rule.always ? { always: rule.always } : {}),
      ...(rule.feature ? { feature: rule.feature } : {}),
      // A status that is no status is the business of virtio.blk.status.written alone.
      when: (m) => {
        const flight = flightOf(m);
        if (flight === undefined || (flight.disturbed && !rule.always) || !rule.speaks(flight, m)) return false;
        const status = statusOf(m);
        return status === undefined || (status <= S.UNSUPP && status !== flight.request.statusBefore);
      },
      holds: (m) => judgeAnswer(rule, m),
    }),
  ),
  clause({
    id: 'virtio.blk.status.written',
    cite: form,
    level: 'must',
    binds: 'device',
    says: 'the last device-writable byte of a used request holds OK, IOERR or UNSUPP',
    on: ['virtq.completed'],
    needs,
    harm: 'wrong-data',
    scope: completedScope,
    blind: 'a status byte that already held a status is not seen to be written',
    when: (m) => {
      const flight = flightOf(m);
      if (flight?.request.type === undefined || flight.disturbed || negotiated(m.before, 'ZONED') === true) return false;
      const before = flight.request.statusBefore;
      return before === undefined || before > S.UNSUPP || statusOf(m) !== before;
    },
    holds: (m) => {
      const status = statusOf(m);
      if (status === undefined) return { unknown: 'the status byte was not seen' };
      const kind = status === flightOf(m)?.request.statusBefore ? 'not written' : 'no such status';
      return status <= S.UNSUPP || { kind, expected: 'OK, IOERR or UNSUPP', saw: statusName(status) };
    },
  }),
];
