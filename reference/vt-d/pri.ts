// Decides what becomes of a page request: put into the page request queue, or answered by the unit itself.
// VT-d 4.1, Page Request Services; the descriptor's layout also in Linux drivers/iommu/intel, struct page_req_dsc.

import { inside, store } from '../memory.ts';
import { type Asked, prepare } from './dma.ts';
import { PPR, PRO, signal } from './events.ts';
import { recordFault } from './faults.ts';
import { get, PQA_REG, PQH_REG, PQT_REG, PRS_REG, pageAt, set } from './registers.ts';
import { scalableContext } from './scalable.ts';
import { SCALABLE, translating } from './translate.ts';
import { aim, NO_PASID, type Unit } from './unit.ts';

/** Response codes of PCI Express: Success, Invalid Request, Response Failure. */
const SUCCESS = 0;
const INVALID_REQUEST = 1;
const RESPONSE_FAILURE = 0xf;

/** page_req_dsc: type 1; 32 bytes. */
const PAGE_REQUEST = 1;
const BYTES = 32;

export interface PageRequest extends Asked {
  readonly read: boolean;
  readonly write: boolean;
  readonly last: boolean;
  readonly group: number;
}

export const pageRequest = (unit: Unit, sourceId: number, asked: PageRequest): void => {
  const { registers, memory } = unit;
  const pasid = asked.pasid ?? NO_PASID;
  const answer = (code: number): void => {
    // Only the last request of a group is answered.
    if (asked.last) unit.respond(sourceId, asked.group, code, pasid);
  };
  if (!translating(unit) || !unit.profile.pageRequests) return answer(RESPONSE_FAILURE);
  const request = prepare(unit, sourceId, asked, 1, 0);
  aim(request, Number(asked.at >> 12n));
  request.faultsDisabled = false;
  const reason = refusal(unit, pasid);
  if (reason !== 0) {
    recordFault(unit, request, reason);
    return answer(reason === 0x47 ? INVALID_REQUEST : RESPONSE_FAILURE);
  }
  if ((get(registers, PRS_REG) & PRO) !== 0) return answer(SUCCESS);
  const size = 4096 << (get(registers, PQA_REG) & 7);
  const tail = get(registers, PQT_REG);
  const next = (tail + BYTES) % size;
  // One place stays free, so that full and empty differ.
  if (next === get(registers, PQH_REG)) {
    signal(unit, 'page', PRO);
    return answer(SUCCESS);
  }
  const at = pageAt(registers, PQA_REG) * 4096 + tail;
  if (!inside(memory, at, BYTES)) return answer(RESPONSE_FAILURE);
  const descriptor = new DataView(new ArrayBuffer(BYTES));
  const present = pasid !== NO_PASID;
  descriptor.setUint32(0, PAGE_REQUEST | (present ? 1 << 8 : 0) | (sourceId << 16), true);
  descriptor.setUint32(4, (present ? pasid : 0) | (request.execute ? 1 << 20 : 0) | (request.privileged ? 1 << 21 : 0), true);
  const flags = (asked.read ? 1 : 0) | (asked.write ? 2 : 0) | (asked.last ? 4 : 0) | ((asked.group & 0x1ff) << 3);
  descriptor.setBigUint64(8, (asked.at & ~0xfffn) | BigInt(flags), true);
  store(memory, at, new Uint8Array(descriptor.buffer));
  set(registers, PQT_REG, next);
  signal(unit, 'page', PPR);
};

/** Why the request goes no further: RTA.3, the context's faults, SCT.6 to SCT.8; or 0. */
const refusal = (unit: Unit, pasid: number): number => {
  if (unit.mode !== SCALABLE) return 0x32;
  if (!unit.profile.scalable) return 0x30;
  const context = scalableContext(unit, unit.request);
  if (context.reason !== 0) return context.reason;
  if (pasid !== NO_PASID && !context.pasidEnabled) return 0x45;
  if (pasid !== NO_PASID && pasid >= context.pasidEnd) return 0x46;
  return context.pageRequests ? 0 : 0x47;
};
