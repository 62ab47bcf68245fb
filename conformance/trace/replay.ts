// Runs a recording's stimuli on a target and judges what the target does: other permitted behaviour passes.
// The stimuli were chosen for the machine that was granted then, so that is the machine to build, whatever was asked for at the time.

import type { Answer, Granted, MachineConfig, Target } from '../../spec/units.ts';
import type { Event, Stimulus } from '../../spec/vocabulary.ts';
import type { Finding, Judge } from '../judge.ts';
import { encodeMachine } from '../wire/events.ts';
import { isTraceError, readTrace } from './read.ts';

export interface Replayed {
  readonly findings: readonly Finding[];
  readonly stimuli: number;
  readonly machines: number;
  /** Machines of the trace that there were not; their stimuli were left out. */
  readonly unbuilt: number;
  /** Why the target would not build the first of those that it refused. */
  readonly refused?: string;
  /** How it ended at the reset of another. */
  readonly died?: string;
  /** In what the target's machines are not the recorded ones. */
  readonly otherwise: readonly string[];
  /** Why the trace ends early; what stands in it was run. */
  readonly truncated?: string;
}
const seen = (answer: Answer): readonly Event[] => {
  if ('saw' in answer) return answer.saw;
  return 'unsupported' in answer ? [{ saw: 'unsupported', what: answer.unsupported }] : [{ saw: 'broke', why: answer.broke }];
};
const textOf = (machine: MachineConfig): string => JSON.stringify(encodeMachine(machine));

/** What was granted of a machine, as a machine to ask for. */
const asGranted = (asked: MachineConfig, granted: Granted | undefined): MachineConfig => ({
  ...asked,
  ...(granted === undefined || granted.memory.size % 4096 !== 0 ? {} : { memory: granted.memory.size }),
  ...(granted?.virtio === undefined ? {} : { virtio: granted.virtio }),
});
/** What a program's requests depend on. */
const facts: readonly (readonly [name: string, of: (g: Granted) => string | number | undefined])[] = [
  ['bytes of memory', (g) => g.memory.size],
  ['sectors', (g) => g.virtio?.blk.sectors],
  ['bytes in a block', (g) => g.virtio?.blk.blockSize],
  ['read-only', (g) => g.virtio && String(g.virtio.blk.readOnly)],
  ['queues', (g) => g.virtio?.queues],
  ['descriptors in a queue at most', (g) => g.virtio?.queueSizeMax],
  ['features offered', (g) => g.virtio && `0x${g.virtio.offer.toString(16)}`],
  ['bits of a physical address', (g) => g.cpu?.physicalBits],
  ['vendor of the processor', (g) => g.cpu?.vendor],
  ['CAP_REG', (g) => g.vtd && `0x${g.vtd.cap.toString(16)}`],
  ['ECAP_REG', (g) => g.vtd && `0x${g.vtd.ecap.toString(16)}`],
  ['bits of a host address', (g) => g.vtd?.hostAddressWidth],
  ['requesters', (g) => g.vtd && g.vtd.requesters.map((r) => `${r.kind} 0x${r.sourceId.toString(16)}`).join(', ')],
];
/** Of some forty features only those that differ. */
const features = (then: readonly string[] | undefined, now: readonly string[] | undefined): readonly string[] => {
  if (then === undefined || now === undefined) return [];
  const lacks = then.filter((f) => !now.includes(f));
  const more = now.filter((f) => !then.includes(f));
  return [
    ...(lacks.length === 0 ? [] : [`the processor lacks ${lacks.join(', ')}`]),
    ...(more.length === 0 ? [] : [`the processor has ${more.join(', ')} besides`]),
  ];
};
const differences = (recorded: Granted, granted: Granted): readonly string[] => [
  ...facts.flatMap(([name, of]) => {
    const [then, now] = [of(recorded), of(granted)];
    return then === undefined || now === undefined || then === now ? [] : [`${name}: ${now}, recorded with ${then}`];
  }),
  ...features(recorded.cpu?.has, granted.cpu?.has),
];

/** `path`: a trace, plain or gzip. `build`: the machine that was asked for (the same target grants the same again), or the one that was granted.
 *  Stimuli after a death are left out until the next reset of the trace. Throws TraceError for anything but a missing end. */
export const replayOn = async (target: Target, path: string, judge: Judge, build: 'asked' | 'granted' = 'asked'): Promise<Replayed> => {
  const findings: Finding[] = [];
  const otherwise = new Set<string>();
  const count = { stimuli: 0, machines: 0, unbuilt: 0 };
  const why: { refused?: string; died?: string } = {};
  let dead = false;
  let asked: MachineConfig | undefined; // until what was granted of it is read
  const grantedOf = async (machine: MachineConfig, recorded: Granted | undefined): Promise<Awaited<ReturnType<Target['reset']>>> => {
    const wanted = build === 'granted' ? asGranted(machine, recorded) : machine;
    const granting = await target.reset(wanted);
    return 'unsupported' in granting && textOf(wanted) !== textOf(machine) ? target.reset(machine) : granting;
  };
  const reset = async (recorded: Granted | undefined): Promise<void> => {
    if (asked === undefined) return;
    const { image } = asked;
    const granting = await grantedOf(asked, recorded);
    asked = undefined;
    count.machines++;
    dead = !('granted' in granting);
    if ('granted' in granting) {
      judge.reset(granting.granted, image);
      if (recorded !== undefined) for (const one of differences(recorded, granting.granted)) otherwise.add(one);
    } else {
      count.unbuilt++;
      if ('unsupported' in granting) why.refused ??= granting.unsupported;
      else why.died ??= granting.broke;
    }
  };
  const apply = async (stimulus: Stimulus): Promise<void> => {
    const answer = await target.apply(stimulus);
    count.stimuli++;
    if ('unsupported' in answer) judge.pass();
    else findings.push(...judge.see(stimulus));
    for (const event of seen(answer)) findings.push(...judge.see(event));
    dead = 'broke' in answer;
  };
  const replayed = (truncated?: string): Replayed => ({
    findings,
    ...count,
    otherwise: [...otherwise],
    ...why,
    ...(truncated === undefined ? {} : { truncated }),
  });
  try {
    for await (const entries of readTrace(path))
      for (const entry of entries) {
        if ('granted' in entry) await reset(entry.granted);
        else if ('reset' in entry) {
          await reset(undefined);
          asked = entry.reset;
        } else if ('end' in entry) await reset(undefined);
        else if ('event' in entry && 'do' in entry.event && !dead) await apply(entry.event as Stimulus);
      }
  } catch (error) {
    if (!isTraceError(error) || !error.truncated) throw error;
    await reset(undefined);
    return replayed(error.message);
  }
  return replayed();
};
