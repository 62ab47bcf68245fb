// Runs programs through an agent, as many as fit an image at once. A program that ends the machine is found by the agent's own progress mark; the
// rest goes on in a fresh machine. What comes back is one answer a stimulus.

import type { Answer, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { type AgentCase, decodeResult, encodeCase } from '../../agents/case.ts';
import { machineBytes } from '../../agents/image.ts';

/** What one start of the machine left behind. */
export interface Ran {
  /** How many cases were finished; less than were given: the next one ended the machine. */
  readonly finished: number;
  /** Result records, from the first; may be missing although cases were finished. */
  readonly results: Uint8Array | undefined;
  /** How the machine ended where not all cases were finished. */
  readonly ended: 'shutdown' | 'hang' | { readonly broke: string };
}
export interface Runner {
  /** Bytes of cases that fit one start. */
  readonly room: number;
  readonly run: (machine: MachineConfig, cases: readonly Uint8Array[]) => Promise<Ran>;
}
interface Asked {
  readonly program: number;
  readonly given: AgentCase;
}

const done = { saw: [] } as const;
/** The answers of a program whose run was answered so: memory writes are done by then. */
const answersOf = (stimuli: readonly Stimulus[], last: Answer): readonly Answer[] =>
  stimuli.map((s) => (s.do === 'cpu.run' || 'unsupported' in last ? last : done));

const ending = (ended: Ran['ended']): Answer => {
  if (typeof ended === 'object') return ended;
  // A guest that never comes back: the limit was time. Nothing is seen of the state.
  return { saw: [{ saw: 'cpu.stopped', by: ended === 'hang' ? 'limit' : 'shutdown', state: {} }] };
};

export const runPrograms = async (
  runner: Runner,
  machine: MachineConfig,
  programs: readonly (readonly Stimulus[])[],
): Promise<readonly (readonly Answer[])[]> => {
  const pristine = machineBytes(machine);
  const answers: (readonly Answer[])[] = programs.map(() => []);
  let queue: Asked[] = [];
  for (const [program, stimuli] of programs.entries()) {
    const given = encodeCase(machine, pristine, stimuli);
    if ('unsupported' in given) answers[program] = answersOf(stimuli, given);
    else queue.push({ program, given });
  }
  const answer = ({ program }: Asked, last: Answer): void => {
    answers[program] = answersOf(programs[program] as readonly Stimulus[], last);
  };
  while (queue.length > 0) {
    let room = runner.room;
    let count = 0;
    while (count < queue.length && (room -= (queue[count] as Asked).given.bytes.length) >= 0) count++;
    const chunk = queue.slice(0, count);
    if (count === 0) {
      answer(queue[0] as Asked, { unsupported: 'a case larger than the image has room for' });
      queue = queue.slice(1);
      continue;
    }
    const ran = await runner.run(
      machine,
      chunk.map((a) => a.given.bytes),
    );
    const finished = Math.min(ran.finished, chunk.length);
    const whole = finished === chunk.length;
    if (ran.results !== undefined) {
      let at = 0;
      for (const asked of chunk.slice(0, finished)) {
        const decoded = decodeResult(machine, asked.given, ran.results, at);
        at = decoded.next;
        answer(asked, decoded.answer);
      }
    }
    if (!whole) answer(chunk[finished] as Asked, ending(ran.ended));
    // Without results the finished ones are run again, without the one that ended the machine.
    const again = ran.results === undefined ? chunk.slice(0, finished) : [];
    if (whole && ran.results === undefined) for (const asked of again) answer(asked, { broke: 'no results came out of the machine' });
    queue = [...(whole ? [] : again), ...queue.slice(whole ? count : finished + 1)];
  }
  return answers;
};
