// Scenes of protected memory and of virtual functions that are not there.
// VT-d 4.1, Protected Memory Regions; PCI Express Base, Single Root I/O Virtualization, VF Enable.

import type { Iova } from '../../spec/units.ts';
import { bit, REG, words } from './bits.ts';
import { forget, SRIOV } from './devices.ts';
import { resume } from './invalidate.ts';
import { able, addressOf, dataPage, fresh, has, is, read, type Software, turn, write } from './software.ts';
import { master, tell } from './scenes.ts';

/** Low memory is protected while translation is off: ones tell the alignment, then all of it. */
export const protect = (sw: Software, n: number): void => {
  const device = able(sw, n, 'write');
  if (device === undefined || !sw.facts.lowProtected) return;
  const was = is(sw, 'TE');
  write(sw, REG.PLMBASE, 4, 0xffff_ffffn);
  read(sw, REG.PLMBASE, 4);
  write(sw, REG.PLMBASE, 4, 0n);
  write(sw, REG.PLMLIMIT, 4, 0xffff_ffffn);
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
  for (const d of virtual)
    for (const at of [0, 4]) sw.out.push({ do: 'function.config.read', requester: d.index, at, width: at === 0 ? 4 : 2 });
  for (const d of virtual) {
    const bytes = words(BigInt(fresh(sw))).slice(0, 4);
    const at = BigInt(addressOf(dataPage(sw, d.index))) as Iova;
    if (has(d, 'write')) sw.out.push({ do: 'dma.write', requester: d.index, at, bytes });
  }
  set(SRIOV.number, virtual.length);
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
