// Sweeps of registers: patterns in every register of a unit that nothing is enabled of, commands it does or does not offer, records that are filled,
// cleared and filled again, events masked and not. VT-d 4.1, Register Descriptions; Primary Fault Logging.

import { bit, mask, REG } from './bits.ts';
import { invalidate, resume } from './invalidate.ts';
import { tell } from './scenes.ts';
import { is, persistent, read, type Software, turn, write } from './software.ts';
import { anew, deviceOf, push, span } from './sweep-path.ts';

type Register = readonly [at: number, width: 4 | 8];
const registersOf = (sw: Software): readonly Register[] => {
  const { facts } = sw;
  return [
    [REG.VER, 4],
    [REG.CAP, 8],
    [REG.ECAP, 8],
    [REG.GSTS, 4],
    [REG.RTADDR, 8],
    [REG.FECTL, 4],
    [REG.FEDATA, 4],
    [REG.FEADDR, 4],
    [REG.FEUADDR, 4],
    [REG.FSTS, 4],
    [facts.invalidateAt, 8],
    ...(facts.queue
      ? ([
          [REG.IQH, 8],
          [REG.IQT, 8],
          [REG.IQA, 8],
          [REG.ICS, 4],
          [REG.IECTL, 4],
          [REG.IEDATA, 4],
          [REG.IEADDR, 4],
          [REG.IEUADDR, 4],
        ] as const)
      : []),
    ...(facts.remaps ? ([[REG.IRTA, 8]] as const) : []),
    ...(facts.pageRequests
      ? ([
          [REG.PQH, 8],
          [REG.PQT, 8],
          [REG.PQA, 8],
          [REG.PRS, 4],
          [REG.PECTL, 4],
          [REG.PEDATA, 4],
          [REG.PEADDR, 4],
          [REG.PEADDR + 4, 4],
        ] as const)
      : []),
    ...(facts.lowProtected || facts.highProtected ? ([[REG.PMEN, 4]] as const) : []),
  ];
};
const everyRead = (sw: Software): void => {
  for (const [at, width] of registersOf(sw)) read(sw, at, width);
  for (const at of [REG.CCMD, sw.facts.invalidateAt + 8]) read(sw, at, 8);
  for (const i of span(Math.min(7, sw.facts.faultRecords - 1), 0)) read(sw, sw.facts.faultAt + 16 * i + 8, 8);
};
/** Ones, every other bit, single bits; whole and by halves. Event controls stay masked: their messages would go anywhere. */
export const registers = (sw: Software, n: number): boolean =>
  anew(sw, () => {
    const ones = BigInt.asUintN(64, -1n);
    const patterns = [ones, 0x5555_5555_5555_5555n, 0xaaaa_aaaa_aaaa_aaaan, bit((n * 7) % 32) | bit(32 + ((n * 5) % 32)), 0n];
    everyRead(sw);
    for (const value of patterns) {
      for (const [i, [at, width]] of registersOf(sw).entries()) {
        const control = ([REG.FECTL, REG.IECTL, REG.PECTL] as readonly number[]).includes(at);
        const put = control ? value | mask : value;
        if (width === 4) write(sw, at, 4, put & 0xffff_ffffn);
        else if ((i + n) % 2 === 0) write(sw, at, 8, put);
        else {
          write(sw, at, 4, put & 0xffff_ffffn);
          write(sw, at + 4, 4, put >> 32n);
        }
        if (width === 8 && (i + n) % 3 === 0) {
          read(sw, at, 4);
          read(sw, at + 4, 4);
        }
      }
      // Of commands only the fields, not the bit that starts them.
      for (const at of [REG.CCMD, sw.facts.invalidateAt + 8]) write(sw, at, 8, value & ~bit(63));
      sw.out.push({ do: 'settle' });
      everyRead(sw);
    }
    sw.out.push({ do: 'vtd.reset' });
    everyRead(sw);
  });
