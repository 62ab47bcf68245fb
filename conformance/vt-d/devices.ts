// What devices do beside memory requests: ask for translations and pages, keep silent, be reset, have virtual functions.
// PCI Express Base: Address Translation Services, Page Request Interface, Single Root I/O Virtualization; VT-d 4.1, Device-TLB invalidation.

import type { Iova } from '../../spec/units.ts';
import { bit, REG } from './bits.ts';
import { invalidate } from './invalidate.ts';
import { attributesOf, pageFor } from './requests.ts';
import { able, addressOf, dataPage, type Device, has, PAGES, read, type Software, write } from './software.ts';

export const translation = (
  sw: Software,
  c: { readonly requester: number; readonly at: number; readonly pages: number; readonly flags: number; readonly pasid: number },
): void => {
  const device = able(sw, c.requester, 'ats');
  if (device === undefined) return;
  const at = pageFor(sw, device, c.at, c.pasid) as Iova;
  const attributes = attributesOf(sw, device, c.pasid, c.flags);
  sw.out.push({
    do: 'ats.request',
    requester: device.index,
    at,
    ...attributes,
    pages: c.pages,
    ...((c.flags & 4) !== 0 ? { noWrite: true } : {}),
  });
  const space = (device.attached.get(c.pasid) ?? device.attached.get(0))?.space;
  const mapping = space?.mappings.find((m) => m.at === at && m.level === 1 && m.rights === 3);
  if (mapping !== undefined) device.translated.push({ at, page: dataPage(sw, mapping.page) });
};
/** Lets the device forget: one page, or everything. */
export const forget = (sw: Software, device: Device, at: bigint, everything: boolean, pasid: number): void => {
  if (!has(device, 'ats') || !sw.queue.on) return;
  const physical = sw.devices[device.requester.physical ?? device.index]?.requester.sourceId ?? 0;
  const target = everything ? 0x7fff_ffff_ffff_f000n : at & ~0xfffn;
  const source = device.requester.sourceId;
  if (sw.scalable && pasid !== 0)
    invalidate(sw, [{ what: 'pasid-device', source, at: target, sized: everything, pasid, every: false, physical }]);
  else invalidate(sw, [{ what: 'device', source, at: target, sized: everything, physical }]);
};

/** Page-request queue of 4 KiB. */
export const startRequests = (sw: Software): void => {
  if (!sw.facts.pageRequests) return;
  write(sw, REG.PQH, 8, 0n);
  write(sw, REG.PQT, 8, 0n);
  write(sw, REG.PQA, 8, BigInt(addressOf(PAGES.requests)));
};
export const pageRequest = (
  sw: Software,
  c: { readonly requester: number; readonly at: number; readonly flags: number; readonly pasid: number; readonly answered: boolean },
): void => {
  const device = able(sw, c.requester, 'pri');
  if (device === undefined || !sw.facts.pageRequests) return;
  const at = pageFor(sw, device, c.at, c.pasid) as Iova;
  const { execute: _, ...attributes } = attributesOf(sw, device, c.pasid, 0);
  const group = c.at % 8;
  const last = (c.flags & 8) === 0;
  const [wantsRead, wantsWrite] = [(c.flags & 1) === 0, (c.flags & 2) !== 0];
  sw.out.push({ do: 'pri.request', requester: device.index, at, ...attributes, read: wantsRead, write: wantsWrite, last, group });
  read(sw, REG.PQT, 8);
  read(sw, REG.PRS, 4);
  if (!c.answered || !last || !sw.queue.on) return;
  const source = device.requester.sourceId;
  const code = [0, 1, 15][c.flags % 3] ?? 0;
  const pasid = 'pasid' in attributes ? attributes.pasid : undefined;
  invalidate(sw, [{ what: 'response', source, pasid, group, code }]);
  // Everything up to here is taken: head to where one entry of 32 bytes ends, only if there was just one.
};
export const silence = (sw: Software, n: number, answers: boolean): void => {
  const device = able(sw, n, 'ats');
  if (device !== undefined) sw.out.push({ do: 'ats.answers', requester: device.index, answers });
};

const COMMAND = 0x04;
export const SRIOV: Readonly<Record<'header' | 'control' | 'initial' | 'number' | 'offset', number>> = {
  header: 0x100,
  control: 0x108,
  initial: 0x10c,
  number: 0x110,
  offset: 0x114,
};
/** Bus mastering on and off; look at the identity; virtual functions off, on and fewer; reset. */
export const functionOf = (sw: Software, n: number, what: number, count: number): void => {
  const device = able(sw, n, 'config');
  if (device === undefined) return;
  const { index: requester } = device;
  const set = (at: number, value: number, width: 1 | 2 | 4 = 2): void => {
    sw.out.push({ do: 'function.config.write', requester, at, width, value });
  };
  const get = (at: number, width: 1 | 2 | 4 = 2): void => {
    sw.out.push({ do: 'function.config.read', requester, at, width });
  };
  const physical = sw.devices.some((d) => d.requester.physical === requester);
  switch (what) {
    case 0:
    case 1:
      set(COMMAND, what === 0 ? 4 : 0);
      return get(COMMAND);
    case 2:
      get(0, 4);
      return get(COMMAND);
    case 3:
    case 4: {
      if (!physical) return;
      const total = sw.devices.filter((d) => d.requester.physical === requester).length;
      // NumVFs stands still while they are enabled.
      set(SRIOV.control, 0);
      set(SRIOV.number, Math.min(count, total));
      set(SRIOV.control, 9);
      get(SRIOV.control);
      return get(SRIOV.number);
    }
    case 5:
      if (!physical) return;
      set(SRIOV.control, 0);
      return get(SRIOV.control);
    case 6:
      if (!physical) return;
      for (const at of [SRIOV.initial, SRIOV.number, SRIOV.offset]) get(at, 4);
      return;
    default:
      sw.out.push({ do: 'function.reset', requester });
      set(COMMAND, 4);
  }
};
/** All functions may send, all virtual ones are there. */
export const startFunctions = (sw: Software): void => {
  for (const device of sw.devices) {
    const { index: requester } = device;
    const virtual = sw.devices.filter((d) => d.requester.physical === requester).length;
    if (!has(device, 'config')) continue;
    if (virtual > 0) {
      sw.out.push({ do: 'function.config.read', requester, at: SRIOV.header, width: 4 });
      sw.out.push({ do: 'function.config.write', requester, at: SRIOV.number, width: 2, value: virtual });
      sw.out.push({ do: 'function.config.write', requester, at: SRIOV.control, width: 2, value: 9 });
    }
    sw.out.push({ do: 'function.config.write', requester, at: COMMAND, width: 2, value: Number(bit(2)) });
  }
};
