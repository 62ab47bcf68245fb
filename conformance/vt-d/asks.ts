// What a scene's device asks for, where it is no plain write: fetches, privileged reads, page requests, writes that are no interrupt requests.
// VT-d 4.1, Requests-with-PASID; Page Request Services; Interrupt Requests.

import type { Iova } from '../../spec/units.ts';
import { type Change, PLACE } from './scenes.ts';
import { type Device, has, type Software } from './software.ts';

export const fetched = (sw: Software, d: Device): void => {
  sw.out.push({ do: 'dma.read', requester: d.index, at: PLACE as Iova, length: 4, pasid: 1, execute: true });
};
export const privileged = (sw: Software, d: Device): void => {
  sw.out.push({ do: 'dma.read', requester: d.index, at: PLACE as Iova, length: 4, pasid: 1, privileged: true });
};
/** By the fourth with a PASID; where PASIDs are not enabled, or past the directory. */
export const pageAsked: NonNullable<Change['ask']> = (sw, device, n) => {
  if (!has(device, 'pri')) return;
  const more = n > 0 && n < 3 && has(device, 'pasid') && sw.facts.pasid ? { pasid: n === 1 ? 1 : 0x2000 } : {};
  sw.out.push({ do: 'pri.request', requester: device.index, at: PLACE as Iova, ...more, read: true, write: false, last: true, group: 1 });
};

/** Writes to interrupt addresses that have not the size of an interrupt request. */
export const oddSizes: NonNullable<Change['ask']> = (sw, device) => {
  for (const length of [1, 2, 8])
    sw.out.push({ do: 'dma.write', requester: device.index, at: 0xfee0_0000n as Iova, bytes: new Uint8Array(length).fill(0x96) });
};
