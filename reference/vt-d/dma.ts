// Decides what a device's memory request does: split by pages, each translated, stopped by the first that is blocked.
// PCI Express Base, Memory Requests and AtomicOps; VT-d 4.1, Address Translation and Protected Memory Regions.

import { inside, load, store } from '../memory.ts';
import { INTERRUPT_RANGE } from './events.ts';
import { recordFault } from './faults.ts';
import { interruptRequest } from './interrupts.ts';
import { interruptRange } from './legacy.ts';
import { get, PHMBASE_REG, PHMLIMIT_REG, PLMBASE_REG, PLMLIMIT_REG, PMEN_REG, pageAt } from './registers.ts';
import { ABORTED, translate, translating } from './translate.ts';
import { aim, EXECUTE, NO_PASID, READ, type Request, TRANSLATED, type Unit, UNTRANSLATED, WRITE } from './unit.ts';

/** What a stimulus says of the request. */
export interface Asked {
  readonly at: bigint;
  readonly pasid?: number;
  readonly privileged?: boolean;
  readonly translated?: boolean;
  readonly execute?: boolean;
}

/** Fills the request at hand with what all its pages share. */
export const prepare = (unit: Unit, sourceId: number, asked: Asked, kind: number, need: number): Request => {
  const request = unit.request;
  request.sourceId = sourceId;
  request.pasid = asked.pasid ?? NO_PASID;
  // Only requests with PASID carry these.
  request.execute = asked.pasid !== undefined && asked.execute === true;
  request.privileged = asked.pasid !== undefined && asked.privileged === true;
  request.type = asked.translated === true ? TRANSLATED : UNTRANSLATED;
  request.kind = kind;
  request.need = need;
  request.noWrite = false;
  return request;
};

/** Bytes of the host's memory for one page of the request, or -1 where it is blocked. */
const hostAddress = (unit: Unit, request: Request, page: number, offset: number, length: number): number => {
  aim(request, page);
  if (!translating(unit)) {
    // Nothing but plain requests exists without translation.
    if (request.pasid !== NO_PASID || request.type !== UNTRANSLATED || isProtected(unit, page)) return -1;
    request.hostPage = page;
  } else {
    const reason = translate(unit, request);
    if (reason !== 0) {
      if (reason !== ABORTED) recordFault(unit, request, reason);
      return -1;
    }
  }
  const at = request.hostPage * 4096 + offset;
  return inside(unit.memory, at, length) ? at : -1;
};

/** Goes through the pages of [at, at + length); false once one is blocked. */
const eachPage = (
  unit: Unit,
  request: Request,
  at: bigint,
  length: number,
  act: (host: number, done: number, bytes: number) => void,
): boolean => {
  let page = Number(at >> 12n);
  let offset = Number(at & 0xfffn);
  let done = 0;
  do {
    const bytes = Math.min(4096 - offset, length - done);
    if (page >= 2 ** 52) return false;
    if (request.type === UNTRANSLATED && request.pasid === NO_PASID && interruptRange(page)) return false;
    const host = hostAddress(unit, request, page, offset, bytes);
    if (host < 0) return false;
    act(host, done, bytes);
    done += bytes;
    page += 1;
    offset = 0;
  } while (done < length);
  return true;
};

/** The bytes read, or undefined where the request was blocked. */
export const dmaRead = (unit: Unit, sourceId: number, asked: Asked, length: number): Uint8Array | undefined => {
  // A read of length 0 asks for nothing where the unit supports it; else it is a read.
  const need = length === 0 && unit.profile.zeroLengthRead ? 0 : READ;
  const request = prepare(unit, sourceId, asked, 2, need);
  if (request.execute) request.need |= EXECUTE;
  const bytes = new Uint8Array(length);
  const completed = eachPage(unit, request, asked.at, length, (host, done, count) => {
    if (count > 0) bytes.set(load(unit.memory, host, count), done);
  });
  return completed ? bytes : undefined;
};

export const dmaWrite = (unit: Unit, sourceId: number, asked: Asked, bytes: Uint8Array): boolean => {
  const plain = asked.pasid === undefined && asked.translated !== true;
  if (plain && asked.at >> 20n === BigInt(INTERRUPT_RANGE)) {
    // An interrupt request is an aligned double word; nothing else may go there.
    if (bytes.length !== 4 || (asked.at & 3n) !== 0n) return false;
    const data = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    return interruptRequest(unit, sourceId, Number(asked.at), data);
  }
  const request = prepare(unit, sourceId, asked, 0, WRITE);
  return eachPage(unit, request, asked.at, bytes.length, (host, done, count) => {
    if (count > 0) store(unit.memory, host, bytes.subarray(done, done + count));
  });
};

/** Fetch-and-add. Memory's former bytes, or undefined where the request was blocked. */
export const dmaAtomic = (unit: Unit, sourceId: number, asked: Asked, width: 4 | 8, operand: bigint): Uint8Array | undefined => {
  // Atomic operations are naturally aligned; another is malformed and goes nowhere.
  if (asked.at % BigInt(width) !== 0n) return undefined;
  const request = prepare(unit, sourceId, asked, 3, READ | WRITE);
  let before: Uint8Array | undefined;
  eachPage(unit, request, asked.at, width, (host) => {
    before = load(unit.memory, host, width).slice();
    const view = new DataView(before.slice().buffer);
    if (width === 4) view.setUint32(0, Number((BigInt(view.getUint32(0, true)) + operand) & 0xffff_ffffn), true);
    else view.setBigUint64(0, BigInt.asUintN(64, view.getBigUint64(0, true) + operand), true);
    store(unit.memory, host, new Uint8Array(view.buffer));
  });
  return before;
};

/** Protected regions are 2 MiB coarse; limits include the bytes that their cleared bits stand for. */
const GRAIN_PAGES = 512;
/** Whether protected memory is enabled and holds the page. */
const isProtected = (unit: Unit, page: number): boolean => {
  const { registers, profile } = unit;
  if ((get(registers, PMEN_REG) & 0x8000_0000) === 0) return false;
  if (profile.lowProtected) {
    const base = get(registers, PLMBASE_REG) >>> 12;
    const end = (get(registers, PLMLIMIT_REG) >>> 12) + GRAIN_PAGES;
    if (page >= base && page < end) return true;
  }
  if (!profile.highProtected) return false;
  return page >= pageAt(registers, PHMBASE_REG) && page < pageAt(registers, PHMLIMIT_REG) + GRAIN_PAGES;
};
