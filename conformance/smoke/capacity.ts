// Whether a block device is as large as its adapter grants: its last sector is read, and the one past it.
// Nothing else shows it so early: programs choose their sectors by what was granted. VIRTIO 1.4, Block Device, Device Operation.

import type { Stimulus } from '../../spec/vocabulary.ts';
import type { ExecTarget } from '../targets/exec/exec.ts';
import { negotiation, type ReadingSeen, readingOf, readingSeen, smokeMachine } from './block-request.ts';
import { failing, type Outcome, type Red, red, shown } from './claim.ts';

const OK = 0;
const SECTOR = 512;
const capacityField: Stimulus = { do: 'virtio.config.read', at: 0, width: 8 };
const asked = smokeMachine.virtio?.blk.sectors ?? 0;

/** One sector, read on a fresh machine. */
const readAt = (target: ExecTarget, sector: number): ReadingSeen | Red => {
  const again = target.reset(smokeMachine);
  if (!('granted' in again)) return red(`a further reset was answered ${shown(again)}`, 'grant the same machine each time');
  const stimuli = [...negotiation, ...readingOf(sector)];
  const answers = target.applyAll(stimuli);
  const wrong = failing(stimuli, answers, `reading sector ${sector}`);
  return wrong ?? readingSeen(answers.slice(negotiation.length), sector);
};
/** The field that says the capacity, where it can be read. */
const field = (target: ExecTarget): bigint | undefined => {
  const answer = target.apply(capacityField);
  const config = 'saw' in answer ? answer.saw.find((o) => o.saw === 'virtio.config') : undefined;
  if (config?.bytes.length !== 8) return undefined;
  return new DataView(config.bytes.buffer, config.bytes.byteOffset).getBigUint64(0, true);
};

export const capacity = (target: ExecTarget): Outcome => {
  const again = target.reset(smokeMachine);
  if (!('granted' in again)) return red(`a further reset was answered ${shown(again)}`, 'grant the same machine each time');
  const blk = again.granted.virtio?.blk;
  if (blk === undefined) return 'what device it is was not granted';
  const { sectors } = blk;
  const whose =
    sectors === asked ? `${asked} sectors were asked for and granted` : `${sectors} sectors were granted, where ${asked} were asked for`;
  const fix =
    'build the disk as large as virtio.blk.sectors of the reset line says, or grant what it is: {"granted":{"virtio":{"blk":{"sectors":N}}}}';
  const says = field(target);
  if (says !== undefined && says !== BigInt(sectors)) return red(`${whose}, and the configuration field capacity is ${says}`, fix);
  // Single sectors of a disk with larger blocks may be refused.
  if (blk.blockSize > SECTOR) return `${whose}; its blocks have ${blk.blockSize} bytes, so that no sector was read`;
  if (sectors === 0) return red(`${whose}: a disk without sectors shows nothing`, fix);
  const last = readAt(target, sectors - 1);
  if ('red' in last) return last;
  if (last.usedIndex !== 1 || last.status !== OK)
    return red(
      `${whose}, and the last of them, sector ${sectors - 1}, ${last.usedIndex === 1 ? `ends with status ${last.status}` : 'is never used'}`,
      fix,
    );
  if (blk.disk === 'pattern' && !last.pattern) return red(`${whose}, and sector ${sectors - 1} does not hold the pattern`, fix);
  const past = readAt(target, sectors);
  if ('red' in past) return past;
  if (past.usedIndex === 1 && past.status === OK)
    return red(`${whose}, and sector ${sectors}, one past the last, can be read: the disk is larger`, fix);
  return `${whose}: sector ${sectors - 1} is read, sector ${sectors} is not`;
};
