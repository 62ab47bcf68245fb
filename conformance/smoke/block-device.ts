// Whether a block device can be driven: features negotiated, one request used, its data and interrupt seen, all forgotten by a reset.

import type { MachineConfig } from '../../spec/units.ts';
import type { ExecTarget } from '../targets/exec/exec.ts';
import { negotiation, reading, readingSeen, smokeMachine } from './block-request.ts';
import { capacity } from './capacity.ts';
import { type Claim, failing, memoryOffers, type Outcome, red, shown } from './claim.ts';

export const blockDevice = (target: () => ExecTarget): readonly Claim[] => {
  let seen: ReturnType<typeof readingSeen> | undefined;
  const grant = (machine: MachineConfig): Outcome => {
    const got = target().reset(machine);
    if (!('granted' in got)) return red(`reset was answered ${shown(got)}`, 'grant a block device with "bus":"none" and 64 KiB of memory');
    const wrong = memoryOffers(got.granted);
    if (wrong !== undefined) return wrong;
    return `memory is ${got.granted.memory.seen}`;
  };
  return [
    {
      check: 'two resets in a row are granted',
      run: () => {
        const first = grant(smokeMachine);
        return typeof first === 'string' ? grant(smokeMachine) : first;
      },
    },
    {
      check: 'features are offered and accepted',
      run: () => {
        const answers = target().applyAll(negotiation);
        const all = answers.flatMap((answer) => ('saw' in answer ? answer.saw : []));
        const offered = all.find((o) => o.saw === 'virtio.features');
        const status = all.find((o) => o.saw === 'virtio.status');
        const wrong = failing(negotiation.slice(0, -1), answers.slice(0, -1), 'a virtio block device');
        if (wrong !== undefined) return wrong;
        if (offered === undefined)
          return red('virtio.features.read was answered without virtio.features', 'answer {"saw":"virtio.features","offered":"0x…"}');
        if ((offered.offered & (1n << 32n)) === 0n)
          return red('VIRTIO_F_VERSION_1 (bit 32) is not offered', 'offer it: only virtio 1.x is judged');
        if (status !== undefined && (status.value & 8) === 0)
          return red(`FEATURES_OK was not kept: status ${status.value}`, 'accept bit 32 alone');
        return `offered 0x${offered.offered.toString(16)}`;
      },
    },
    {
      check: 'one block request is used',
      run: () => {
        const answers = target().applyAll(reading);
        const wrong = failing(reading, answers, 'a virtio block device');
        if (wrong !== undefined) return wrong;
        seen = readingSeen(answers);
        if (seen.usedIndex === 1) return `used index 1, len ${seen.usedLength}`;
        return red(
          `the used index is ${seen.usedIndex}, not 1`,
          'map "file" of the reset line MAP_SHARED (again at every reset), read the rings there when virtq.notify comes, answer settle only when the work is done',
        );
      },
    },
    {
      check: 'its data and status stand in guest memory',
      run: () => {
        if (seen?.status !== 0) return red(`the status byte is ${seen?.status}`, 'write VIRTIO_BLK_S_OK (0) into the last writable byte');
        if (seen.pattern) return 'sector 2 holds the pattern';
        return red(
          'sector 2 does not hold the pattern',
          'fill the disk: each 16-bit little-endian word holds its own index; or grant "disk":"unknown"',
        );
      },
    },
    {
      check: 'its interrupt is reported',
      run: () =>
        seen?.interrupt
          ? 'with the notification or before settled'
          : red(
              'no interrupt was reported',
              'answer virtq.notify or settle with {"saw":"interrupt","from":"queue"}, after the memory it tells of',
            ),
    },
    { check: 'the capacity is the one that was granted', run: () => capacity(target()) },
    {
      check: 'a reset forgets it all',
      run: () => {
        const again = grant(smokeMachine);
        if (typeof again !== 'string') return again;
        const answer = target().apply({ do: 'virtio.status.read' });
        if ('unsupported' in answer) return 'the status cannot be read';
        const status = 'saw' in answer ? answer.saw.find((o) => o.saw === 'virtio.status') : undefined;
        if (status?.value !== 0) return red(`the status after a reset: ${shown(answer)}`, 'build a fresh device at every reset line');
        const changed = 'saw' in answer ? answer.saw.find((o) => o.saw === 'memory.changed') : undefined;
        return changed
          ? red('memory changed by itself after the reset', 'stop everything of the old machine before answering reset')
          : 'status 0';
      },
    },
  ];
};
