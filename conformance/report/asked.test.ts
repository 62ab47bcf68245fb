// What a report says of machines that were not built: what was asked for in these alone, one line for each reason.

import { expect, test } from 'vitest';
import type { MachineConfig } from '../../spec/units.ts';
import { machinesOn } from '../virtio/machines.ts';
import { askedFor } from './asked.ts';

const on = (bus: MachineConfig['bus']): readonly MachineConfig[] => machinesOn([bus]);
const ofSize = (sectors: number): MachineConfig => {
  const [plain] = on('none');
  if (plain?.virtio === undefined) throw new Error('no machine');
  return { ...plain, virtio: { ...plain.virtio, blk: { ...plain.virtio.blk, sectors } } };
};

test('the bus, where it tells them from all that were built', () => {
  expect(askedFor(on('vhost-user'), on('none'))).toBe('bus vhost-user');
  expect(askedFor([...on('pci'), ...on('mmio')], on('none'))).toBe('bus pci or bus mmio');
});
test('else what does', () => {
  expect(askedFor([ofSize(9), ofSize(7)], [ofSize(8)])).toBe('a disk of 9 sectors or a disk of 7 sectors');
});
test('nothing, where nothing does', () => {
  expect(askedFor([ofSize(8)], [ofSize(8)])).toBe('');
});
test('where nothing was built, what all of them are', () => {
  expect(askedFor(on('mmio'), [])).toBe('bus mmio');
});
