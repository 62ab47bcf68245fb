// Decides what a pair of CAP_REG and ECAP_REG means, and whether the two can belong to one remapping unit.
// VT-d 4.1, Capability Register and Extended Capability Register.

export interface Profile {
  readonly cap: bigint;
  readonly ecap: bigint;
  /** CAP_REG.RWBF, PLMR, PHMR, CM, ZLR. */
  readonly writeBuffers: boolean;
  readonly lowProtected: boolean;
  readonly highProtected: boolean;
  readonly cachingMode: boolean;
  readonly zeroLengthRead: boolean;
  /** SAGAW: bit 1 for 3 levels, 2 for 4, 3 for 5. */
  readonly widths: number;
  /** MGAW as a number of 4 KiB pages: the first page number that is too high. */
  readonly guestPages: number;
  /** Likewise for the host address width. */
  readonly hostPages: number;
  /** Offset of the fault recording registers, and their number. */
  readonly faultAt: number;
  readonly faultRecords: number;
  /** Offset of IVA_REG; IOTLB_REG is 8 bytes on. */
  readonly invalidateAt: number;
  /** SLLPS: bit 0 for 2 MiB, bit 1 for 1 GiB pages of the second stage. */
  readonly largePages: number;
  readonly pageSelective: boolean;
  readonly maximumMask: number;
  readonly firstStageGiant: boolean;
  readonly posted: boolean;
  readonly fiveLevel: boolean;
  readonly rootInvalidates: boolean;
  readonly interruptRootInvalidates: boolean;
  readonly queue: boolean;
  readonly deviceTlb: boolean;
  readonly interruptRemapping: boolean;
  readonly extendedInterrupts: boolean;
  readonly passThrough: boolean;
  readonly snoopControl: boolean;
  readonly maximumHandleMask: number;
  readonly memoryTypes: boolean;
  readonly nesting: boolean;
  readonly pageRequests: boolean;
  readonly executeRequests: boolean;
  readonly supervisorRequests: boolean;
  readonly noWrite: boolean;
  readonly extendedAccessed: boolean;
  readonly pasid: boolean;
  /** PSS + 1: bits of a PASID. */
  readonly pasidBits: number;
  readonly throttle: boolean;
  readonly drain: boolean;
  readonly scalable: boolean;
  readonly secondAccessed: boolean;
  readonly secondStage: boolean;
  readonly firstStage: boolean;
  readonly snoopedWalks: boolean;
  readonly ridPasid: boolean;
  readonly abortMode: boolean;
  readonly ridPrivilege: boolean;
}

export const decodeProfile = (cap: bigint, ecap: bigint, hostAddressWidth: number): Profile => {
  const c = (bit: number): boolean => ((cap >> BigInt(bit)) & 1n) === 1n;
  const e = (bit: number): boolean => ((ecap >> BigInt(bit)) & 1n) === 1n;
  const field = (register: bigint, high: number, low: number): number =>
    Number((register >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n));
  return {
    cap,
    ecap,
    writeBuffers: c(4),
    lowProtected: c(5),
    highProtected: c(6),
    cachingMode: c(7),
    widths: field(cap, 12, 8),
    guestPages: 2 ** (field(cap, 21, 16) + 1 - 12),
    hostPages: 2 ** (hostAddressWidth - 12),
    zeroLengthRead: c(22),
    faultAt: field(cap, 33, 24) * 16,
    largePages: field(cap, 37, 34),
    pageSelective: c(39),
    faultRecords: field(cap, 47, 40) + 1,
    maximumMask: field(cap, 53, 48),
    firstStageGiant: c(56),
    posted: c(59),
    fiveLevel: c(60),
    interruptRootInvalidates: c(62),
    rootInvalidates: c(63),
    queue: e(1),
    deviceTlb: e(2),
    interruptRemapping: e(3),
    extendedInterrupts: e(4),
    passThrough: e(6),
    snoopControl: e(7),
    invalidateAt: field(ecap, 17, 8) * 16,
    maximumHandleMask: field(ecap, 23, 20),
    memoryTypes: e(25),
    nesting: e(26),
    pageRequests: e(29),
    executeRequests: e(30),
    supervisorRequests: e(31),
    noWrite: e(33),
    extendedAccessed: e(34),
    pasidBits: field(ecap, 39, 35) + 1,
    pasid: e(40),
    throttle: e(41),
    drain: e(42),
    scalable: e(43),
    secondAccessed: e(45),
    secondStage: e(46),
    firstStage: e(47),
    snoopedWalks: e(48),
    ridPasid: e(49),
    abortMode: e(52),
    ridPrivilege: e(53),
  };
};

