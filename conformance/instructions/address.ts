// How the memory operand of a case is addressed: base, index, scale and displacement for the place that it is to be at, and the registers that this takes.
// Intel SDM volume 2, Addressing-Mode Encoding of ModR/M and SIB Bytes; volume 1, Specifying an Offset.

import type { Case } from './choice.ts';
import { type Desk, setRegister } from './desk.ts';
import { latePlaces, type Place, places } from './edges.ts';
import { addressSize, type Encoding, type Memory } from './encode.ts';
import * as at from './layout.ts';

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
/** Of addresses, by their size in bytes. */
const masks = { 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;
/** Segments by override, from choice 5 on. */
const overrides = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
const FIRST_OVERRIDE = 5;
/** Where an address leads, and how it is put. */
interface Addressed {
  readonly rm: Memory;
  readonly linear: bigint;
}
interface Aim {
  readonly wide: 2 | 4 | 8;
  readonly base: number;
  readonly override: 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | undefined;
  readonly segmentBase: bigint;
  readonly wanted: bigint;
}
/** What late recipes draw beyond the six ways: indices that are negative or large, scales of 1 and 8, an index without a base, registers with a REX bit,
 *  two registers in 16-bit addresses, RIP with 32-bit addresses. */
const lateAddress = (d: Desk, c: Case, { wide, base, override, segmentBase, wanted }: Aim): Addressed | undefined => {
  const mask = masks[wide];
  const how = c.addressing - 6;
  const set = (register: number, value: bigint): void => {
    setRegister(d, register, value & mask);
  };
  const of64 = d.mode === 'long64';
  const linear = (segment: bigint, effective: bigint): bigint => (segment + effective) & (of64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
  /** Base of the segment where the base register is `register`. */
  const segmentOf = (register: number | undefined): bigint =>
    override !== undefined || of64 ? segmentBase : d.s[register === 5 || register === 4 ? 'ss' : 'ds'].base;
  if (wide === 2) {
    const [one, other] = [pick([3, 5], c.rm), pick([6, 7], c.reg)];
    const segment = segmentOf(one);
    const effective = segment === 0n ? 0xc000n + (wanted & 0xfffn) : (wanted - segment) & mask;
    const value = pick([8n, 0xfff0n, 0x8000n], how);
    const displacement = pick([0, 4, -0x20, 0x120], how);
    set(other, value);
    set(one, effective - value - BigInt(displacement));
    return {
      rm: { base: one, index: other, displacement, dispSize: displacement === 0 ? 0 : displacement === 0x120 ? 4 : 1 },
      linear: linear(segment, effective),
    };
  }
  if (how === 5) {
    // RIP with 67H: EIP.
    if (d.mode !== 'long64' || (override !== undefined && (override === 'fs' || override === 'gs'))) return undefined;
    const distance = wanted - BigInt(at.code);
    if (BigInt.asIntN(32, distance) !== distance) return undefined;
    return { rm: { base: undefined, displacement: Number(distance), dispSize: 4, rip: true }, linear: wanted };
  }
  const index = of64 ? pick([6, 9, 12, 15], c.reg) : pick([6, 7, 1], c.reg);
  const scale = pick([3, 0, 2, 1] as const, how);
  const displacement = pick([-16, -0x120, -0x7fff_f000, 0x7fff_f000], how);
  const dispSize = how % 4 === 0 ? 1 : 4;
  if (how >= 3) {
    // No base: the displacement takes what the scale does not divide.
    const segment = segmentOf(undefined);
    const effective = (wanted - segment) & mask;
    const rest = Number(effective % BigInt(1 << scale));
    const total = BigInt(displacement + rest);
    set(index, (effective - total) / BigInt(1 << scale));
    return { rm: { base: undefined, index, scale, displacement: displacement + rest, dispSize: 4 }, linear: linear(segment, effective) };
  }
  const other = index === base ? (of64 ? 10 : 2) : index;
  const value = pick([8n, -8n, 0x1000_0001n, -0x8000_0000n], c.count);
  const segment = segmentOf(base);
  const effective = (wanted - segment) & mask;
  set(other, value);
  set(base, effective - value * BigInt(1 << scale) - BigInt(displacement));
  return { rm: { base, index: other, scale, displacement, dispSize }, linear: linear(segment, effective) };
};
/** The place of that number, or another where that one cannot be had. */
export const placeOf = (usable: readonly Place[], n: number): Place => {
  const wanted = places[n];
  return wanted !== undefined && usable.includes(wanted) ? wanted : pick(usable, n);
};
const PG = 1n << 31n;
/** Whether a place can be had: bit 0 of `here` with 64-bit addresses, bit 1 with paging. */
const can = (p: Place, here: number): boolean => (p.only64 !== true || (here & 1) !== 0) && (p.paged !== true || (here & 2) !== 0);
const usablePlaces: readonly (readonly Place[])[] = [0, 1, 2, 3].map((here) => places.filter((p) => can(p, here)));
/** Memory operands stand at places; this gives the addressing and puts the base in its register. */
export const address = (
  d: Desk,
  c: Case,
  e: Pick<Encoding, 'code' | 'narrow'>,
  width: number,
): { readonly rm: Memory; readonly linear: bigint } => {
  const wide = addressSize(e);
  const here = (d.mode === 'long64' && wide === 8 ? 1 : 0) + ((d.s.cr0 & PG) !== 0n ? 2 : 0);
  const late = c.place < places.length ? undefined : latePlaces[c.place - places.length];
  const usable = usablePlaces[here] as readonly Place[];
  const wanted = (late !== undefined && can(late, here) ? late : placeOf(usable, late === undefined ? c.place : 0)).at(width);
  const base = wide === 2 ? pick([3, 6, 7, 5], c.rm) : d.mode === 'long64' ? (c.rm === 4 ? 3 : c.rm) : (c.rm & 7) === 4 ? 3 : c.rm & 7;
  // A place that is not there is not asked for: an index below 0 is slow to look up.
  const named = c.prefix < FIRST_OVERRIDE ? undefined : overrides[c.prefix - FIRST_OVERRIDE];
  const segment = d.s[named ?? (base === 5 || base === 4 ? 'ss' : 'ds')];
  const segmentBase = d.mode === 'long64' && named !== 'fs' && named !== 'gs' ? 0n : segment.base;
  const mask = masks[wide];
  // A 16-bit address without a segment base reaches no user page: free memory beside the stacks.
  const effective = wide === 2 && segmentBase === 0n ? 0xc000n + (wanted & 0xfffn) : (wanted - segmentBase) & mask;
  const linear = (segmentBase + effective) & (d.mode === 'long64' ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
  const setBase = (displacement: number): void => {
    setRegister(d, base, (effective - BigInt(displacement)) & mask);
  };
  if (c.addressing >= 6) {
    const found = lateAddress(d, c, { wide, base, override: named, segmentBase, wanted });
    if (found !== undefined) return found;
  }
  const how = c.addressing % 6;
  const signed32 = BigInt.asIntN(32, effective);
  if (
    how === 4 &&
    (wide === 2 || (BigInt.asUintN(8 * wide, signed32) === effective && (named === undefined ? segment === d.s.ds || base !== 5 : true)))
  ) {
    // Without a base register the default segment is DS.
    if (named !== undefined || (base !== 5 && base !== 4))
      return { rm: { base: undefined, displacement: Number(BigInt.asIntN(32, effective)), dispSize: wide === 2 ? 2 : 4 }, linear };
  }
  if (how === 5 && wide === 8 && (named === undefined || (named !== 'fs' && named !== 'gs'))) {
    const distance = effective - BigInt(at.code);
    if (BigInt.asIntN(32, distance) === distance)
      return { rm: { base: undefined, displacement: Number(distance), dispSize: 4, rip: true }, linear };
  }
  if (how === 3 && wide !== 2) {
    const index = pick([6, 7, 1], c.reg) === base ? 2 : pick([6, 7, 1], c.reg);
    setRegister(d, index, 8n);
    setBase(8 * 4 + 4);
    return { rm: { base, index, scale: 2, displacement: 4, dispSize: 1 }, linear };
  }
  const displacement = how === 1 ? -16 : how === 2 ? 0x120 : 0;
  setBase(displacement);
  return { rm: { base, displacement, dispSize: how === 1 ? 1 : how === 2 ? 4 : 0 }, linear };
};
