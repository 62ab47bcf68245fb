// Where the registers of a remapping unit stand, which of their bits software can change, and what CAP_REG and ECAP_REG announce.
// VT-d 4.1, Register Descriptions.

import type { VtdMachine } from './vocabulary.ts';

/** Bits of 64-bit words as bigint; `field(x, 12, 8)` is bits 12:8. */
export const field = (word: bigint, high: number, low: number): number => Number(BigInt.asUintN(high - low + 1, word >> BigInt(low)));
export const bit = (word: bigint, n: number): boolean => ((word >> BigInt(n)) & 1n) === 1n;
/** Bits high:low set. */
export const mask = (high: number, low: number): bigint => ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);

export const VER = 0x00;
export const CAP = 0x08;
export const ECAP = 0x10;
export const GCMD = 0x18;
export const GSTS = 0x1c;
export const RTADDR = 0x20;
export const CCMD = 0x28;
export const FSTS = 0x34;
export const FECTL = 0x38;
export const PMEN = 0x64;
export const PLMBASE = 0x68;
export const PLMLIMIT = 0x6c;
export const PHMBASE = 0x70;
export const PHMLIMIT = 0x78;
export const IQH = 0x80;
export const IQT = 0x88;
export const IQA = 0x90;
export const ICS = 0x9c;
export const IECTL = 0xa0;
export const IQERCD = 0xb0;
export const IRTA = 0xb8;
export const PQH = 0xc0;
export const PQT = 0xc8;
export const PQA = 0xd0;
export const PRS = 0xdc;
export const PECTL = 0xe0;

/** What CAP_REG and ECAP_REG say, decoded once a machine. */
export interface Abilities {
  readonly cap: bigint;
  readonly ecap: bigint;
  readonly haw: number;
  readonly domains: number;
  readonly cachingMode: boolean;
  /** SAGAW, bits 12:8. */
  readonly sagaw: number;
  readonly mgaw: number;
  readonly zlr: boolean;
  readonly fro: number;
  readonly sllps: number;
  readonly psi: boolean;
  readonly records: number;
  readonly mamv: number;
  readonly fl1gp: boolean;
  readonly posted: boolean;
  readonly fl5lp: boolean;
  readonly esirtps: boolean;
  readonly esrtps: boolean;
  readonly rwbf: boolean;
  readonly plmr: boolean;
  readonly phmr: boolean;
  readonly afl: boolean;
  readonly qi: boolean;
  readonly dt: boolean;
  readonly ir: boolean;
  readonly eim: boolean;
  readonly pt: boolean;
  readonly sc: boolean;
  readonly iro: number;
  readonly mhmv: number;
  readonly nest: boolean;
  readonly prs: boolean;
  readonly ers: boolean;
  readonly srs: boolean;
  readonly pasid: boolean;
  readonly pds: boolean;
  readonly dit: boolean;
  readonly smts: boolean;
  readonly slads: boolean;
  readonly slts: boolean;
  readonly flts: boolean;
  readonly rps: boolean;
  readonly adms: boolean;
}
export const abilities = ({ cap, ecap, hostAddressWidth }: VtdMachine): Abilities => ({
  cap,
  ecap,
  haw: hostAddressWidth,
  domains: 1 << (4 + 2 * field(cap, 2, 0)),
  afl: bit(cap, 3),
  rwbf: bit(cap, 4),
  plmr: bit(cap, 5),
  phmr: bit(cap, 6),
  cachingMode: bit(cap, 7),
  sagaw: field(cap, 12, 8),
  mgaw: field(cap, 21, 16) + 1,
  zlr: bit(cap, 22),
  fro: field(cap, 33, 24) * 16,
  sllps: field(cap, 37, 34),
  psi: bit(cap, 39),
  records: field(cap, 47, 40) + 1,
  mamv: field(cap, 53, 48),
  fl1gp: bit(cap, 56),
  posted: bit(cap, 59),
  fl5lp: bit(cap, 60),
  esirtps: bit(cap, 62),
  esrtps: bit(cap, 63),
  qi: bit(ecap, 1),
  dt: bit(ecap, 2),
  ir: bit(ecap, 3),
  eim: bit(ecap, 4),
  pt: bit(ecap, 6),
  sc: bit(ecap, 7),
  iro: field(ecap, 17, 8) * 16,
  mhmv: field(ecap, 23, 20),
  nest: bit(ecap, 26),
  prs: bit(ecap, 29),
  ers: bit(ecap, 30),
  srs: bit(ecap, 31),
  pasid: bit(ecap, 40),
  dit: bit(ecap, 41),
  pds: bit(ecap, 42),
  smts: bit(ecap, 43),
  slads: bit(ecap, 45),
  slts: bit(ecap, 46),
  flts: bit(ecap, 47),
  rps: bit(ecap, 49),
  adms: bit(ecap, 52),
});

/** One register: bits that software stores and reads back, bits that read as zero whatever is written, and its value after reset.
 *  Bits in none of the masks have a life of their own. */
