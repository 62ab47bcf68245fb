// The disk as a set: every content each sector may still have, given what was written, refused, seen and left in flight.
// VIRTIO 1.4 gives requests in flight together no order, so a byte may come from any of them; completion removes what is older.

import { sectorSize } from './layout.ts';

/** What a sector may hold, and from when. `seen` and `initial` are rest states; the others come from a request. */
export interface Content {
  readonly origin: 'initial' | 'seen' | 'write' | 'zeroes' | 'discard' | 'doubtful';
  /** Bytes of the range that starts at sector `first`; undefined: anything. */
  readonly bytes: Uint8Array | 'pattern' | 'zeroes' | undefined;
  readonly first: number;
  /** Tick at which it can no longer land: Infinity while its request is in flight. */
  done: number;
  /** A reset took its request: it lands at any time or never, until a later write is complete. No text says when (Device Reset). */
  abandoned?: true;
}
interface Held {
  readonly content: Content;
  /** Tick at which a later write replaced it: only reads from before may still return it. */
  gone: number;
}
interface Sector {
  held: Held[];
  /** Tick since which nothing older can be there. */
  cleared: number;
  /** A request that had to leave the sector alone named it since the last change. */
  refused: 'read-only' | 'unsupp' | undefined;
}
export interface Disk {
  readonly sectors: Map<number, Sector>;
  /** Sectors below this hold the pattern unless said otherwise. */
  patterned: number;
  /** Chains that nobody can read: each may have changed any sector until it is done. */
  readonly wild: { done: number; readonly queue: number; abandoned?: true }[];
  /** Reads in flight: while there are any, replaced contents are kept. */
  reads: number;
}

export const newDisk = (patterned: number): Disk => ({ sectors: new Map(), patterned, wild: [], reads: 0 });

const zeroes: Uint8Array = new Uint8Array(sectorSize);
/** 256 words of 16 bits a sector: the pattern repeats every 65536 / 256 sectors. */
const patterns: readonly Uint8Array[] = Array.from({ length: 256 }, (_, s) =>
  Uint8Array.from({ length: sectorSize }, (_, i) => (i % 2 === 0 ? i / 2 : s)),
);
export const patternOf = (sector: number): Uint8Array => patterns[sector % 256] ?? zeroes;

const bytesOf = (c: Content, sector: number): Uint8Array | undefined =>
  c.bytes === 'pattern'
    ? patternOf(sector)
    : c.bytes === 'zeroes'
      ? zeroes
      : c.bytes?.subarray((sector - c.first) * sectorSize, (sector - c.first + 1) * sectorSize);

const initial = (disk: Disk, sector: number): Content => ({
  origin: 'initial',
  bytes: sector < disk.patterned ? 'pattern' : undefined,
  first: sector,
  done: -1,
});
const sectorOf = (disk: Disk, sector: number): Sector =>
  disk.sectors.get(sector) ?? { held: [{ content: initial(disk, sector), gone: Infinity }], cleared: -1, refused: undefined };
const change = (disk: Disk, sector: number): Sector => {
  const s = sectorOf(disk, sector);
  disk.sectors.set(sector, s);
  return s;
};

/** A request that may change these sectors is in flight. */
export const begin = (disk: Disk, content: Content, from: number, count: number): void => {
  for (let s = from; s < from + count; s++) {
    const sector = change(disk, s);
    sector.refused = undefined;
    sector.held.push({ content, gone: Infinity });
  }
};

/** The request succeeded: nothing that was at rest when it was submitted can still be there. */
export const succeed = (disk: Disk, content: Content, from: number, count: number, submitted: number, now: number): void => {
  for (let s = from; s < from + count; s++) {
    const sector = change(disk, s);
    for (const h of sector.held) if (h.content !== content && h.content.done < submitted && h.gone === Infinity) h.gone = now;
    if (disk.reads === 0) sector.held = sector.held.filter((h) => h.gone === Infinity);
    sector.cleared = Math.max(sector.cleared, submitted);
  }
};