/** The last byte of the registers at fixed offsets, and where the memory type registers end. */
const FIXED_END = 0xf0;
const MTRR_END = 0x220;
/** SAGAW bits that name a width: 3, 4 and 5 levels. */
const WIDTHS = 0b01110;

/** Why the two registers cannot belong to one unit; undefined when they can. */
export const inconsistent = (cap: bigint, ecap: bigint, hostAddressWidth: number): string | undefined => {
  const p = decodeProfile(cap, ecap, hostAddressWidth);
  if (hostAddressWidth < 20 || hostAddressWidth > 52) return `a host address width of ${hostAddressWidth}`;
  if ((cap >> 3n) & 1n) return 'CAP.AFL: advanced fault logging is not built';
  if ((ecap >> 44n) & 1n) return 'ECAP.VCS: virtual commands are not built';
  if ((p.widths & WIDTHS) === 0 || (p.widths & ~WIDTHS) !== 0) return `CAP.SAGAW ${p.widths}`;
  const widest = p.widths & 8 ? 57 : p.widths & 4 ? 48 : 39;
  if (p.guestPages > 2 ** (widest - 12)) return 'CAP.MGAW beyond the widest of CAP.SAGAW';
  if (p.guestPages < 1) return 'CAP.MGAW below a page';
  if (p.largePages > 3) return `CAP.SLLPS ${p.largePages}`;
  const fixed = p.memoryTypes ? MTRR_END : FIXED_END;
  if (p.invalidateAt < fixed) return 'ECAP.IRO among the fixed registers';
  if (p.faultAt < fixed) return 'CAP.FRO among the fixed registers';
  const faultEnd = p.faultAt + 16 * p.faultRecords;
  if (p.faultAt < p.invalidateAt + 16 && p.invalidateAt < faultEnd) return 'CAP.FRO and ECAP.IRO overlap';
  if (p.interruptRemapping && !p.queue) return 'ECAP.IR without ECAP.QI';
  if (p.extendedInterrupts && !p.interruptRemapping) return 'ECAP.EIM without ECAP.IR';
  if (p.posted && !p.interruptRemapping) return 'CAP.PI without ECAP.IR';
  if (p.interruptRootInvalidates && !p.interruptRemapping) return 'CAP.ESIRTPS without ECAP.IR';
  if (p.deviceTlb && !p.queue) return 'ECAP.DT without ECAP.QI';
  if (p.scalable && !p.queue) return 'ECAP.SMTS without ECAP.QI';
  for (const [name, set] of [
    ['FLTS', p.firstStage],
    ['SLTS', p.secondStage],
    ['NEST', p.nesting],
    ['PASID', p.pasid],
    ['SLADS', p.secondAccessed],
    ['RPS', p.ridPasid],
  ] as const)
    if (set && !p.scalable) return `ECAP.${name} without ECAP.SMTS`;
  if (p.nesting && !(p.firstStage && p.secondStage)) return 'ECAP.NEST without ECAP.FLTS and ECAP.SLTS';
  if (p.secondAccessed && !p.secondStage) return 'ECAP.SLADS without ECAP.SLTS';
  if (p.pageRequests && !p.deviceTlb) return 'ECAP.PRS without ECAP.DT';
  if (p.drain && !p.pageRequests) return 'ECAP.PDS without ECAP.PRS';
  if (p.throttle && !p.deviceTlb) return 'ECAP.DIT without ECAP.DT';
  if (p.pasid && p.pasidBits > 20) return `ECAP.PSS ${p.pasidBits - 1}`;
  return undefined;
};
