// Decides what an invalidation forgets, whether it came by register or by queue.
// VT-d 4.1, Invalidation of Translation Caches: granularities.

import { type Context, forgetContexts, forgetPasids } from './caches.ts';
import { NO_PASID, type Unit } from './unit.ts';

/** Which source ID bits a function mask leaves: all, all but 2, all but 2:1, all but 2:0. */
const functionMasks = [0xffff, 0xfffb, 0xfff9, 0xfff8] as const;
export const functionMask = (mask: number): number => functionMasks[mask & 3] ?? 0xffff;

/** Scalable-mode context entries have no domain: domain-selective means all of them. */
export const domainsContexts = (unit: Unit, domain: number): void =>
  forgetContexts(unit.caches.contexts.slots, (c: Context) => c.scalable || c.domain === domain);

export const forgetDomainPages = (unit: Unit, domain: number): void => unit.caches.iotlb.forgetDomain(domain);

/** 2^mask pages around `page`; what a first stage took part in cannot be told by these addresses, so it goes whole. */
export const forgetPagesOf = (unit: Unit, domain: number, page: number, mask: number): void => {
  const { iotlb } = unit.caches;
  const size = 2 ** mask;
  const first = Math.floor(page / size) * size;
  iotlb.forgetPages(domain, NO_PASID, first, first + size);
  iotlb.forgetFirstStage(domain);
};

export const forgetPasidPages = (unit: Unit, domain: number, pasid: number, page: number, mask: number): void => {
  const size = 2 ** mask;
  const first = Math.floor(page / size) * size;
  unit.caches.iotlb.forgetPages(domain, pasid, first, first + size);
};

/** PASID-cache invalidation: `pasid` undefined for all of the domain. Translations made from what is forgotten go with it. */
export const forgetPasidEntries = (unit: Unit, domain: number, pasid?: number): void => {
  forgetPasids(unit.caches.pasids.slots, (p) => p.domain === domain && (pasid === undefined || p.pasid === pasid));
  if (pasid === undefined) unit.caches.iotlb.forgetDomain(domain);
  else {
    unit.caches.iotlb.forgetPasid(domain, pasid);
    unit.caches.iotlb.forgetPasid(domain, NO_PASID);
  }
};
