// Which devices make a requester's memory requests, where they sit, and how the bus comes to reach them.
// A whole requester is a PCI Express to PCI bridge: what is behind it shares its requester ID, so several devices are one requester.

import type { Requester, RequesterAbility } from '../../../../spec/vt-d/vocabulary.ts';
import { type Access, cardEngine, fillEngine, listEngine, type Refused } from './engines.ts';

/** A requester as commands to its devices. Longer or farther requests than its devices can make are refused. */
export interface Station {
  readonly args: readonly string[];
  /** Commands that make it work after a reset, together with those of `select`. */
  setUp(): readonly string[];
  /** What depends on the answer to the last of `setUp`. */
  select(answer: string | undefined): readonly string[];
  read(at: bigint, length: number): Access | Refused;
  write(at: bigint, bytes: Uint8Array): Access | Refused;
  msi(address: bigint, data: number): Access | Refused;
}

/** Slot of the log's function; bridges go from `bridgeSlot` up, functions of bus 0 between the two. */
export const logSlot = 3;
const bridgeSlot = 16;
const bridgeMax = 8;
const windowAt = 0xe000_0000;
const windowSize = 0x100_0000;

const width = { b: 1, w: 2, l: 4 } as const;
const config = (bus: number, slot: number, at: number, value: number, size: keyof typeof width = 'l'): readonly string[] => [
  `outl 0xcf8 ${0x8000_0000 + bus * 0x1_0000 + slot * 0x800 + (at & 0xfc)}`,
  `out${size} ${0xcfc + (at & 3)} ${value}`,
];
const memoryAndMaster = 6;
/** BARs from the first on, then memory space and bus mastering. */
const function_ = (bus: number, slot: number, bars: readonly number[]): readonly string[] => [
  ...bars.flatMap((bar, i) => config(bus, slot, 0x10 + 4 * i, bar)),
  ...config(bus, slot, 0x04, memoryAndMaster, 'w'),
];
/** Message Control of the fill engine's MSI-X capability. */
const enableMessages = (bus: number, slot: number): readonly string[] => config(bus, slot, 0x42, 0x8000, 'w');

const wide = 2n ** 32n;
const refused = (what: string): Refused => ({ refused: what });

const card = (n: number, bus: string, slot: number): readonly string[] =>
  [
    ['-blockdev', `driver=null-co,size=1048576,read-zeroes=off,node-name=card${n}`],
    ['-device', `sdhci-pci,id=sd${n},bus=${bus},addr=0x${slot.toString(16)}`],
    ['-device', `sd-card,drive=card${n},bus=${bus}/sd${n}/sd-bus`],
  ].flat();

const bridged = (n: number, bus: number): Station => {
  const at = windowAt + n * windowSize;
  const fill = fillEngine(at, at + 0x2000);
  const list = listEngine(at + 0x4000);
  const data = cardEngine(at + 0x8000);
  const slot = bridgeSlot + n;
  return {
    args: [
      ['-device', `pcie-pci-bridge,id=bridge${n},addr=0x${slot.toString(16)}`],
      ['-device', `rocker,bus=bridge${n},addr=1,name=fill${n}`],
      ['-device', `intel-hda,bus=bridge${n},addr=2`],
      ...card(n, `bridge${n}`, 3),
    ].flat(),
    setUp: () => [
      ...config(0, slot, 0x18, (bus << 16) | (bus << 8)),
      ...config(0, slot, 0x20, (((at + windowSize - 1) & 0xfff0_0000) | (at >>> 16)) >>> 0),
      ...config(0, slot, 0x04, memoryAndMaster, 'w'),
      ...function_(bus, 1, [at, at + 0x2000]),
      ...enableMessages(bus, 1),
      ...function_(bus, 2, [at + 0x4000, 0]),
      ...function_(bus, 3, [at + 0x8000]),
      ...list.setUp(),
      ...data.setUp(),
    ],
    select: data.select,
    read: (from, length) => (from + BigInt(length) <= wide ? data.read(from, length) : list.read(from, length)),
    write: (to, bytes) => {
      const filled = fill.fill(to, bytes);
      if (!('refused' in filled)) return filled;
      // Two commands instead of three, and any address.
      const message = fill.dword(to, bytes);
      return 'refused' in message && to + BigInt(bytes.length) <= wide ? data.write(to, bytes) : message;
    },
    msi: (address, value) => fill.message(address, value),
  };
};
const rootFill = (n: number, slot: number): Station => {
  const at = windowAt + n * windowSize;
  const fill = fillEngine(at, at + 0x2000);
  return {
    args: ['-device', `rocker,bus=pcie.0,addr=0x${slot.toString(16)},name=fill${n}`],
    setUp: () => [...function_(0, slot, [at, at + 0x2000]), ...enableMessages(0, slot)],
    select: () => [],
    read: () => refused('this requester only writes'),
    write: (to, bytes) => {
      const filled = fill.fill(to, bytes);
      return 'refused' in filled ? fill.dword(to, bytes) : filled;
    },
    msi: (address, value) => fill.message(address, value),
  };
};
const rootCard = (n: number, slot: number): Station => {
  const at = windowAt + n * windowSize;
  const data = cardEngine(at);
  return {
    args: card(n, 'pcie.0', slot),
    setUp: () => [...function_(0, slot, [at]), ...data.setUp()],
    select: data.select,
    read: (from, length) => data.read(from, length),
    write: (to, bytes) => data.write(to, bytes),
    msi: () => refused('this requester raises no message of any address'),
  };
};

interface Sort {
  readonly can: readonly RequesterAbility[];
  readonly build: (n: number, place: number) => Station;
}
const behindBridge: Sort = { can: ['read', 'read.bytes', 'write', 'msi'], build: bridged };
const onRoot: readonly Sort[] = [
  { can: ['write', 'msi'], build: rootFill },
  { can: ['read', 'read.bytes', 'write'], build: rootCard },
];

/** The n-th requester of the machine, or why there is none like it. */
export const station = (r: Requester, n: number): Station | { readonly unsupported: string } => {
  const bus = r.sourceId >> 8;
  const slot = (r.sourceId >> 3) & 31;
  const named = `requester ${n}`;
  if (n >= bridgeMax) return { unsupported: `${named}: at most ${bridgeMax} are possible` };
  if (r.physical !== undefined) return { unsupported: `${named}: a virtual function` };
  if (bus !== 0 && (r.sourceId & 0xff) !== 0) return { unsupported: `${named}: beyond bus 0 only device 0, function 0, a bridge` };
  if (bus === 0 && ((r.sourceId & 7) !== 0 || slot <= logSlot || slot >= bridgeSlot))
    return { unsupported: `${named}: on bus 0 only function 0 of devices ${logSlot + 1} to ${bridgeSlot - 1}` };
  if (r.kind !== (bus === 0 ? 'endpoint' : 'bridge'))
    return { unsupported: `${named}: ${r.kind} on bus ${bus}: endpoints are possible on bus 0, bridges beyond it` };
  const sort = (bus === 0 ? onRoot : [behindBridge]).find((s) => r.can.every((c) => s.can.includes(c)));
  if (sort === undefined) return { unsupported: `${named}: no device here can ${r.can.join(', ')}` };
  return sort.build(n, bus === 0 ? slot : bus);
};
