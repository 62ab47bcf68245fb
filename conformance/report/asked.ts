// What was asked for in the machines that a target would not build, and in none that it built, in a user's words.
// The target's own reason stands beside it: one line for each reason.

import type { MachineConfig } from '../../spec/units.ts';

const KIB = 1024;
/** MGAW of CAP_REG: VT-d 4.1, Capability Register. */
const guestWidth = (cap: bigint): number => Number((cap >> 16n) & 0x3fn) + 1;
/** In the order in which they are looked at: the first that explains is enough. */
const traits: readonly ((m: MachineConfig) => string | undefined)[] = [
  ({ bus }) => (bus === 'none' ? undefined : `bus ${bus}`),
  ({ cpu }) => (cpu?.monitor === undefined || cpu.monitor === 'none' ? undefined : `the monitor ${cpu.monitor}`),
  ({ cpu }) => cpu && `a processor in ${cpu.mode}`,
  ({ cpu }) => cpu && `paging ${cpu.paging}`,
  ({ cpu }) => (cpu?.features.length ? `a processor with ${cpu.features.join(', ')}` : undefined),
  ({ vtd }) => vtd && `guest addresses of ${guestWidth(vtd.cap)} bits`,
  ({ vtd }) => vtd && `host addresses of ${vtd.hostAddressWidth} bits`,
  ({ memory }) => `${memory / KIB} KiB of memory`,
  ({ virtio }) => virtio && `${virtio.queues} queue${virtio.queues === 1 ? '' : 's'}`,
  ({ virtio }) => virtio && `queues of ${virtio.queueSizeMax}`,
  ({ virtio }) => virtio && `a disk of ${virtio.blk.sectors} sectors`,
  ({ virtio }) => virtio && `blocks of ${virtio.blk.blockSize} bytes`,
  ({ virtio }) => (virtio?.blk.readOnly === true ? 'a read-only disk' : undefined),
];
/** A list of more values than these names nothing. */
const most = 4;

/** Empty where no single trait tells them from what was built. */
export const askedFor = (refused: readonly MachineConfig[], built: readonly MachineConfig[]): string => {
  for (const trait of traits) {
    const wanted = [...new Set(refused.map(trait))];
    const common = new Set(built.map(trait));
    if (wanted.length <= most && wanted.every((w) => w !== undefined && !common.has(w))) return wanted.join(' or ');
  }
  return '';
};