/** The request had to leave these sectors alone. */
export const refuse = (disk: Disk, content: Content | undefined, from: number, count: number, why: 'read-only' | 'unsupp'): void => {
  for (let s = from; s < from + count; s++) {
    const sector = change(disk, s);
    sector.held = sector.held.filter((h) => h.content !== content);
    sector.refused = why;
  }
};

/** The disk ends here: what lay beyond is lost, and what a later growth adds is unknown. */
export const truncate = (disk: Disk, sectors: number): void => {
  disk.patterned = Math.min(disk.patterned, sectors);
  for (const s of disk.sectors.keys()) if (s >= sectors) disk.sectors.delete(s);
};

/** What a read that was submitted then may find in a sector. `contents` absent: anything. */
export interface Permitted {
  readonly contents?: readonly Uint8Array[];
  readonly origins: ReadonlySet<Content['origin']>;
  readonly refused: Sector['refused'];
  /** Nothing could change the sector since the read was submitted. */
  readonly still: boolean;
}
const alone: Readonly<Record<Content['origin'], ReadonlySet<Content['origin']>>> = {
  initial: new Set(['initial']),
  seen: new Set(['seen']),
  write: new Set(['write']),
  zeroes: new Set(['zeroes']),
  discard: new Set(['discard']),
  doubtful: new Set(['doubtful']),
};
export const permitted = (disk: Disk, sector: number, submitted: number): Permitted => {
  const s = sectorOf(disk, sector);
  const [only] = s.held;
  if (s.held.length === 1 && only !== undefined && only.gone > submitted && disk.wild.length === 0) {
    // One content and no doubt: what most sectors are, told without lists.
    const bytes = bytesOf(only.content, sector);
    const origins = alone[only.content.origin];
    const still = only.content.done < submitted && only.content.origin !== 'discard';
    return bytes === undefined ? { origins, refused: s.refused, still } : { contents: [bytes], origins, refused: s.refused, still };
  }
  const held = s.held.filter((h) => h.gone > submitted).map((h) => h.content);
  const wild = disk.wild.filter((w) => w.done >= s.cleared);
  const contents = held.map((c) => bytesOf(c, sector));
  const known = contents.filter((c) => c !== undefined);
  return {
    ...(known.length === contents.length && wild.length === 0 ? { contents: known } : {}),
    origins: new Set(held.map((c) => c.origin)),
    refused: s.refused,
    still: held.every((c) => c.done < submitted && c.origin !== 'discard') && wild.every((w) => w.done < submitted),
  };
};

/** First byte that none of the contents has there, or -1. Without sector atomicity each byte stands for itself. */
export const firstForeign = (bytes: Uint8Array, contents: readonly Uint8Array[]): number => {
  const [one] = contents;
  if (one === undefined) return bytes.length > 0 ? 0 : -1;
  for (let i = 0; i < bytes.length; i++)
    if (bytes[i] !== one[i] && (contents.length < 2 || !contents.some((c) => c[i] === bytes[i]))) return i;
  return -1;
};

/** A read returned these bytes while no request in flight could change the sector: that is what it holds, until something abandoned lands. */
export const learn = (disk: Disk, sector: number, bytes: Uint8Array, submitted: number): void => {
  const s = change(disk, sector);
  if (disk.wild.some((w) => w.abandoned && w.done >= s.cleared)) return;
  const abandoned = s.held.filter((h) => h.content.abandoned);
  // Another read in flight may have been served before it landed.
  if (abandoned.length > 0 && disk.reads > 1) return;
  const origin = s.held.length === 1 && s.held[0]?.content.origin !== 'doubtful' ? (s.held[0]?.content.origin ?? 'seen') : 'seen';
  const done = s.held.reduce((t, h) => Math.max(t, h.content.done), -1);
  s.held = [{ content: { origin, bytes, first: sector, done }, gone: Infinity }, ...abandoned];
  s.cleared = Math.max(s.cleared, submitted);
};
