// Decides which translations the unit remembers: 1024 entries, direct-mapped, tagged by domain, PASID and input page, of three page sizes.
// VT-d 4.1, IOTLB.

const ENTRIES = 1024;

export interface Iotlb {
  /** Index of the entry that translates the page, or -1. */
  readonly find: (domain: number, pasid: number, page: number, low: number, high: number) => number;
  readonly fill: (
    domain: number,
    pasid: number,
    page: number,
    order: number,
    hostPage: number,
    permissions: number,
    reason: number,
  ) => void;
  /** Page number of the host, of the first page of a larger one. */
  readonly hostPages: Float64Array;
  readonly orders: Uint8Array;
  readonly permissions: Uint8Array;
  /** 0, or the fault that the translation meets (caching mode). */
  readonly reasons: Uint8Array;
  readonly clear: () => void;
  /** `pasid` -1: whatever was translated by the second stage alone. */
  readonly forgetDomain: (domain: number) => void;
  readonly forgetPasid: (domain: number, pasid: number) => void;
  /** The pages [first, end) of the second stage alone, or of a PASID. */
  readonly forgetPages: (domain: number, pasid: number, first: number, end: number) => void;
  /** All that a first stage took part in. */
  readonly forgetFirstStage: (domain: number) => void;
}

export const createIotlb = (): Iotlb => {
  const domains = new Int32Array(ENTRIES).fill(-1);
  const pasids = new Int32Array(ENTRIES);
  const pages = new Float64Array(ENTRIES);
  const hostPages = new Float64Array(ENTRIES);
  const orders = new Uint8Array(ENTRIES);
  const permissions = new Uint8Array(ENTRIES);
  const reasons = new Uint8Array(ENTRIES);
  /** Whether larger pages were cached since everything was forgotten: most tables have none. */
  let large = false;

  const at = (domain: number, pasid: number, low: number, high: number, order: number): number =>
    (Math.imul(low ^ (low >>> 10) ^ high ^ Math.imul(domain, 0x9e37_79b1) ^ Math.imul(pasid + 1, 0x85eb_ca6b) ^ order, 0x9e37_79b1) >>>
      22) &
    (ENTRIES - 1);
  const forget = (covered: (i: number) => boolean): void => {
    for (let i = 0; i < ENTRIES; i += 1) if (domains[i] !== -1 && covered(i)) domains[i] = -1;
  };

  return {
    hostPages,
    orders,
    permissions,
    reasons,
    find: (domain, pasid, page, low, high) => {
      let i = at(domain, pasid, low, high, 0);
      if (domains[i] === domain && pages[i] === page && pasids[i] === pasid && orders[i] === 0) return i;
      if (!large) return -1;
      i = at(domain, pasid, low & ~0x1ff, high, 9);
      if (domains[i] === domain && pages[i] === page - (low & 0x1ff) && pasids[i] === pasid && orders[i] === 9) return i;
      i = at(domain, pasid, low & ~0x3_ffff, high, 18);
      if (domains[i] === domain && pages[i] === page - (low & 0x3_ffff) && pasids[i] === pasid && orders[i] === 18) return i;
      return -1;
    },
    fill: (domain, pasid, page, order, hostPage, allowed, reason) => {
      const low = page >>> 0;
      const offset = low & ((1 << order) - 1);
      const i = at(domain, pasid, low - offset, Math.floor(page / 2 ** 32), order);
      domains[i] = domain;
      pasids[i] = pasid;
      pages[i] = page - offset;
      orders[i] = order;
      hostPages[i] = hostPage - offset;
      permissions[i] = allowed;
      reasons[i] = reason;
      if (order > 0) large = true;
    },
    clear: () => {
      domains.fill(-1);
      large = false;
    },
    forgetDomain: (domain) => forget((i) => domains[i] === domain),
    forgetPasid: (domain, pasid) => forget((i) => domains[i] === domain && pasids[i] === pasid),
    forgetPages: (domain, pasid, first, end) =>
      forget((i) => {
        if (domains[i] !== domain || pasids[i] !== pasid) return false;
        const from = pages[i] ?? 0;
        return from < end && first < from + 2 ** (orders[i] ?? 0);
      }),
    forgetFirstStage: (domain) => forget((i) => domains[i] === domain && pasids[i] !== -1),
  };
};
