// What a successful read returns: for each sector, something the disk may hold by what was written, zeroed, refused and seen.
// VIRTIO 1.4, Block Device, Device Operation. One comparison, asked by one clause for each reason the content is known.

import type { Clause, Harm } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import { once } from '../once.ts';
import type { Permitted } from './disk.ts';
import { firstForeign, permitted } from './disk.ts';
import type { BlkGhost } from './ghost.ts';
import { inside, negotiated } from './ghost.ts';
import { idSize, S, sectorSize, T } from './layout.ts';
import type { Completed } from './operation.ts';
import { completedScope, flightOf, needs, requirements, statusOf } from './operation.ts';
import { gather, slice } from './request.ts';

const clause = clauseOf<BlkGhost>();
const operation: Citation = virtio('Device Types / Block Device / Device Operation');

/** Why the content of a sector is known. A refusal outweighs a write: it is the later event. */
const reasonOf = (p: Permitted): 'read-only' | 'unsupp' | 'zeroes' | 'write' | 'rest' => {
  if (p.refused) return p.refused;
  if (p.origins.has('write')) return 'write';
  return p.origins.has('zeroes') ? 'zeroes' : 'rest';
};

interface Sector {
  readonly sector: number;
  readonly index: number;
  readonly contents: readonly Uint8Array[];
  readonly reason: ReturnType<typeof reasonOf>;
}
/** The sectors of a successful IN whose content is known, and why; found once a completion, asked by every clause. */
const knownSectors: (m: Completed) => readonly Sector[] = once((m) => {
  const flight = flightOf(m);
  const range =
    flight?.request.type === T.IN && flight.legal !== false && !flight.disturbed && !flight.resized
      ? flight.request.ranges?.[0]
      : undefined;
  if (flight === undefined || range === undefined || statusOf(m) !== S.OK || inside(m.before, range) === false) return [];
  // With a zone model, unwritten data and write pointers have rules of their own.
  if (negotiated(m.before, 'ZONED') === true) return [];
  const out: Sector[] = [];
  for (let index = 0; index < range.count; index++) {
    const sector = Number(range.sector) + index;
    const p = permitted(m.before.disk, sector, flight.submitted);
    if (p.contents) out.push({ sector, index, contents: p.contents, reason: reasonOf(p) });
  }
  return out;
});
const sectorsOf = (m: Completed, reason: Sector['reason']): readonly Sector[] => knownSectors(m).filter((s) => s.reason === reason);

interface Source {
  readonly id: string;
  readonly reason: ReturnType<typeof reasonOf>;
  readonly says: string;
  readonly cite: Citation;
  readonly harm: Harm;
}
const sources: readonly Source[] = [
  {
    id: 'virtio.blk.in.data',
    reason: 'rest',
    says: 'IN delivers the content of the sectors it names, all of it',
    cite: operation,
    harm: 'wrong-data',
  },
  { id: 'virtio.blk.out.data', reason: 'write', says: 'IN delivers what OUT wrote', cite: operation, harm: 'wrong-data' },
  {
    id: 'virtio.blk.zeroes.data',
    reason: 'zeroes',
    says: 'after write zeroes, reads of the range return zeroes',
    cite: requirements,
    harm: 'wrong-data',
  },
  {
    id: 'virtio.blk.read-only.data',
    reason: 'read-only',
    says: 'a refused write to a read-only device changes nothing',
    cite: requirements,
    harm: 'wrong-data',
  },
  {
    id: 'virtio.blk.unsupp.data',
    reason: 'unsupp',
    says: 'a segment refused for its flags changes nothing',
    cite: requirements,
    harm: 'wrong-data',
  },
];

const kinds = (bytes: Uint8Array): string => (bytes.every((b) => b === bytes[0]) ? `all 0x${(bytes[0] ?? 0).toString(16)}` : 'other data');

export const dataClauses: readonly Clause<BlkGhost>[] = [
  ...sources.map(({ id, reason, says, cite, harm }) =>
    clause({
      id,
      cite,
      level: 'must',
      binds: 'device',
      says,
      on: ['virtq.completed'],
      needs,
      harm,
      scope: completedScope,
      when: (m) => sectorsOf(m, reason).length > 0,
      holds: (m) => {
        const flight = flightOf(m);
        for (const { sector, index, contents } of sectorsOf(m, reason)) {
          const bytes = gather(m.memory, slice(flight?.request.writable ?? [], index * sectorSize, sectorSize));
          if (bytes === undefined) return { unknown: 'the data buffer was not seen' };
          const at = firstForeign(bytes, contents);
          if (at < 0) continue;
          const expected = contents.map((c) => `0x${(c[at] ?? 0).toString(16)}`).join(' or ');
          return {
            kind: 'foreign data',
            expected: `${expected} at byte ${at} of sector ${sector}`,
            saw: `0x${(bytes[at] ?? 0).toString(16)} (${kinds(bytes)})`,
          };
        }
        return true;
      },
    }),
  ),
  clause({
    id: 'virtio.blk.id.data',
    cite: operation,
    level: 'must',
    binds: 'device',
    says: 'GET_ID delivers the ID string, ASCII, padded with NUL to 20 bytes, the same each time',
    on: ['virtq.completed'],
    needs,
    harm: 'interop',
    scope: completedScope,
    when: (m) => {
      const flight = flightOf(m);
      return flight?.request.type === T.GET_ID && flight.legal === true && !flight.disturbed && statusOf(m) === S.OK;
    },
    holds: (m) => {
      const bytes = gather(m.memory, flightOf(m)?.request.writable ?? []);
      if (bytes === undefined) return { unknown: 'the data buffer was not seen' };
      const serial = m.granted.virtio?.blk.serial;
      const end = bytes.indexOf(0);
      const text = String.fromCharCode(...bytes.subarray(0, end < 0 ? idSize : end));
      if (end >= 0 && bytes.subarray(end, idSize).some((b) => b !== 0))
        return { kind: 'not padded', expected: 'NUL to the end', saw: 'other bytes after the first NUL' };
      if (bytes.some((b) => b > 127)) return { kind: 'not ASCII', expected: 'ASCII', saw: 'bytes above 127' };
      if (serial !== undefined && text !== serial.slice(0, idSize)) return { kind: 'ID', expected: `"${serial}"`, saw: `"${text}"` };
      const earlier = m.before.id;
      return (
        earlier === undefined ||
        earlier.every((b, i) => b === bytes[i]) || { kind: 'ID changed', expected: 'the same ID string', saw: `"${text}"` }
      );
    },
  }),
];
