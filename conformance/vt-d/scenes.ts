// Scenes: what random edits seldom bring about, each a request that has only one way to end, on tables of its own.
// VT-d 4.1, Fault Conditions; Interrupt Remapping Fault Conditions. Everything is invalidated before and after, so that nothing old is left.

import type { Iova } from '../../spec/units.ts';
import { fetched, oddSizes, pageAsked, privileged } from './asks.ts';
import { bit, REG, words } from './bits.ts';
import { type Scene, SCENES } from './scene-names.ts';
import { answered, interruptScene, overflow, pageEvent } from './interrupt-scenes.ts';
import { deepScenes, reservedBits } from './deep-scenes.ts';
import { pagingScenes } from './paging-scenes.ts';
import { everything, refusedCommand, resume } from './invalidate.ts';
import { setRoot } from './registers.ts';
import {
  addressOf,
  dataPage,
  type Device,
  fresh,
  has,
  is,
  once,
  PAGES,
  peek,
  pick,
  poke,
  read,
  type Software,
  turn,
  write,
} from './software.ts';
import { entryGone, rootAnew, used } from './stale-scenes.ts';
import { deviceForgets, nowhereStatus, protect, resetFunction, unanswered, withoutFunctions } from './unit-scenes.ts';

/** No memory stands there, and every unit's host address width reaches it. */
const nowhere = 0x4000_0000n;
export const PLACE = 0x1000n;
/** None of the domain-ids that spaces have. */
export const DOMAIN = 11n;
/** Pages of a scene: root, context, PASID directory and table, four levels; two of the second stage under a first. */
export const SCENE_PAGES = 10;

/** What a scene changes of tables that would let the request through. */
export interface Change {
  readonly first?: boolean;
  readonly pasid?: number;
  readonly root?: bigint;
  readonly rootEntry?: bigint;
  readonly rootFlip?: bigint;
  readonly contextFlip?: bigint;
  readonly context?: bigint;
  readonly contextHigh?: bigint;
  /** Bits 191:128 and 255:192 of a scalable-mode context entry. */
  readonly contextRest?: readonly [bigint, bigint];
  readonly directory?: bigint;
  readonly directoryFlip?: bigint;
  readonly entry?: bigint;
  readonly entryFlip?: bigint;
  /** ERE and SRE; and bits of the same word to turn over: WPE, NXE. */
  readonly enable?: bigint;
  readonly enableFlip?: bigint;
  readonly stage?: bigint;
  readonly top?: bigint;
  readonly topFlip?: bigint;
  /** The entry of level 3. */
  readonly middle?: bigint;
  /** Nested: what the second stage allows, everything at its own address. */
  readonly under?: bigint;
  /** The same for the second GiB, if otherwise. */
  readonly underData?: bigint;
  readonly leaf?: bigint;
  readonly leafFlip?: bigint;
  readonly ask?: (sw: Software, device: Device, n: number) => void;
}
const put = (sw: Software, at: number, ...values: readonly bigint[]): void => {
  if (values.some((v, i) => peek(sw, at + 8 * i) !== BigInt.asUintN(64, v))) poke(sw, at, ...values);
};
/** Every record, FSTS_REG, then all of it cleared. */
export const tell = (sw: Software): void => {
  const { facts } = sw;
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
  for (let i = 0; i < Math.min(8, facts.faultRecords); i++) {
    read(sw, facts.faultAt + 16 * i, 8);
    read(sw, facts.faultAt + 16 * i + 8, 8);
  }
  for (let i = 0; i < Math.min(8, facts.faultRecords); i++) write(sw, facts.faultAt + 16 * i + 12, 4, bit(31));
  write(sw, REG.FSTS, 4, 0x71n);
  read(sw, REG.FSTS, 4);
};
/** The device may send requests. */
export const master = (sw: Software, device: Device): void => {
  if (has(device, 'config')) sw.out.push({ do: 'function.config.write', requester: device.index, at: 4, width: 2, value: 4 });
};
export const levelsOf = (sw: Software): number => Math.min(...sw.facts.levels);

