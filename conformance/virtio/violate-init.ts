// Initialisations and configuration accesses that break a driver's rule.
// VIRTIO 1.4: Device Status Field; Feature Bits; Device Configuration Space; Device Initialization.

import { accept, bit, CONFIG, F, OPTIONAL, STATUS } from './bits.ts';
import { craftIn, launch } from './craft.ts';
import type { Driver, Play } from './driver.ts';
import { acquaint, initialise, negotiate, offers, OK_SO_FAR, PLAIN, reset, setUpQueues } from './driver.ts';
import type { Violation } from './violate-common.ts';
import { live, which } from './violate-common.ts';

const A = STATUS.ACKNOWLEDGE;
const D = STATUS.DRIVER;
const status = (d: Driver, value: number): void => {
  d.out.push({ do: 'virtio.status.write', value });
};
const readBack = (d: Driver): void => {
  if (d.seesStatus) d.out.push({ do: 'virtio.status.read' });
};
/** Reset, ACKNOWLEDGE, DRIVER, offer read. */
function* introduced(d: Driver): Play<boolean> {
  if (!(yield* reset(d))) return false;
  yield* acquaint(d);
  return !d.gone && d.offered !== undefined;
}
/** From negotiated features to one request, as if nothing were wrong. */
const carryOn = (d: Driver): void => {
  setUpQueues(d, PLAIN);
  status(d, OK_SO_FAR | STATUS.DRIVER_OK);
  d.live = true;
  const q = d.queues[0];
  const c = q === undefined ? undefined : craftIn(d, q);
  if (c !== undefined) launch(d, c);
};

/** Bits that a driver may be tempted by: reserved, undefined, foreign, other ring formats. */
const TEMPTING = [63, 0, 34, 24, 27, 30, 37, 40, 43, 44, 49, 50, 18, 23, 7, 38, 39, 62, ...OPTIONAL, 33, 36];

function* negotiateAndGoOn(d: Driver, accepted: bigint): Play<boolean> {
  if (yield* negotiate(d, accepted)) carryOn(d);
  return true;
}

