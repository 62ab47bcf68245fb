// Stimuli to a remapping unit as qtest commands, and what came of them: registers, memory, interrupts, bytes that a read fetched.
// Commands wait in a batch until something has to be seen; then one round trip brings all their answers, in order.

import type { Answer } from '../../../../spec/units.ts';
import type { VtdStimulus } from '../../../../spec/vt-d/vocabulary.ts';
import type { Observation, Stimulus } from '../../../../spec/vocabulary.ts';
import type { Waits } from '../../host/lanes.ts';
import { arriving } from '../qtest.ts';
import type { Access, Refused } from './engines.ts';
import { unitAt, type VtdQemu } from './machine.ts';
import type { Station } from './requesters.ts';

const registersSize = 0x230;
/** Registers whose write makes the unit work on memory: global command, queue tail. */
const doorbells: readonly number[] = [0x18, 0x88];
/** Fault, completion and page event control: bit 31 masks. */
const eventControls: readonly number[] = [0x38, 0xa0, 0xe0];
const mask = 0x8000_0000n;
const interruptRange = 0xfee0_0000n;
const page = 4096n;
/** Longest write of memory that goes with the commands around it. */
const batchedBytes = 1024;

/** A read that was blocked brings zeros: only pages' worth with another byte are known to have come from memory. */
const came = (at: bigint, bytes: Uint8Array): boolean => {
  for (let i = 0; i < bytes.length; ) {
    const end = Math.min(bytes.length, i + Number(page - ((at + BigInt(i)) % page)));
    if (bytes.subarray(i, end).every((b) => b === 0)) return false;
    i = end;
  }
  return true;
};

interface Pending {
  readonly place: number;
  readonly count: number;
  readonly saw: (answers: readonly string[]) => readonly Observation[];
}
const nothing = (): readonly Observation[] => [];
/** A batch that was sent. */
interface Sent {
  /** How many answers stand should QEMU die now. */
  stands: number;
  /** Waits for the answers, and for memory and interrupts to look at. */
  readonly take: () => Waits<void>;
  /** Tells what was seen: after `take`, and before memory is written or looked at again. */
  readonly tell: () => void;
}

