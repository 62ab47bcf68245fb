// Scenes of protected memory and of virtual functions that are not there.
// VT-d 4.1, Protected Memory Regions; PCI Express Base, Single Root I/O Virtualization, VF Enable.

import type { Iova } from '../../spec/units.ts';
import { bit, REG, words } from './bits.ts';
import { forget, SRIOV } from './devices.ts';
import { invalidate, resume, submit } from './invalidate.ts';
import { startQueue } from './registers.ts';
import { able, addressOf, dataPage, fresh, has, is, read, type Software, turn, write } from './software.ts';
import { master, PLACE, tell } from './scenes.ts';

/** Memory is protected while translation is off: ones tell the alignment, then all of it, or what begins or ends at 2 MiB, or what no memory is in. */
export const protect = (sw: Software, n: number): void => {
  const device = able(sw, n, 'write');
  const { lowProtected, highProtected } = sw.facts;
  if (device === undefined || lowProtected === highProtected) return;
  const was = is(sw, 'TE');
  const [base, limit, width] = lowProtected ? [REG.PLMBASE, REG.PLMLIMIT, 4 as const] : [REG.PHMBASE, REG.PHMLIMIT, 8 as const];
  const ones = width === 4 ? 0xffff_ffffn : BigInt.asUintN(64, -1n);
  const half = 0x20_0000n;
  const regions: readonly (readonly [bigint, bigint])[] = [
    [0n, ones],
    [half, ones],
    [0n, 0n],
    [width === 4 ? bit(31) : bit(32), ones],
  ];
  const [from, to] = regions[(n + sw.counter) % 4] ?? [0n, ones];
  write(sw, base, width, ones);
  read(sw, base, width);
  write(sw, base, width, from);
  write(sw, limit, width, to);
  write(sw, REG.PMEN, 4, bit(31));
  read(sw, REG.PMEN, 4);
  sw.out.push({ do: 'settle' });
  read(sw, REG.PMEN, 4);
  master(sw, device);
  if (was) turn(sw, 'TE', false);
  const at = BigInt(addressOf(dataPage(sw, n))) as Iova;
  sw.out.push({ do: 'dma.write', requester: device.index, at, bytes: words(BigInt(fresh(sw))).slice(0, 4) });
  tell(sw);
  write(sw, REG.PMEN, 4, 0n);
  read(sw, REG.PMEN, 4);
  if (was) turn(sw, 'TE', true);
};
/** A function is reset and asked at once for what only a bus master may do; then it is told to be one again, by a wide write. */
export const resetFunction = (sw: Software, n: number): void => {
  const device = able(sw, n, 'config', 'write');
  if (device === undefined || sw.devices.some((d) => d.requester.physical === device.index)) return;
  const { index: requester } = device;
  const write4 = (value: number): void => {
    sw.out.push({ do: 'function.config.write', requester, at: 4, width: 4, value });
  };
  const look = (): void => {
    for (const at of [0, 4]) sw.out.push({ do: 'function.config.read', requester, at, width: 4 });
    sw.out.push({ do: 'function.config.read', requester, at: 4, width: 2 });
  };
  const push = (): void => {
    const at = PLACE as Iova;
    sw.out.push({ do: 'dma.write', requester, at, bytes: words(BigInt(fresh(sw))).slice(0, 4) });
    tell(sw);
  };
  write4(6);
  look();
  sw.out.push({ do: 'function.reset', requester });
  push();
  look();
  // Bus mastering by the low byte alone, and not by the high one.
  sw.out.push({ do: 'function.config.write', requester, at: 5, width: 1, value: 4 });
  look();
  push();
  sw.out.push({ do: 'function.config.write', requester, at: 4, width: 1, value: 4 });
  look();
  push();
};
/** Device-TLB invalidations by PASID: one page, many, everything, of one PASID or of all. */
export const deviceForgets = (sw: Software, n: number): void => {
  const device = able(sw, n, 'ats');
  if (device === undefined || !sw.queue.on || !sw.facts.deviceTlb || !sw.scalable) return;
  const { sourceId: source } = device.requester;
  const physical = sw.devices[device.requester.physical ?? device.index]?.requester.sourceId ?? 0;
  const places: readonly (readonly [bigint, boolean])[] = [
    [0x1_2345_6000n, false],
    [0x7fff_ffff_ffff_f000n, true],
    [0x1_2345_0000n, true],
    [0x8000_7000n, true],
  ];
  for (const [k, [at, sized]] of places.entries())
    invalidate(sw, [
      { what: 'pasid-device', source, at, sized, pasid: 1 + ((k + n) % 3) * 0x1234, every: (k + n) % 4 === 3, physical },
      { what: 'device', source, at, sized, physical },
    ]);
  sw.out.push({ do: 'settle' });
};
/** A wait whose status has no memory to stand in: whatever comes of it, the unit lives. Then the queue is begun anew, where that may be. */
export const nowhereStatus = (sw: Software): void => {
  if (!sw.queue.on || sw.scalable || sw.remaps) return;
  resume(sw);
  submit(sw, [[5n | bit(5) | (0x41n << 32n), 0x4000_0000n]]);
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
  write(sw, REG.FSTS, 4, bit(4));
  turn(sw, 'QIE', false);
  sw.queue.on = false;
  startQueue(sw);
};
/** No virtual function is there; then all are again. */
export const withoutFunctions = (sw: Software): void => {
  const physical = sw.devices.find((d) => sw.devices.some((v) => v.requester.physical === d.index));
  if (physical === undefined) return;
  const { index: requester } = physical;
  const virtual = sw.devices.filter((d) => d.requester.physical === requester);
  const set = (at: number, value: number): void => {
    sw.out.push({ do: 'function.config.write', requester, at, width: 2, value });
  };
  sw.out.push({ do: 'function.config.read', requester, at: SRIOV.header, width: 4 });
  sw.out.push({ do: 'function.config.read', requester, at: SRIOV.initial, width: 4 });
  set(SRIOV.control, 0);
  for (const d of virtual) sw.out.push({ do: 'function.config.write', requester: d.index, at: 4, width: 2, value: 6 });
  for (const d of virtual)
    for (const at of [0, 4]) sw.out.push({ do: 'function.config.read', requester: d.index, at, width: at === 0 ? 4 : 2 });
  for (const d of virtual) {
    const bytes = words(BigInt(fresh(sw))).slice(0, 4);
    const at = BigInt(addressOf(dataPage(sw, d.index))) as Iova;
    if (has(d, 'write')) sw.out.push({ do: 'dma.write', requester: d.index, at, bytes });
  }
  // NumVFs by a write whose upper half is not its own.
  sw.out.push({ do: 'function.config.write', requester, at: SRIOV.number, width: 4, value: 0xffff_0000 + virtual.length });
  set(SRIOV.control, 9);
  for (const at of [SRIOV.control, SRIOV.number, SRIOV.offset]) sw.out.push({ do: 'function.config.read', requester, at, width: 4 });
  for (const d of virtual) {
    sw.out.push({ do: 'function.config.read', requester: d.index, at: 0, width: 4 });
    sw.out.push({ do: 'function.config.write', requester: d.index, at: 4, width: 2, value: 6 });
    sw.out.push({ do: 'function.config.read', requester: d.index, at: 4, width: 2 });
  }
};
/** A device keeps silent when its TLB is invalidated; then its time-out is cleared, and it answers again. */
export const unanswered = (sw: Software, n: number): void => {
  const device = able(sw, n, 'ats');
  if (device === undefined || !sw.queue.on || !sw.facts.deviceTlb) return;
  const { index: requester } = device;
  resume(sw);
  sw.out.push({ do: 'ats.answers', requester, answers: false });
  forget(sw, device, 0x1000n, n % 2 === 0, 0);
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
  read(sw, REG.IQH, 8);
  sw.out.push({ do: 'ats.answers', requester, answers: true });
  write(sw, REG.FSTS, 4, bit(6));
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
};