export const INIT_VIOLATIONS: Readonly<Record<string, Violation>> = {
  'virtio.status.clear-bit': function* (d, n) {
    if (n % 4 < 2) {
      if ((yield* live(d, 0, [], [])) === undefined) return false;
      status(d, n % 4 === 0 ? STATUS.DRIVER_OK : A | D | STATUS.DRIVER_OK);
    } else {
      if (!(yield* reset(d))) return false;
      status(d, A);
      if (n % 4 === 2) status(d, D);
      else {
        status(d, A | D);
        status(d, STATUS.FEATURES_OK);
      }
    }
    readBack(d);
    return true;
  },
  'virtio.status.failed': function* (d, n) {
    if ((yield* live(d, 0, [], [])) === undefined) return false;
    const all = OK_SO_FAR | STATUS.DRIVER_OK | STATUS.FAILED;
    status(d, all);
    readBack(d);
    if (n % 2 === 0) d.out.push({ do: 'virtio.features.write', accepted: d.accepted });
    status(d, all | (n % 2 === 0 ? 0 : 32));
    const q = d.queues[0];
    const c = q === undefined ? undefined : craftIn(d, q);
    if (c !== undefined) launch(d, c);
    readBack(d);
    return true;
  },
  'virtio.features.not-offered': function* (d, n) {
    if (!(yield* introduced(d)) || d.offered === undefined) return false;
    const offered = d.offered;
    const missing = TEMPTING.filter((b) => (offered & bit(b)) === 0n);
    if (missing.length === 0) return false;
    return yield* negotiateAndGoOn(d, accept(offered, 0) | bit(which(n, missing)));
  },
  'virtio.features.reserved': function* (d, n) {
    if (!(yield* introduced(d)) || d.offered === undefined) return false;
    const offered = d.offered;
    const known = new Set([...OPTIONAL, F.VERSION_1, F.ACCESS_PLATFORM, F.ORDER_PLATFORM, F.RO, 15, 17, 34, 37, 38, 39, 40, 43]);
    const reserved = Array.from({ length: 64 }, (_, b) => b).filter((b) => (offered & bit(b)) !== 0n && !known.has(b));
    if (reserved.length === 0) return false;
    return yield* negotiateAndGoOn(d, accept(offered, 0) | bit(which(n, reserved)));
  },
  'virtio.features.version-1': function* (d) {
    if (!(yield* introduced(d)) || d.offered === undefined || !offers(d, F.VERSION_1)) return false;
    yield* negotiate(d, accept(d.offered, 0) & ~bit(F.VERSION_1));
    return true;
  },
  'virtio.init.features-late': function* (d, n) {
    if (!(yield* introduced(d)) || d.offered === undefined) return false;
    const few = accept(d.offered, 2 ** OPTIONAL.length - 1);
    const more = accept(d.offered, 0);
    if (few === more || !(yield* negotiate(d, few))) return false;
    if (n % 2 === 1) carryOn(d);
    d.out.push({ do: 'virtio.features.write', accepted: more });
    readBack(d);
    return true;
  },
  'virtio.init.order': function* (d, n) {
    if (d.offered === undefined && !(yield* introduced(d))) return false;
    if (!(yield* reset(d))) return false;
    const accepted = accept(d.offered ?? 0n, 0);
    const write = { do: 'virtio.features.write', accepted } as const;
    switch (n % 5) {
      case 0: // no ACKNOWLEDGE
        status(d, D);
        break;
      case 1: // features before ACKNOWLEDGE and DRIVER
        d.out.push(write);
        status(d, A);
        status(d, A | D);
        break;
      case 2: // no FEATURES_OK
        status(d, A);
        status(d, A | D);
        d.out.push(write);
        setUpQueues(d, PLAIN);
        status(d, A | D | STATUS.DRIVER_OK);
        break;
      case 3: // queues before features
        status(d, A);
        status(d, A | D);
        d.accepted = accepted;
        setUpQueues(d, PLAIN);
        d.out.push(write);
        status(d, OK_SO_FAR);
        break;
      default: // everything at once
        d.out.push(write);
        status(d, OK_SO_FAR | STATUS.DRIVER_OK);
    }
    readBack(d);
    return true;
  },
  'virtio.init.failed': function* (d) {
    if (!(yield* introduced(d)) || d.offered === undefined) return false;
    status(d, A | D | STATUS.FAILED);
    d.out.push({ do: 'virtio.features.write', accepted: accept(d.offered, 0) });
    status(d, OK_SO_FAR | STATUS.FAILED);
    readBack(d);
    return true;
  },
  'virtio.init.config-write': function* (d, n) {
    if (!(yield* introduced(d))) return false;
    const wce = offers(d, F.CONFIG_WCE);
    d.out.push({ do: 'virtio.config.write', at: wce ? 32 : 0, bytes: Uint8Array.of(n & 1) });
    return true;
  },
  'virtio.init.kick': function* (d, n) {
    if (!(yield* introduced(d)) || d.offered === undefined) return false;
    if (n % 3 === 0) {
      d.out.push({ do: 'virtq.notify', queue: 0 });
      return true;
    }
    if (!(yield* negotiate(d, accept(d.offered, 0)))) return false;
    setUpQueues(d, PLAIN);
    const q = d.queues[0];
    const c = q === undefined || n % 3 === 1 ? undefined : craftIn(d, q);
    if (c !== undefined) launch(d, c);
    else d.out.push({ do: 'virtq.notify', queue: 0 });
    return true;
  },
  'virtio.config.not-offered': function* (d, n) {
    if (d.offered === undefined && !(yield* introduced(d))) return false;
    const absent = CONFIG.filter((f) => !offers(d, f.feature));
    if (absent.length === 0) return false;
    const field = which(n, absent);
    d.out.push({ do: 'virtio.config.read', at: field.at, width: field.width });
    return true;
  },
  'virtio.blk.config.read-only': function* (d, n) {
    if (!d.live) yield* initialise(d, PLAIN);
    const field = which(
      n,
      CONFIG.filter((f) => offers(d, f.feature) && f.feature !== F.CONFIG_WCE),
    );
    d.out.push({ do: 'virtio.config.read', at: field.at, width: field.width });
    d.out.push({ do: 'virtio.config.write', at: field.at, bytes: new Uint8Array(field.width).fill(0xa5) });
    d.out.push({ do: 'virtio.config.read', at: field.at, width: field.width });
    return true;
  },
  'virtio.blk.writeback.early': function* (d) {
    if (!(yield* introduced(d)) || !offers(d, F.CONFIG_WCE)) return false;
    d.out.push({ do: 'virtio.config.read', at: 32, width: 1 });
    return true;
  },
  'virtio.blk.writeback.value': function* (d, n) {
    if ((yield* live(d, 0, [F.CONFIG_WCE], [])) === undefined) return false;
    d.out.push({ do: 'virtio.config.write', at: 32, bytes: Uint8Array.of(which(n, [2, 255, 128])) });
    d.out.push({ do: 'virtio.config.read', at: 32, width: 1 });
    return true;
  },
};
