// Hand-made histories of a remapping unit for the tests of its spec: memory, registers and answers as events, and what the judge says.
// No target takes part; what a unit would answer is written down by the test.

import type { Area } from '../../spec/clause.ts';
import type { Capability, Gpa, Granted, Iova } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { vtd } from '../../spec/vt-d/index.ts';
import type { Requester, VtdMachine } from '../../spec/vt-d/vocabulary.ts';
import { createJudge } from '../judge.ts';

/** QEMU's profile with device TLBs, address width 48. */
export const CAP: bigint = 0xd2008c222f0606n;
export const ECAP: bigint = 0xf00f4en;
/** Everything the spec knows of: scalable mode with first stage, nesting, PASID, page requests. */
export const ECAP_FULL: bigint =
  ECAP |
  (1n << 4n) |
  (1n << 26n) |
  (1n << 29n) |
  (1n << 30n) |
  (1n << 31n) |
  (19n << 35n) |
  (1n << 40n) |
  (1n << 42n) |
  (1n << 43n) |
  (1n << 46n) |
  (1n << 47n) |
  (1n << 49n);
export const requesters: readonly Requester[] = [
  {
    sourceId: 0x0010,
    kind: 'endpoint',
    can: ['read', 'read.bytes', 'write', 'atomic', 'msi', 'ats', 'pri', 'pasid', 'translated', 'config'],
  },
  { sourceId: 0x0018, kind: 'endpoint', can: ['read', 'write', 'msi'] },
  { sourceId: 0x0011, kind: 'endpoint', can: ['read', 'write', 'msi', 'config'], physical: 0 },
];
const SIZE = 0x40000;