const tables = (sw: Software, base: number, device: Device, c: Change): void => {
  const page = (i: number): bigint => BigInt(addressOf(base + i));
  const { sourceId } = device.requester;
  const { facts } = sw;
  const half = sw.scalable && (sourceId & 0x80) !== 0 ? 8 : 0;
  put(sw, Number(page(0)) + 16 * (sourceId >> 8) + half, (c.rootEntry ?? page(1) | 1n) ^ (c.rootFlip ?? 0n));
  const levels = c.first === true ? 4 : levelsOf(sw);
  const aw = BigInt(levelsOf(sw) - 2);
  const top = 8 - levels;
  const stage = c.stage ?? page(top);
  if (sw.scalable) {
    const flags = 1n | (facts.deviceTlb ? 4n : 0n) | (facts.pasid ? 8n : 0n) | (facts.pageRequests ? 16n : 0n);
    const context = (c.context ?? page(2)) | flags;
    put(sw, Number(page(1)) + 32 * (sourceId & 0x7f), context ^ (c.contextFlip ?? 0n), c.contextHigh ?? 0n, ...(c.contextRest ?? [0n, 0n]));
    put(sw, Number(page(2)), (c.directory ?? page(3) | 1n) ^ (c.directoryFlip ?? 0n));
    const under = page(8) | (3n << 6n) | (aw << 2n) | 1n;
    const low = c.entry ?? (c.under !== undefined ? under : c.first === true ? (1n << 6n) | 1n : stage | (2n << 6n) | (aw << 2n) | 1n);
    put(
      sw,
      Number(page(3)) + 64 * (c.pasid ?? 0),
      low ^ (c.entryFlip ?? 0n),
      DOMAIN,
      c.first === true ? (stage | bit(4) | bit(5) | (c.enable ?? 0n)) ^ (c.enableFlip ?? 0n) : 0n,
      0n,
    );
  } else
    put(
      sw,
      Number(page(1)) + 16 * (sourceId & 0xff),
      ((c.context ?? stage) | 1n) ^ (c.contextFlip ?? 0n),
      (aw | (DOMAIN << 8n)) ^ (c.contextHigh ?? 0n),
    );
  const rights = c.first === true ? 7n : 3n;
  for (let i = top; i < 7; i++)
    put(
      sw,
      Number(page(i)),
      (i === 5 && c.middle !== undefined ? c.middle : i === 6 ? (c.top ?? page(7)) | rights : page(i + 1) | rights) ^
        (i === top ? (c.topFlip ?? 0n) : 0n),
    );
  if (c.under !== undefined) {
    put(sw, Number(page(8)), page(9) | 3n);
    put(sw, Number(page(9)), c.under | bit(7), (c.underData ?? c.under) | bit(7));
  }
  const to = c.leaf ?? BigInt(addressOf(dataPage(sw, 1)));
  put(sw, Number(page(7)) + 8, (to | rights) ^ (c.leafFlip ?? 0n));
};
export const ask = (sw: Software, device: Device, at: bigint, more: { readonly pasid?: number; readonly translated?: boolean }): void => {
  const bytes = words(BigInt(fresh(sw))).slice(0, 4);
  sw.out.push({ do: 'dma.write', requester: device.index, at: at as Iova, bytes, ...more });
};
const perform = (sw: Software, device: Device, c: Change, n: number): void => {
  const { scene: base } = sw;
  if (base === undefined || sw.facts.levels.length === 0) return;
  resume(sw);
  tables(sw, base, device, c);
  write(sw, REG.RTADDR, 8, (c.root ?? BigInt(addressOf(base))) | (sw.scalable ? bit(10) : 0n));
  once(sw, 'SRTP');
  everything(sw);
  const was = is(sw, 'TE');
  if (!was) turn(sw, 'TE', true);
  master(sw, device);
  tell(sw);
  if (c.ask === undefined) ask(sw, device, PLACE, c.pasid === undefined ? {} : { pasid: c.pasid });
  else c.ask(sw, device, n);
  tell(sw);
  if (!was) turn(sw, 'TE', false);
  setRoot(sw);
};

type Tables = (sw: Software, n: number) => Change | undefined;
/** Only bits of the PASID-table entry's type: no type has them all. */
const types = (sw: Software): bigint => (sw.facts.secondStage ? 5n : 6n) << 6n;
const scalable =
  (change: Change): Tables =>
  (sw) =>
    sw.scalable ? { first: !sw.facts.secondStage, ...change } : undefined;
