// What the driver owes a block device: request forms, lengths, ranges, limits; configuration writes.
// VIRTIO 1.4, Block Device, Device Operation (driver requirements). Past a broken duty the queue owes nothing until reset.

import type { Duty, Judged, Moment } from '../../clause.ts';
import { dutyOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import { once } from '../once.ts';
import type { VirtioDerived } from '../vocabulary.ts';
import type { BlkGhost } from './ghost.ts';
import { fieldOf, inside, negotiated } from './ghost.ts';
import type { FieldName } from './layout.ts';
import { field, headerSize, idSize, sectorSize, segmentSize, T, typeName } from './layout.ts';
import type { Request } from './request.ts';
import { parse } from './request.ts';

type Submitted = Extract<VirtioDerived, { saw: 'virtq.submitted' }>;
/** The request behind a submission, read once: duties and ghost see the same bytes. */
export const requestOf: (m: Moment<BlkGhost, Submitted>) => Request = once((m) => parse(m.event.chain, m.memory));

interface Rule {
  readonly id: string;
  readonly says: string;
  readonly cite: Citation;
  /** Types it speaks of; absent: all that can be read. */
  readonly of?: readonly number[];
  readonly keeps: (r: Request, g: BlkGhost) => Judged;
}
const operation = virtio('Device Types / Block Device / Device Operation', 'driver requirements');
const form = virtio('Device Types / Block Device / Device Operation', 'struct virtio_blk_req');
const bits = virtio('Device Types / Block Device / Feature bits');
const erases: readonly number[] = [T.DISCARD, T.WRITE_ZEROES, T.SECURE_ERASE];
const outward: readonly number[] = [T.OUT, ...erases];
const inward: readonly number[] = [T.IN, T.GET_ID, T.GET_LIFETIME];

const objection = (kind: string, expected: string, saw: string): Judged => ({ kind, expected, saw });
/** data segments: descriptors that carry any data byte. */
const dataPieces = (r: Request): readonly { readonly length: number }[] => [...r.readable, ...r.writable];
/** A limit nobody read: no text forbids going past it blindly except for segment counts, so only those answer unknown. */
const atMost = (g: BlkGhost, name: FieldName, value: number): Judged => {
  const limit = fieldOf(g, name);
  return limit === undefined || value <= limit || objection('over limit', `at most ${limit} (${name})`, `${value}`);
};
const segments = (g: BlkGhost, r: Request, name: FieldName): Judged => {
  const count = Math.floor(r.readableLength / segmentSize);
  if (count > 1 && fieldOf(g, name) === undefined) return { unknown: `${name} was not read` };
  return count <= 1 || atMost(g, name, count);
};

// Not here because the device's answer is stated, so that breaking them is judged instead of forgiven: unmap or unknown flags (UNSUPP),
// writes to a read-only device (IOERR), zone commands without ZONED (UNSUPP), unknown types. Data in a FLUSH is only a SHOULD NOT.
const rules: readonly Rule[] = [
  {
    id: 'virtio.blk.driver.form',
    says: 'a request has a whole header, a status byte, and data only in the direction of its type',
    cite: form,
    keeps: (r) => {
      const header = r.readableLength > 0 || r.chain.readable.reduce((n, s) => n + s.length, 0) >= headerSize;
      if (!header) return objection('no header', '16 device-readable bytes of header', 'fewer');
      if (r.statusAt === undefined) return objection('no status', 'a device-writable status byte', 'none');
      if (r.type === undefined) return { unknown: 'the header lies in memory that is not known' };
      if (inward.includes(r.type) && r.readableLength > 0) return objection('direction', 'device-writable data', 'device-readable data');
      if (outward.includes(r.type) && r.writableLength > 0) return objection('direction', 'device-readable data', 'device-writable data');
      return true;
    },
  },
  {
    id: 'virtio.blk.driver.range',
    says: 'a request stays inside capacity',
    cite: operation,
    of: [T.IN, T.OUT, ...erases],
    keeps: (r, g) => {
      if (r.ranges === undefined) return { unknown: 'the segments lie in memory that is not known' };
      const where = r.ranges.map((range) => inside(g, range));
      if (where.includes(false))
        return objection('beyond capacity', `end at most ${Math.max(...g.capacities)}`, `a range past it in ${typeName(r.type ?? 0)}`);
      return where.includes(undefined) ? { unknown: 'capacity is not known' } : true;
    },
  },
  {
    id: 'virtio.blk.driver.sectors',
    says: 'data of IN and OUT is a multiple of 512 bytes',
    cite: operation,
    of: [T.IN, T.OUT],
    keeps: (r) => {
      const length = r.readableLength + r.writableLength;
      return length % sectorSize === 0 || objection('length', 'a multiple of 512', `${length} bytes`);
    },
  },
  {
    id: 'virtio.blk.driver.segment-size',
    says: 'data of discard, write zeroes and secure erase is a multiple of 16 bytes',
    cite: operation,
    of: erases,
    keeps: (r) =>
      r.readableLength === 0
        ? { unknown: 'whether a request without a segment is permitted' }
        : r.readableLength % segmentSize === 0 || objection('length', 'a multiple of 16', `${r.readableLength} bytes`),
  },
  {
    id: 'virtio.blk.driver.id-size',
    says: 'data of GET_ID is 20 bytes',
    cite: operation,
    of: [T.GET_ID],
    keeps: (r) => r.writableLength === idSize || objection('length', '20 bytes', `${r.writableLength} bytes`),
  },
  {
    id: 'virtio.blk.driver.flush-sector',
    says: 'sector is 0 in FLUSH',
    cite: operation,
    of: [T.FLUSH],
    keeps: (r) => r.sector === 0n || objection('sector', '0', `${r.sector}`),
  },
  {
    id: 'virtio.blk.driver.discard-segments',
    says: 'at most max_discard_seg segments',
    cite: operation,
    of: [T.DISCARD],
    keeps: (r, g) => segments(g, r, 'max_discard_seg'),
  },
  {
    id: 'virtio.blk.driver.zeroes-segments',
    says: 'at most max_write_zeroes_seg segments',
    cite: operation,
    of: [T.WRITE_ZEROES],
    keeps: (r, g) => segments(g, r, 'max_write_zeroes_seg'),
  },
  {
    id: 'virtio.blk.driver.erase-segments',
    says: 'at most max_secure_erase_seg segments',
    cite: operation,
    of: [T.SECURE_ERASE],
    keeps: (r, g) => segments(g, r, 'max_secure_erase_seg'),
  },
  {
    id: 'virtio.blk.driver.segment-limit',
    says: 'with SEG_MAX, at most seg_max data segments; with SIZE_MAX, none above size_max bytes',
    cite: bits,
    of: [T.IN, T.OUT],
    keeps: (r, g) => {
      const pieces = dataPieces(r);
      const count = negotiated(g, 'SEG_MAX') ? atMost(g, 'seg_max', pieces.length) : true;
      if (count !== true) return count;
      return negotiated(g, 'SIZE_MAX') ? atMost(g, 'size_max', Math.max(0, ...pieces.map((p) => p.length))) : true;
    },
  },
];
/** Rules by type of request: a request is asked only for its own. */
const ofType = new Map<number | undefined, readonly Rule[]>();
const rulesFor = (r: Request): readonly Rule[] => {
  const key = r.type !== undefined && r.type <= 0xff ? r.type : undefined;
  if (key !== r.type) return rules.filter((rule) => speaksOf(rule, r));
  let known = ofType.get(key);
  if (known === undefined) ofType.set(key, (known = rules.filter((rule) => speaksOf(rule, r))));
  return known;
};
const speaksOf = (rule: Rule, r: Request): boolean => rule.of === undefined || (r.type !== undefined && rule.of.includes(r.type));

/** Limits without a normative sentence of their own: whoever passes them cannot complain of a refusal. */
const limits: readonly (readonly [type: number, sectors: FieldName, alignment?: FieldName])[] = [
  [T.DISCARD, 'max_discard_sectors', 'discard_sector_alignment'],
  [T.WRITE_ZEROES, 'max_write_zeroes_sectors'],
  [T.SECURE_ERASE, 'max_secure_erase_sectors', 'secure_erase_sector_alignment'],
];
const inLimits = (r: Request, g: BlkGhost): boolean | undefined => {
  const limit = limits.find(([type]) => type === r.type);
  if (limit === undefined) return true;
  const most = fieldOf(g, limit[1]);
  const step = limit[2] === undefined ? 1 : fieldOf(g, limit[2]);
  if (most === undefined || step === undefined) return undefined;
  const grain = BigInt(Math.max(1, step));
  return r.ranges?.every((s) => s.count > 0 && s.count <= most && s.sector % grain === 0n && BigInt(s.count) % grain === 0n);
};

/** Whether a request keeps every duty and announced limit; undefined where that is not known. */
export const legality = (r: Request, g: BlkGhost): boolean | undefined => {
  const told = rulesFor(r).map((rule) => rule.keeps(r, g));
  if (told.some((t) => t !== true && !('unknown' in t))) return false;
  const pieces = r.type === T.IN || r.type === T.OUT ? dataPieces(r).length : 0;
  const unread =
    (pieces > 1 && negotiated(g, 'SEG_MAX') && fieldOf(g, 'seg_max') === undefined) ||
    (pieces > 0 && negotiated(g, 'SIZE_MAX') && fieldOf(g, 'size_max') === undefined);
  const limited = inLimits(r, g);
  if (limited === false) return false;
  return told.some((t) => t !== true) || limited === undefined || unread ? undefined : true;
};

const duty = dutyOf<BlkGhost>();
const requestDuty = (rule: Rule): Duty<BlkGhost> =>
  duty({
    id: rule.id,
    cite: rule.cite,
    says: rule.says,
    on: ['virtq.submitted'],
    keeps: (m) => {
      const r = requestOf(m);
      return !speaksOf(rule, r) || rule.keeps(r, m.before);
    },
    // A device may answer a driver error by DEVICE_NEEDS_RESET, which stops all its queues.
    taints: () => 'device:0',
  });

/** Only `writeback` is for the driver to write, once CONFIG_WCE is negotiated. */
const configWrites: Duty<BlkGhost> = duty({
  id: 'virtio.blk.driver.config-write',
  cite: operation,
  says: 'the driver writes nothing in the configuration but 0 or 1 to writeback, with CONFIG_WCE negotiated',
  on: ['virtio.config.write'],
  keeps: (m) => {
    const { at, bytes } = m.event;
    const wce = negotiated(m.before, 'CONFIG_WCE');
    if (bytes.length === 0) return true;
    if (at !== field.writeback[0] || bytes.length !== 1) return objection('field', 'writeback alone', `${bytes.length} bytes at ${at}`);
    if (wce !== true) return objection('feature', 'CONFIG_WCE negotiated', wce === false ? 'it is not' : 'features not yet negotiated');
    return (bytes[0] ?? 2) <= 1 || objection('value', '0 or 1', `${bytes[0]}`);
  },
  taints: () => 'device:0',
});

export const duties: readonly Duty<BlkGhost>[] = [...rules.map(requestDuty), configWrites];