export interface Bench {
  readonly see: (event: Event) => void;
  readonly findings: string[];
  /** Findings since the last call. */
  readonly news: () => readonly string[];
  readonly tally: (id: string) => { readonly kept: number; readonly broken: number; readonly unknown: number };
  readonly breaches: () => readonly string[];
  readonly words: (at: number, ...words: bigint[]) => void;
  readonly write: (at: number, value: bigint | number, width?: 4 | 8) => void;
  readonly read: (at: number, value: bigint | number, width?: 4 | 8) => void;
  readonly settle: () => void;
  readonly dmaWrite: (at: number | bigint, outcome: 'completed' | 'blocked' | 'unseen', lands?: number, requester?: number) => void;
  readonly dmaRead: (at: number | bigint, outcome: 'completed' | 'blocked' | 'unseen', bytes?: Uint8Array, requester?: number) => void;
  /** A command to its end: GCMD_REG and then GSTS_REG. */
  readonly command: (value: number, status: number) => void;
}
export const bench = (cap: bigint = CAP, ecap: bigint = ECAP, more: Partial<VtdMachine> = {}): Bench => {
  const granted: Granted = {
    memory: { size: SIZE, fill: 0, seen: 'ordered' },
    level: 'agent',
    reset: 'process',
    offers: [
      'vt-d',
      'vt-d.register',
      'vt-d.dma',
      'vt-d.interrupt',
      'vt-d.ats',
      'vt-d.pri',
      'memory.seen',
      'sriov',
    ] as readonly Capability[],
    vtd: { cap, ecap, hostAddressWidth: 48, requesters, ...more },
  };
  const judge = createJudge([vtd as unknown as Area<never>]);
  judge.reset(granted);
  const findings: string[] = [];
  let told = 0;
  const see = (event: Event): void => {
    for (const f of judge.see(event)) findings.push(f.clause);
  };
  const write = (at: number, value: bigint | number, width: 4 | 8 = 4): void => see({ do: 'vtd.write', at, width, value: BigInt(value) });
  const read = (at: number, value: bigint | number, width: 4 | 8 = 4): void => {
    see({ do: 'vtd.read', at, width });
    see({ saw: 'vtd.register', at, width, value: BigInt(value) });
  };
  // Functions with a configuration space make requests once they may master the bus.
  for (const requester of [0, 2]) see({ do: 'function.config.write', requester, at: 4, width: 2, value: 4 });
  let serial = 1;
  return {
    see,
    findings,
    news: () => findings.slice(told, (told = findings.length)),
    tally: (id) => judge.tallies.get(id) ?? { kept: 0, broken: 0, unknown: 0 },
    breaches: () => judge.breaches.map((b) => b.duty),
    words: (at, ...words) => {
      const bytes = new Uint8Array(words.length * 8);
      words.forEach((w, i) => {
        new DataView(bytes.buffer).setBigUint64(i * 8, w, true);
      });
      see({ do: 'memory.write', at: BigInt(at) as Gpa, bytes });
    },
    write,
    read,
    settle: () => {
      see({ do: 'settle' });
      see({ saw: 'settled', by: 'sync' });
    },
    dmaWrite: (at, outcome, lands, requester = 0) => {
      const bytes = Uint8Array.of(serial & 0xff, 0xa5, 0x5a, serial >> 8);
      serial++;
      see({ do: 'dma.write', requester, at: BigInt(at) as Iova, bytes });
      if (lands !== undefined) see({ saw: 'memory.changed', writes: [{ at: BigInt(lands) as Gpa, bytes }] });
      see({ saw: 'dma.done', requester, outcome });
    },
    dmaRead: (at, outcome, bytes, requester = 0) => {
      see({ do: 'dma.read', requester, at: BigInt(at) as Iova, length: bytes?.length ?? 4 });
      see({ saw: 'dma.done', requester, outcome, ...(bytes === undefined ? {} : { bytes }) });
    },
    command: (value, status) => {
      write(0x18, value);
      read(0x1c, status);
    },
  };
};
/** Where the tables of the legacy tests stand. */
export const ROOT = 0x1000;
export const CONTEXT = 0x2000;
export const L4 = 0x3000;
export const L3 = 0x4000;
export const L2 = 0x5000;
export const L1 = 0x6000;
/** Root, contexts of both requesters (domain 1, 4 levels), one page table: page 1 to 0x10000 read-write, 2 read-only, 3 write-only. */
export const legacyTables = (b: Bench): void => {
  b.words(ROOT, BigInt(CONTEXT) | 1n, 0n);
  b.words(CONTEXT + 0x10 * 16, BigInt(L4) | 1n, (1n << 8n) | 2n);
  b.words(CONTEXT + 0x18 * 16, BigInt(L4) | 1n, (2n << 8n) | 2n);
  b.words(L4, BigInt(L3) | 3n);
  b.words(L3, BigInt(L2) | 3n);
  b.words(L2, BigInt(L1) | 3n);
  b.words(L1 + 8, 0x10003n, 0x11001n, 0x12002n);
};
/** Lays tables out and writes each word once: a unit may have fetched any value that ever stood there. */
export const written = (b: Bench, ...tables: readonly ((b: Bench) => void)[]): void => {
  const words = new Map<number, bigint>();
  const desk: Bench = { ...b, words: (at, ...values) => values.forEach((value, i) => words.set(at + 8 * i, value)) };
  for (const table of tables) table(desk);
  for (const [at, value] of words) b.words(at, value);
};
/** `spoil` edits the tables before they are written. */
export const legacyOn = (b: Bench, spoil: (b: Bench) => void = () => undefined): void => {
  written(b, legacyTables, spoil);
  b.write(0x20, ROOT, 8);
  b.command(0x40000000, 0x40000000);
  b.command(0x80000000, 0xc0000000);
};
export const DIRECTORY: number = 0x8000;
export const PASIDS = 0x9000;
export const TABLE = 0xa000;
/** Scalable mode; requester 0 translates by the first stage with PASID 0; page 1 leads to 0x10000, page 2 read-only, page 3 supervisor. */
const scalableTables = (b: Bench): void => {
  b.words(ROOT, BigInt(CONTEXT) | 1n, 0n);
  b.words(CONTEXT + 0x10 * 32, BigInt(DIRECTORY) | 9n, 0n, 0n, 0n);
  b.words(DIRECTORY, BigInt(PASIDS) | 1n);
  b.words(PASIDS, 0x41n, 1n, BigInt(TABLE), 0n, 0n, 0n, 0n, 0n);
  b.words(TABLE, BigInt(TABLE + 0x1000) | 7n);
  b.words(TABLE + 0x1000, BigInt(TABLE + 0x2000) | 7n);
  b.words(TABLE + 0x2000, BigInt(TABLE + 0x3000) | 7n);
  b.words(TABLE + 0x3008, 0x10007n, 0x11005n, 0x12003n);
};
export const scalableOn = (b: Bench, spoil: (b: Bench) => void = () => undefined): void => {
  written(b, scalableTables, spoil);
  b.write(0x20, BigInt(ROOT) | 0x400n, 8);
  b.command(0x40000000, 0x40000000);
  b.command(0x80000000, 0xc0000000);
};