const second =
  (change: Change): Tables =>
  (sw) =>
    sw.scalable && !sw.facts.secondStage ? undefined : change;
const first =
  (change: Change): Tables =>
  (sw) =>
    sw.scalable && sw.facts.firstStage ? { first: true, ...change } : undefined;
const executes = (sw: Software): boolean => sw.facts.pasid && (sw.vtd.ecap & bit(30)) !== 0n;
const supervises = (sw: Software): boolean => sw.facts.pasid && (sw.vtd.ecap & bit(31)) !== 0n;
/** Bits 8:5, 127:85 or 255:128 of the context entry; or an enable of what the unit does not support. */
const contextReserved = (sw: Software, n: number): Change => {
  const spread = sw.counter % 43;
  if (n === 1) return { contextHigh: bit(21 + spread) };
  if (n === 2) return { contextRest: spread % 2 === 0 ? [bit(spread), 0n] : [0n, bit(63 - spread)] };
  const { deviceTlb, pasid, pageRequests } = sw.facts;
  const lacking = [...(deviceTlb ? [] : [2]), ...(pasid ? [] : [3]), ...(pageRequests ? [] : [4])];
  return { contextFlip: bit(n === 3 && lacking.length > 0 ? (lacking[spread % lacking.length] ?? 4) : 5 + (spread % 4)) };
};
const changes: Partial<Readonly<Record<Scene, Tables>>> = {
  'root-access': () => ({ root: nowhere }),
  'context-access': (sw) => ({ first: sw.scalable && !sw.facts.secondStage, rootEntry: nowhere | 1n }),
  'table-access': second({ top: nowhere }),
  'top-access': second({ stage: nowhere }),
  'interrupt-output': (sw, n) => ({
    first: sw.scalable && !sw.facts.secondStage,
    leaf: 0xfee0_0000n,
    ...(n === 3 ? { ask: oddSizes } : {}),
  }),
  translated: (sw) =>
    sw.facts.deviceTlb || !sw.scalable
      ? {
          first: sw.scalable && !sw.facts.secondStage,
          ...(sw.facts.deviceTlb && sw.scalable ? { contextFlip: 4n } : {}),
          ask: (_, d) => has(d, 'translated') && ask(sw, d, BigInt(addressOf(dataPage(sw, 1))), { translated: true }),
        }
      : undefined,
  'page-request': (sw, n) =>
    sw.facts.pageRequests ? { ...(sw.scalable && n !== 2 ? { contextFlip: n === 1 ? 8n : 16n } : {}), ask: pageAsked } : undefined,
  answered: (sw) => (sw.facts.pageRequests && sw.scalable && sw.queue.on ? { first: !sw.facts.secondStage, ask: answered } : undefined),
  'page-event': (sw) => (sw.facts.pageRequests && sw.scalable ? { first: !sw.facts.secondStage, ask: pageEvent } : undefined),
  abort: (sw) => (sw.facts.scalable && sw.queue.on ? { root: BigInt(addressOf(PAGES.root)) | bit(11) | bit(10) } : undefined),
  'rid-pasid': (sw) => (sw.scalable && sw.facts.ridPasid ? { first: !sw.facts.secondStage, contextHigh: 0x3000n } : undefined),
  'directory-access': (sw) => (sw.scalable ? { first: !sw.facts.secondStage, context: nowhere } : undefined),
  'directory-present': scalable({ directory: 0n }),
  'directory-reserved': (sw) => (sw.scalable && sw.scene ? { directory: BigInt(addressOf(sw.scene + 3)) | 0x21n } : undefined),
  'pasid-access': scalable({ directory: nowhere | 1n }),
  'second-reserved': second({ topFlip: bit(7) }),
  stale: (sw) => ({ first: sw.scalable && sw.facts.firstStage, ask: used }),
  'first-access': first({ top: nowhere }),
  'first-top': first({ stage: nowhere }),
  'first-reserved': first({ topFlip: bit(7) }),
  'first-write': first({ leafFlip: 2n }),
  'first-execute': (sw) =>
    sw.scalable && sw.facts.firstStage && executes(sw) ? { first: true, pasid: 1, enable: 2n, leafFlip: bit(63), ask: fetched } : undefined,
  'execute-enable': (sw) => (sw.scalable && sw.facts.firstStage && executes(sw) ? { first: true, pasid: 1, ask: fetched } : undefined),
  // FPD, in the context entry, the PASID-directory entry or the PASID-table entry, and no permission.
  silent: (sw, n) =>
    sw.scalable
      ? {
          first: !sw.facts.secondStage,
          ...(n % 2 === 0 ? { entryFlip: 2n } : { directoryFlip: 2n }),
          leafFlip: sw.facts.secondStage ? 3n : 2n,
        }
      : sw.scene === undefined
        ? undefined
        : { context: BigInt(addressOf(sw.scene + 8 - levelsOf(sw))) | 2n, leafFlip: 3n },
  'root-stale': (sw) => ({ first: sw.scalable && !sw.facts.secondStage, ask: rootAnew }),
  overflow: (sw) => (sw.facts.pageRequests && sw.scalable ? { first: !sw.facts.secondStage, ask: overflow } : undefined),
  'context-reserved': (sw, n) =>
    sw.scalable ? scalable(contextReserved(sw, n))(sw, n) : { contextHigh: bit(24 + ((sw.counter + 10 * n) % 40)) },
  'pasid-enable': (sw) => (sw.scalable && sw.facts.pasid ? { first: !sw.facts.secondStage, contextFlip: 8n, pasid: 1 } : undefined),
  'pasid-reserved': scalable({ entryFlip: bit(10) }),
  'pasid-valid': (sw) => (sw.scalable ? { first: !sw.facts.secondStage, entryFlip: types(sw) } : undefined),
  'pasid-stale': (sw) => (sw.scalable ? { first: !sw.facts.secondStage, ask: entryGone } : undefined),
  'supervisor-enable': (sw) =>
    sw.scalable && sw.facts.firstStage && supervises(sw) ? { first: true, pasid: 1, ask: privileged } : undefined,
  'first-user': first({ leafFlip: 4n }),
  width: (sw) =>
    sw.scalable && sw.facts.passThrough
      ? {
          entry: (4n << 6n) | (BigInt(levelsOf(sw) - 2) << 2n) | 1n,
          ask: (_, d) => ask(sw, d, 1n << BigInt(sw.facts.hostAddressWidth), {}),
        }
      : undefined,
};

