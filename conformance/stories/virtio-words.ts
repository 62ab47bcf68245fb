// The words virtio stories are told in: one request, one set-up, one machine, each plain unless a story changes it.

import type { MachineConfig } from '../../spec/units.ts';
import { declining } from '../virtio/violate-common.ts';
import type { BlkChoice, InitChoice, TransferChoice } from '../virtio/blk-choices.ts';
import { PLAIN } from '../virtio/driver.ts';
import { blkMachines } from '../virtio/machines.ts';
import type { Story } from './story.ts';

const POSTED = { queue: 0, cuts: [], every: 0, table: 'direct', place: 'row', times: 1, then: 'settle' } as const;
export const read = (with_: Partial<TransferChoice> = {}): BlkChoice => ({
  op: 'transfer',
  way: 'in',
  sector: 0,
  sectors: 1,
  ...POSTED,
  ...with_,
});
export const write = (with_: Partial<TransferChoice> = {}): BlkChoice => read({ way: 'out', ...with_ });
export const command = (kind: 'flush' | 'get-id'): BlkChoice => ({ op: 'command', kind, ...POSTED });
export const erase = (kind: 'discard' | 'write-zeroes' | 'secure-erase', flags = 0): BlkChoice => ({
  op: 'erase',
  kind,
  sector: 1,
  sectors: 2,
  segments: 1,
  flags,
  ...POSTED,
});
export const unknown = (type: number): BlkChoice => ({ op: 'unknown', type, data: 'none', ...POSTED });
/** `without`: feature bits that the driver declines. */
export const init = (with_: Partial<InitChoice> = {}, without: readonly number[] = []): BlkChoice => ({
  op: 'init',
  ...PLAIN,
  early: 0,
  ...with_,
  decline: declining(without),
});
export const violate = (duty: string, n = 0): BlkChoice => ({ op: 'violate', duty, n });
export const look = (at: 'status' | 'features' | 'queue' | 'generation'): BlkChoice => ({ op: 'look', at, queue: 0 });
/** At used_event `distance` further; `quiet` sets avail flags 1. */
export const suppress = (distance: number, quiet = false): BlkChoice => ({ op: 'suppress', queue: 0, quiet, distance });

type Fit = (m: NonNullable<MachineConfig['virtio']>) => boolean;
/** The first bare-queue machine of the suite that fits: the plain one when nothing is asked. */
export const machine = (fits: Fit = () => true): MachineConfig => {
  const found = blkMachines.find((m) => m.bus === 'none' && m.virtio !== undefined && fits(m.virtio));
  if (found === undefined) throw new Error('no machine of the suite virtio.blk fits the story');
  return found;
};

type Told = Pick<Story, 'name' | 'says' | 'about'> & { readonly choices: readonly BlkChoice[]; readonly on?: MachineConfig };
/** A story of block requests on a bare queue. */
export const story = (s: Told, target = 'ref'): Story => ({
  name: s.name,
  says: s.says,
  about: s.about,
  target,
  suite: 'virtio.blk',
  machine: s.on ?? machine(),
  choices: s.choices,
});