export interface Register {
  readonly name: string;
  readonly at: number;
  readonly width: 4 | 8;
  /** Read-write bits. */
  readonly stored: bigint;
  /** Where the unit chooses how many of them it keeps: those it must. */
  readonly judged?: bigint;
  /** Reserved bits: read as zero. What write-only fields read as is undefined. */
  readonly zero: bigint;
  /** Read-only bits whose value never changes. */
  readonly fixed?: bigint;
}
const all32 = mask(31, 0);
const all64 = mask(63, 0);
const eventRegisters = (name: string, at: number, a: Abilities): readonly Register[] => [
  { name: `${name}CTL_REG`, at, width: 4, stored: mask(31, 31), zero: mask(29, 0) },
  // Beside the vector a unit may keep the rest of the message's data, or not.
  { name: `${name}DATA_REG`, at: at + 4, width: 4, stored: all32, judged: mask(7, 0), zero: 0n },
  { name: `${name}ADDR_REG`, at: at + 8, width: 4, stored: mask(31, 2), zero: mask(1, 0) },
  a.eim
    ? { name: `${name}UADDR_REG`, at: at + 12, width: 4, stored: all32, zero: 0n }
    : { name: `${name}UADDR_REG`, at: at + 12, width: 4, stored: 0n, zero: 0n },
];
/** The registers this unit has, by its capabilities. Address fields are stored up to the host address width. */
export const registersOf = (a: Abilities): readonly Register[] => {
  const page = mask(a.haw - 1, 12);
  /** A unit may not implement the bits past ND. */
  const domainId = BigInt(a.domains - 1);
  const list: Register[] = [
    { name: 'VER_REG', at: VER, width: 4, stored: 0n, zero: mask(31, 8) },
    { name: 'CAP_REG', at: CAP, width: 8, stored: 0n, zero: 0n, fixed: a.cap },
    { name: 'ECAP_REG', at: ECAP, width: 8, stored: 0n, zero: 0n, fixed: a.ecap },
    { name: 'GCMD_REG', at: GCMD, width: 4, stored: 0n, zero: mask(22, 0) },
    {
      name: 'RTADDR_REG',
      at: RTADDR,
      width: 8,
      stored: page | mask(11, 10),
      judged: page | (a.smts ? mask(11, 10) : 0n),
      zero: mask(9, 0),
    },
    { name: 'CCMD_REG', at: CCMD, width: 8, stored: mask(15, 0), judged: domainId, zero: mask(58, 34) },
    { name: 'FSTS_REG', at: FSTS, width: 4, stored: 0n, zero: mask(31, 16) | (a.afl ? 0n : mask(3, 2)) },
    ...eventRegisters('FE', FECTL, a),
    { name: 'IVA_REG', at: a.iro, width: 8, stored: 0n, zero: mask(11, 7) },
    { name: 'IOTLB_REG', at: a.iro + 8, width: 8, stored: mask(47, 32), judged: domainId << 32n, zero: mask(31, 0) | mask(56, 50) },
  ];
  if (a.qi)
    list.push(
      { name: 'IQH_REG', at: IQH, width: 8, stored: 0n, zero: mask(63, 19) | mask(3, 0) },
      { name: 'IQT_REG', at: IQT, width: 8, stored: mask(18, 4), zero: mask(63, 19) | mask(3, 0) },
      {
        name: 'IQA_REG',
        at: IQA,
        width: 8,
        stored: page | mask(11, 11) | mask(2, 0),
        judged: page | mask(2, 0) | (a.smts ? mask(11, 11) : 0n),
        zero: mask(10, 3),
      },
      { name: 'ICS_REG', at: ICS, width: 4, stored: 0n, zero: mask(31, 1) },
      ...eventRegisters('IE', IECTL, a),
    );
  if (a.ir) list.push({ name: 'IRTA_REG', at: IRTA, width: 8, stored: page | mask(3, 0) | (a.eim ? mask(11, 11) : 0n), zero: mask(10, 4) });
  if (a.prs)
    list.push(
      { name: 'PQH_REG', at: PQH, width: 8, stored: mask(18, 5), zero: mask(63, 19) | mask(4, 0) },
      { name: 'PQT_REG', at: PQT, width: 8, stored: 0n, zero: mask(63, 19) | mask(4, 0) },
      { name: 'PQA_REG', at: PQA, width: 8, stored: page | mask(2, 0), zero: mask(11, 3) },
      { name: 'PRS_REG', at: PRS, width: 4, stored: 0n, zero: mask(31, 2) },
      ...eventRegisters('PE', PECTL, a),
    );
  if (a.plmr)
    list.push(
      { name: 'PLMBASE_REG', at: PLMBASE, width: 4, stored: all32, judged: 0n, zero: 0n },
      { name: 'PLMLIMIT_REG', at: PLMLIMIT, width: 4, stored: all32, judged: 0n, zero: 0n },
    );
  if (a.phmr)
    list.push(
      { name: 'PHMBASE_REG', at: PHMBASE, width: 8, stored: all64, judged: 0n, zero: 0n },
      { name: 'PHMLIMIT_REG', at: PHMLIMIT, width: 8, stored: all64, judged: 0n, zero: 0n },
    );
  if (a.plmr || a.phmr) list.push({ name: 'PMEN_REG', at: PMEN, width: 4, stored: mask(31, 31), zero: mask(30, 1) });
  return list;
};
