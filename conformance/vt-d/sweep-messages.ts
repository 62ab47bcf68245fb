// Sweeps of messages that no table entry remaps, and of requests that look like interrupts and are none.
// VT-d 4.1, Interrupt Request Formats on Intel 64 Platforms.

import type { Iova } from '../../spec/units.ts';
import { bit, message } from './bits.ts';
import { master, tell } from './scenes.ts';
import { addressOf, dataPage, fresh, is, peek, poke, type Software, turn } from './software.ts';
import { deviceOf, flush, lay, pathOf, push, span, within } from './sweep-path.ts';

/** Messages that are not remapped: every bit of address and data; with remapping on and compatibility format let through, or not. */
export const messages = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'msi');
  if (device === undefined || !sw.shows) return false;
  const [was, compatible] = [is(sw, 'IRE'), is(sw, 'CFI')];
  const mode = sw.remaps ? n % 3 : 0;
  if (mode === 0 && was) turn(sw, 'IRE', false);
  if (mode > 0 && !was) turn(sw, 'IRE', true);
  if (mode > 0 && compatible !== (mode === 1)) turn(sw, 'CFI', mode === 1);
  master(sw, device);
  tell(sw);
  const to = (address: bigint, data: number): void => {
    sw.out.push({ do: 'msi.send', requester: device.index, address: message | address, data });
    sw.out.push({ do: 'settle' });
  };
  for (const k of [2, 3, ...span(19, 12)]) to(bit(k), 0x31 + k);
  for (const k of [...span(10, 8), 14, 15]) to(bit(13), (1 << k) | 0x52);
  for (const vector of [0x20, 0x7f, 0x80, 0xfe]) to(bit(19) | bit(3), vector);
  tell(sw);
  if (mode > 0 && compatible !== (mode === 1)) turn(sw, 'CFI', compatible);
  if (is(sw, 'IRE') !== was) turn(sw, 'IRE', was);
  return true;
};
/** Writes that look like interrupt requests and are none: with PASID, which the tables map; of another size; reads; beside the range. */
export const looksLike = (sw: Software, n: number): boolean => {
  const path = pathOf(sw, n, 0xfee0_0000n);
  const device = deviceOf(sw, n, 'read');
  if (path === undefined || device === undefined || path.kind === 'through') return false;
  const at = path.at;
  const tag = sw.scalable && sw.facts.pasid && device.requester.can.includes('pasid') ? { pasid: 1 } : undefined;
  lay(sw, device, path);
  if (tag !== undefined) lay(sw, device, { ...path, pasid: 1, data: 2 });
  const beside = [0xfedf_f000n, 0xfef0_0000n] as const;
  within(sw, device, () => {
    if (tag !== undefined) {
      push(sw, device, at, tag);
      sw.out.push({ do: 'dma.read', requester: device.index, at: at as Iova, length: 4, ...tag });
      sw.out.push({ do: 'settle' });
      tell(sw);
    }
    for (const length of [1, 2, 3, 5, 8, 4096]) {
      const bytes = new Uint8Array(length).fill(0x80 + (fresh(sw) & 0x3f));
      sw.out.push({ do: 'dma.write', requester: device.index, at: at as Iova, bytes });
    }
    sw.out.push({ do: 'dma.read', requester: device.index, at: at as Iova, length: 4 });
    if (device.requester.can.includes('atomic'))
      sw.out.push({ do: 'dma.atomic', requester: device.index, at: at as Iova, width: 4, operand: 5n });
    sw.out.push({ do: 'settle' });
    tell(sw);
    for (const place of beside) {
      lay(sw, device, { ...path, at: place, data: 3 });
      flush(sw);
      push(sw, device, place);
      sw.out.push({ do: 'settle' });
      tell(sw);
    }
    // Nor does anything get there by translation.
    for (const to of [0xfee0_0000n, 0xfeef_f000n, 0xfedf_f000n, 0xfef0_0000n]) {
      const spots = lay(sw, device, { ...path, at: 0x3000n, data: 4 });
      const leaf = (path.kind === 'first' || path.kind === 'nested' ? spots.first : spots.second)[0] as number;
      if (path.kind === 'nested') continue;
      const was = peek(sw, leaf);
      poke(sw, leaf, (was & 0xfffn) | to);
      flush(sw);
      sw.out.push({ do: 'dma.read', requester: device.index, at: 0x3000n as Iova, length: 4 });
      push(sw, device, 0x3000n);
      tell(sw);
      push(sw, device, 0x3004n);
      poke(sw, leaf, BigInt(addressOf(dataPage(sw, 4))) | (was & 0xfffn));
    }
  });
  return true;
};
