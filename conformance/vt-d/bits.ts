// Numbers a driver of a remapping unit needs: register offsets, command bits, fields of entries and descriptors.
// VT-d 4.1, Register Descriptions; Translation Structure Formats; Queued Invalidation Interface.

export const REG = {
  VER: 0x00,
  CAP: 0x08,
  ECAP: 0x10,
  GCMD: 0x18,
  GSTS: 0x1c,
  RTADDR: 0x20,
  CCMD: 0x28,
  FSTS: 0x34,
  FECTL: 0x38,
  FEDATA: 0x3c,
  FEADDR: 0x40,
  FEUADDR: 0x44,
  PMEN: 0x64,
  PLMBASE: 0x68,
  PLMLIMIT: 0x6c,
  PHMBASE: 0x70,
  PHMLIMIT: 0x78,
  IQH: 0x80,
  IQT: 0x88,
  IQA: 0x90,
  ICS: 0x9c,
  IECTL: 0xa0,
  IEDATA: 0xa4,
  IEADDR: 0xa8,
  IEUADDR: 0xac,
  IQERCD: 0xb0,
  IRTA: 0xb8,
  PQH: 0xc0,
  PQT: 0xc8,
  PQA: 0xd0,
  PRS: 0xdc,
  PECTL: 0xe0,
  PEDATA: 0xe4,
  PEADDR: 0xe8,
} as const;

/** Bits of GCMD_REG, and of GSTS_REG where they have a status. */
export const COMMAND = { TE: 31, SRTP: 30, SFL: 29, EAFL: 28, WBF: 27, QIE: 26, IRE: 25, SIRTP: 24, CFI: 23 } as const;
export const bit = (n: number): bigint => 1n << BigInt(n);
export const mask = 0x8000_0000n; // FECTL, IECTL, PECTL: IM

export const page = 4096n;
export const message = 0xfee0_0000n;

/** What CAP_REG and ECAP_REG say, as far as programs depend on it. */
export interface Facts {
  readonly maximumAddressWidth: number;
  readonly hostAddressWidth: number;
  /** Levels of second-stage tables that SAGAW names. */
  readonly levels: readonly number[];
  readonly largest: 1 | 2 | 3;
  readonly cachingMode: boolean;
  readonly pageSelective: boolean;
  readonly maximumMask: number;
  readonly writeBuffers: boolean;
  readonly lowProtected: boolean;
  readonly highProtected: boolean;
  readonly faultAt: number;
  readonly faultRecords: number;
  readonly invalidateAt: number;
  readonly domains: number;
  readonly queue: boolean;
  readonly deviceTlb: boolean;
  readonly remaps: boolean;
  readonly extendedInterrupts: boolean;
  readonly passThrough: boolean;
  readonly posted: boolean;
  readonly scalable: boolean;
  readonly firstStage: boolean;
  readonly secondStage: boolean;
  readonly nesting: boolean;
  readonly pasid: boolean;
  readonly pageRequests: boolean;
  readonly fiveLevel: boolean;
  readonly rootInvalidates: boolean;
  readonly interruptRootInvalidates: boolean;
  readonly maximumHandleMask: number;
  readonly throttle: boolean;
  readonly ridPasid: boolean;
}

export const factsOf = (cap: bigint, ecap: bigint, hostAddressWidth: number): Facts => {
  const field = (register: bigint, low: number, width: number): number => Number((register >> BigInt(low)) & (bit(width) - 1n));
  const c = (n: number): boolean => field(cap, n, 1) === 1;
  const e = (n: number): boolean => field(ecap, n, 1) === 1;
  const sagaw = field(cap, 8, 5);
  return {
    maximumAddressWidth: field(cap, 16, 6) + 1,
    hostAddressWidth,
    levels: [3, 4, 5].filter((levels) => (sagaw >> (levels - 2)) & 1),
    largest: c(35) ? 3 : c(34) ? 2 : 1,
    cachingMode: c(7),
    pageSelective: c(39),
    maximumMask: field(cap, 48, 6),
    writeBuffers: c(4),
    lowProtected: c(5),
    highProtected: c(6),
    faultAt: 16 * field(cap, 24, 10),
    faultRecords: field(cap, 40, 8) + 1,
    invalidateAt: 16 * field(ecap, 8, 10),
    domains: 2 ** (4 + 2 * field(cap, 0, 3)),
    queue: e(1),
    deviceTlb: e(2),
    remaps: e(3),
    extendedInterrupts: e(4),
    passThrough: e(6),
    posted: c(59),
    scalable: e(43),
    firstStage: e(47),
    // Before there was a bit for it, scalable mode meant second stage; QEMU's says so with bit 46.
    secondStage: e(46),
    nesting: e(26),
    pasid: e(40),
    pageRequests: e(29),
    fiveLevel: c(60),
    rootInvalidates: c(63),
    interruptRootInvalidates: c(62),
    maximumHandleMask: field(ecap, 20, 4),
    throttle: e(41),
    ridPasid: e(49),
  };
};

/** Little-endian words of 8 bytes. */
export const words = (...values: readonly bigint[]): Uint8Array => {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setBigUint64(8 * i, BigInt.asUintN(64, value), true);
  return bytes;
};