/** The n-th function that is there whatever virtual functions are enabled, and can do what the scene asks. */
const deviceFor = (sw: Software, what: Scene, n: number): Device | undefined => {
  const wants =
    what === 'page-request' || what === 'page-event' || what === 'answered' || what === 'overflow'
      ? 'pri'
      : what === 'translated'
        ? 'translated'
        : what === 'translation'
          ? 'ats'
          : what === 'first-smep' ||
              what === 'first-execute' ||
              what === 'execute-enable' ||
              what === 'supervisor-enable' ||
              what === 'execute-anyway' ||
              what === 'write-protect'
            ? 'execute'
            : 'write';
  return pick(
    sw.devices.filter((d) => d.requester.physical === undefined && has(d, wants)),
    n,
  );
};
export const scene = (sw: Software, what: Scene, n: number): void => {
  // Elsewhere such tables are left out: what a request came to would not be told.
  if (!sw.rich) return;
  if (what === 'protected') return protect(sw, n);
  if (what === 'functions') return withoutFunctions(sw);
  if (what === 'function-reset') return resetFunction(sw, n);
  if (what === 'device-forgets') return deviceForgets(sw, n);
  if (what === 'wait-nowhere') return nowhereStatus(sw);
  if (what === 'unanswered') return unanswered(sw, n);
  if (what === 'granularity') return refusedCommand(sw, n);
  if (interruptScene(sw, what, n)) return;
  if (what === 'descriptor-reserved') return reservedBits(sw, n);
  // What this unit has no place for gives way to another scene, far from it in the list: units that have little are played on too.
  const from = SCENES.indexOf(what);
  for (let k = 0; k < SCENES.length; k++) {
    const name = SCENES[(from + 41 * k) % SCENES.length] ?? what;
    const change = (changes[name] ?? deepScenes[name] ?? pagingScenes[name])?.(sw, n);
    const device = deviceFor(sw, name, n);
    if (change !== undefined && device !== undefined) return perform(sw, device, change, n);
  }
};