/** Every bit of GCMD_REG that is a command by itself, offered or not, and register-based invalidation in a unit that was in another mode before. */
export const allCommands = (sw: Software, n: number): boolean =>
  anew(sw, () => {
    const { facts } = sw;
    for (const k of span(31, 0)) {
      // Enabling wants its table first, and the queue its address.
      if (k === 31 || k === 25 || (k === 26 && facts.queue)) continue;
      write(sw, REG.GCMD, 4, sw.commands | bit(k));
      sw.out.push({ do: 'settle' });
      read(sw, REG.GSTS, 4);
      if (k === 23 && facts.remaps) {
        sw.commands |= persistent('CFI');
        read(sw, REG.GSTS, 4);
        turn(sw, 'CFI', false);
      }
      read(sw, REG.GCMD, 4);
    }
    if (facts.scalable && n % 2 === 0) {
      write(sw, REG.RTADDR, 8, bit(10));
      write(sw, REG.GCMD, 4, sw.commands | bit(30));
      sw.out.push({ do: 'settle' });
      read(sw, REG.GSTS, 4);
      sw.out.push({ do: 'vtd.reset' });
    }
    for (const grain of [0n, 1n, 2n, 3n]) {
      write(sw, REG.CCMD, 8, bit(63) | (grain << 61n));
      read(sw, REG.CCMD, 8);
      write(sw, facts.invalidateAt + 8, 8, bit(63) | (grain << 60n) | (0x3n << 48n));
      read(sw, facts.invalidateAt + 8, 8);
    }
  });

/** Protected regions around 2 MiB, and what is in them, at their ends and beside them, while nothing is translated. */
export const protectedRegions = (sw: Software, n: number): boolean => {
  const { lowProtected, highProtected } = sw.facts;
  const device = deviceOf(sw, n);
  if (device === undefined || (!lowProtected && !highProtected)) return false;
  const was = is(sw, 'TE');
  const ones = BigInt.asUintN(64, -1n);
  const half = 0x20_0000n;
  resume(sw);
  if (device.requester.can.includes('config'))
    sw.out.push({ do: 'function.config.write', requester: device.index, at: 4, width: 2, value: 4 });
  if (was) turn(sw, 'TE', false);
  const end = BigInt((sw.firstData + sw.dataPages) * 4096);
  const places = [
    BigInt(sw.firstData) << 12n,
    end - 0x1000n,
    ...(end > half ? [half - 0x1000n, half, half + 0x1000n, 2n * half - 0x1000n] : []),
  ];
  const regions: readonly (readonly [bigint, bigint])[] = [
    [0n, 0n],
    [half, half],
    [half, 2n * half - 1n],
    [0n, half - 1n],
    [half, 0n],
    [2n * half, ones],
    [bit(31), ones],
    [bit(32), ones],
    [0n, ones],
  ];
  for (const [base, limit] of regions)
    for (const kind of [...(lowProtected ? ['low' as const] : []), ...(highProtected ? ['high' as const] : [])]) {
      const [at, width] = kind === 'low' ? [REG.PLMBASE, 4 as const] : [REG.PHMBASE, 8 as const];
      const to = (x: bigint): bigint => BigInt.asUintN(8 * width, x);
      write(sw, at, width, to(ones));
      read(sw, at, width);
      write(sw, at, width, to(base) === base ? base : to(ones));
      write(sw, at + (kind === 'low' ? 4 : 8), width, to(limit));
      write(sw, REG.PMEN, 4, bit(31));
      sw.out.push({ do: 'settle' });
      read(sw, REG.PMEN, 4);
      for (const place of places) push(sw, device, place + BigInt(8 * (n % 7)));
      write(sw, REG.PMEN, 4, 0n);
      sw.out.push({ do: 'settle' });
      read(sw, REG.PMEN, 4);
      push(sw, device, places[0] ?? 0n);
      tell(sw);
    }
  if (was) turn(sw, 'TE', true);
  invalidate(sw, [{ what: 'iotlb', grain: 1, domain: 0 }]);
  return true;
};