/** The answers to one step. */
export function* applyVtd(machine: VtdQemu, step: readonly Stimulus[]): Waits<readonly Answer[]> {
  const answers: Answer[] = [];
  let commands: string[] = [];
  let pending: Pending[] = [];
  /** A register was written since memory was last looked at. */
  let written = false;
  let sent: Sent | undefined;
  const queue = (more: readonly string[], saw: Pending['saw'] = nothing): void => {
    pending.push({ place: answers.length, count: more.length, saw });
    answers.push({ saw: [] });
    commands.push(...more);
  };
  /** Waits for what was sent. */
  const settle = function* (): Waits<void> {
    if (sent === undefined) return;
    yield* sent.take();
    sent.tell();
    sent = undefined;
  };
  /** What comes of a batch that was just sent. */
  const sending = (collect: () => readonly string[], batch: readonly Pending[], look: boolean, interrupts: boolean): Sent => {
    const last = batch.at(-1)?.place ?? Math.max(0, answers.length - 1);
    let came: readonly Observation[] = [];
    const now: Sent = {
      stands: batch[0]?.place ?? last,
      take: function* () {
        yield* arriving(machine.qtest);
        const lines = collect();
        let from = 0;
        for (const { place, count, saw } of batch) {
          answers[place] = { saw: saw(lines.slice(from, from + count)) };
          from += count;
        }
        now.stands = last;
        if (!look) return;
        if (interrupts) {
          // Twice: the first may be answered by the end of an older one that was on its way, before what it stands behind was taken.
          const first = yield* machine.interrupts.answered();
          if (first) yield* machine.qtest.asks(machine.interrupts.barrier());
          if (!first || !(yield* machine.interrupts.answered())) throw new Error('the processor takes no interrupts');
          came = machine.interrupts.take();
        }
        machine.memory.copy();
      },
      tell: () => {
        if (!look) return;
        const writes = machine.memory.difference();
        const told = answers[last] as { readonly saw: readonly Observation[] };
        if (writes.length > 0) answers[last] = { saw: [{ saw: 'memory.changed', writes }, ...came, ...told.saw] };
        else if (came.length > 0) answers[last] = { saw: [...came, ...told.saw] };
      },
    };
    return now;
  };
  /** Sends what waits. With `look`, what memory and interrupts show belongs to the last of it. */
  const flush = function* (look: boolean, interrupts: boolean): Waits<void> {
    const before = sent;
    if (before !== undefined) yield* before.take();
    let collect: () => readonly string[];
    try {
      collect = machine.qtest.begin(interrupts ? [...commands, ...machine.interrupts.barrier()] : commands);
    } catch (error) {
      // What was sent before is answered, all of it.
      before?.tell();
      sent = undefined;
      throw error;
    }
    // The copy that was taken is compared while QEMU is already at work.
    before?.tell();
    sent = sending(collect, pending, look, interrupts);
    commands = [];
    pending = [];
    if (look) written = false;
  };
  const refuse = (why: string): void => {
    answers.push({ unsupported: why });
  };
  const request = function* (
    n: number,
    make: (s: Station) => Access | Refused,
    saw: (bytes: Uint8Array | undefined) => readonly Observation[],
  ): Waits<void> {
    const s = machine.stations[n];
    const access = s === undefined ? { refused: `requester ${n}: there is none` } : make(s);
    if ('refused' in access) return refuse(access.refused);
    const { fetched } = access;
    queue(access.commands, (lines) => saw(fetched?.(lines)));
    yield* flush(true, machine.armed);
  };
  const plain = (s: { readonly pasid?: number; readonly privileged?: boolean; readonly translated?: boolean }): boolean =>
    s.pasid === undefined && s.privileged !== true && s.translated !== true;
  const register = function* (s: Extract<VtdStimulus, { readonly do: 'vtd.read' | 'vtd.write' }>): Waits<void> {
    if (s.at < 0 || s.at + s.width > registersSize || s.at % 4 !== 0) return refuse(`a register at 0x${s.at.toString(16)}`);
    const letter = s.width === 8 ? 'q' : 'l';
    if (s.do === 'vtd.read') {
      const { at, width } = s;
      return queue([`read${letter} ${unitAt + at}`], ([value = '0']) => [{ saw: 'vtd.register', at, width, value: BigInt(value) }]);
    }
    if (eventControls.includes(s.at) && (s.value & mask) === 0n) machine.armed = true;
    written = true;
    queue([`write${letter} ${unitAt + s.at} ${BigInt.asUintN(8 * s.width, s.value)}`]);
    if (machine.armed || doorbells.includes(s.at)) yield* flush(true, machine.armed);
  };
  const one = function* (s: Stimulus): Waits<void> {
    switch (s.do) {
      case 'memory.write':
        // What is seen of what was sent is told apart from what is written now.
        yield* settle();
        // Behind what waits in the batch it is a command of the batch, if it is short; else it is written at once.
        if (pending.length > 0 && s.bytes.length <= batchedBytes && machine.memory.note(s.at, s.bytes))
          return queue([`write ${s.at} ${s.bytes.length} 0x${Buffer.from(s.bytes).toString('hex')}`]);
        if (pending.length > 0) yield* flush(false, false);
        yield* settle();
        if (machine.memory.write(s.at, s.bytes)) return void answers.push({ saw: [] });
        return refuse(`memory at 0x${s.at.toString(16)}`);
      case 'vtd.read':
      case 'vtd.write':
        return yield* register(s);
      case 'dma.write':
        if (!plain(s)) return refuse('requests with attributes');
        return yield* request(
          s.requester,
          (r) => r.write(s.at, s.bytes),
          () => [{ saw: 'dma.done', requester: s.requester, outcome: 'unseen' }],
        );
      case 'dma.read':
        if (!plain(s) || s.execute === true) return refuse('requests with attributes');
        return yield* request(
          s.requester,
          (r) => r.read(s.at, s.length),
          (bytes) => [
            bytes !== undefined && came(s.at, bytes)
              ? { saw: 'dma.done', requester: s.requester, outcome: 'completed', bytes }
              : { saw: 'dma.done', requester: s.requester, outcome: 'unseen' },
          ],
        );
      case 'msi.send': {
        if (s.pasid !== undefined) return refuse('requests with attributes');
        if (s.address >> 20n !== interruptRange >> 20n) return refuse(`0x${s.address.toString(16)} is no interrupt address`);
        const access = machine.stations[s.requester]?.msi(s.address, s.data) ?? { refused: `requester ${s.requester}: there is none` };
        if ('refused' in access) return refuse(access.refused);
        queue(access.commands);
        return yield* flush(true, true);
      }
      case 'vtd.reset':
        yield* flush(false, false);
        yield* settle();
        if (!(yield* machine.restart())) throw new Error('the processor does not come back after a reset');
        answers.push({ saw: [] });
        return;
      case 'settle':
        queue([], () => [{ saw: 'settled', by: 'sync' }]);
        return yield* flush(true, true);
      default:
        return refuse(s.do);
    }
  };
  try {
    for (const s of step) yield* one(s);
    // Reads alone change nothing that would have to be seen.
    if (pending.length > 0) yield* flush(written || machine.armed, machine.armed);
    yield* settle();
  } catch (error) {
    const died = machine.running.ended();
    const stuck = error instanceof Error && error.message.startsWith('the processor');
    if (died === undefined && !stuck) throw error;
    // What was answered before the batch that failed stands; after a batch it is the look at its end that failed.
    answers.length = sent?.stands ?? pending[0]?.place ?? answers.length;
    answers.push({ broke: died ?? `hang: ${(error as Error).message}` });
  }
  return answers;
}
