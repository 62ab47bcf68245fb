// exec:COMMAND: somebody's program behind four verbs on its stdin and stdout. Everything here is synchronous: a step costs two context switches.
// Blame: silence or death before the first accepted reset and lines that break the protocol are the adapter's (thrown); after it they are answers.

import type { Answer, Granted, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import { completed, untold } from '../../wire/lines.ts';
import { isAdapterError } from './blame.ts';
import { type Session, startSession, type Told } from './session.ts';
import { type SharedMemory, shareMemory } from './shared-memory.ts';
import { startWatchdog } from './watchdog.ts';

export interface ExecOptions {
  /** How long one line may stay unanswered, in milliseconds; 10,000 unless told. */
  readonly deadlineMs?: number;
}
export interface ExecTarget extends Target {
  reset(machine: MachineConfig): { readonly granted: Granted } | { readonly unsupported: string } | { readonly broke: string };
  apply(stimulus: Stimulus): Answer;
  applyAll(stimuli: readonly Stimulus[]): readonly Answer[];
  close(): void;
  /** Path of the file that is guest memory while the adapter maps it. */
  readonly file: string | undefined;
  /** The end of what the present child wrote to stderr, at most 64 KiB. */
  stderr(): string;
}

/** At most this many lines are on their way: far less than a pipe holds, so that nobody blocks both ways. */
const window = 16;

/** What only a processor or a remapping unit does: memory may change at any of them, before all else that is seen. */
const machineWide = (stimulus: Stimulus): boolean => /^(cpu|vtd|dma|ats|pri|msi|function)\./.test(stimulus.do);
/** Replies of these may come with changed memory, so nothing is sent after them before it was looked at. */
const looks = (stimulus: Stimulus): boolean => stimulus.do === 'virtq.notify' || stimulus.do === 'settle' || machineWide(stimulus);

/** What tells of memory, or ends an answer: memory is seen before it. */
const tells = (o: Observation): boolean => /^(interrupt|settled|cpu|vtd|dma|ats|pri|apic|function)\b/.test(o.saw);
const withMemory = (answers: readonly Answer[], writes: ReturnType<SharedMemory['changes']>): readonly Answer[] => {
  if (writes.length === 0) return answers;
  const first = answers.findIndex((answer) => 'saw' in answer && answer.saw.some(tells));
  const into = first >= 0 ? first : answers.findLastIndex((answer) => 'saw' in answer);
  return answers.map((answer, i) => {
    if (i !== into || !('saw' in answer)) return answer;
    const at = answer.saw.findIndex(tells);
    return { saw: answer.saw.toSpliced(at < 0 ? answer.saw.length : at, 0, { saw: 'memory.changed', writes }) };
  });
};

export const execTarget = (command: string, options: ExecOptions = {}): ExecTarget => {
  const { deadlineMs = 10_000 } = options;
  const watchdog = startWatchdog();
  let session: Session | undefined;
  let file: SharedMemory | undefined;
  let shared: SharedMemory | undefined; // the file, while the adapter maps it
  let everGranted = false;
  let broken: string | undefined = 'there is no machine: reset first';
  let lastWords = '';

  const stop = (): void => {
    session?.close();
    lastWords = session?.stderr() ?? lastWords;
    file?.close();
    session = file = shared = undefined;
  };
  const start = (): { readonly session: Session; readonly hello: Hello; readonly file: SharedMemory } => {
    const begun = startSession(command, watchdog, deadlineMs);
    const [told] = begun.ask([{ hello: 1 }]);
    if (told === undefined || !('hello' in told)) {
      const how = told && 'gone' in told ? told.gone : 'said nothing';
      const error = begun.blame(
        `${how} at hello`,
        `the command must start, answer {"seq":1,"hello":1} and flush each line: ${JSON.stringify(command)}`,
      );
      throw error;
    }
    session = begun;
    file = shareMemory(begun.memory);
    return { session: begun, hello: told.hello, file };
  };
  const broke = (how: string): { readonly broke: string } => {
    stop();
    broken = how;
    return { broke: how };
  };
  /** How it went, with the last line that it wrote to stderr. */
  const died = (how: string): string => {
    stop();
    const last = lastWords.trimEnd().split('\n').at(-1)?.trim().slice(0, 200) ?? '';
    return last === '' ? how : `${how}; its stderr ends: ${last}`;
  };
  const accept = (live: Session, stimulus: Stimulus, told: Told): Answer => {
    if ('gone' in told) return broke(died(told.gone));
    if ('broke' in told) return broke(told.broke);
    if ('unsupported' in told) return { unsupported: told.unsupported };
    if (!('saw' in told)) throw live.blame(`answered ${stimulus.do} with no observations`, 'answer "saw"');
    for (const { saw } of told.saw) {
      if (saw === 'broke' || saw === 'unsupported')
        throw live.blame(`reports ${saw} inside "saw"`, `answer {"seq":…,"${saw}":"why"} instead`);
      if (saw === 'memory.changed' && shared !== undefined) {
        throw live.blame(
          'reports memory.changed',
          'leave it out (the suite looks into the shared file), or grant "memory" to report it yourself',
        );
      }
    }
    if (stimulus.do === 'settle' && told.saw.at(-1)?.saw !== 'settled') {
      throw live.blame('answered settle without "settled" at the end', 'end the answer with {"saw":"settled","by":"sync"}');
    }
    return { saw: told.saw };
  };
  /** Stimuli that may be on their way together; memory.write into the file is not among them. */
  const batch = (live: Session, stimuli: readonly Stimulus[], answers: Answer[]): void => {
    const told: Told[] = [];
    const heard: Answer[] = [];
    const look = shared;
    let failed: { readonly error: unknown } | undefined;
    try {
      live.ask(
        stimuli.map((apply) => ({ apply })),
        told,
      );
    } catch (error) {
      failed = { error };
    }
    try {
      for (const [i, one] of told.entries()) {
        if (broken !== undefined) break;
        heard.push(accept(live, stimuli[i] as Stimulus, one));
      }
    } catch (error) {
      failed = { error }; // by an earlier line
    }
    if (failed !== undefined) {
      // Memory may have changed by any stimulus that was sent: what is seen only after memory cannot be judged.
      const telling = look === undefined ? -1 : heard.findIndex((answer) => 'saw' in answer && answer.saw.some(tells));
      answers.push(...heard.slice(0, telling < 0 ? undefined : telling));
      throw failed.error;
    }
    answers.push(...(look === undefined || broken !== undefined ? heard : withMemory(heard, look.changes())));
  };
  const store = (memory: SharedMemory, stimulus: Stimulus & { readonly do: 'memory.write' }): Answer =>
    memory.write(stimulus.at, stimulus.bytes) ? { saw: [] } : { unsupported: 'memory.write outside guest memory' };
  /** An error that is thrown leaves no child behind. */
  const safely = <T>(body: () => T, answers?: readonly Answer[]): T => {
    try {
      return body();
    } catch (error) {
      stop();
      broken = 'the adapter broke the protocol';
      throw answers === undefined || !isAdapterError(error) ? error : Object.assign(error, { answers });
    }
  };
  const applyAll = (stimuli: readonly Stimulus[]): readonly Answer[] => {
    const answers: Answer[] = [];
    return safely(() => {
      for (let i = 0; i < stimuli.length; ) {
        if (broken !== undefined || session === undefined) {
          if (answers.length === 0) answers.push({ broke: broken ?? 'the adapter was closed' });
          break;
        }
        const first = stimuli[i] as Stimulus;
        if (shared !== undefined && first.do === 'memory.write') {
          answers.push(store(shared, first));
          i++;
          continue;
        }
        const from = i;
        const more = (): boolean => {
          const last = stimuli[i - 1] as Stimulus;
          const next = stimuli[i];
          return next !== undefined && next.do !== 'memory.write' && !looks(last) && i - from < window;
        };
        do i++;
        while (more());
        batch(session, stimuli.slice(from, i), answers);
      }
      return answers;
    }, answers);
  };

  const first = safely(start);
  return {
    hello: first.hello,
    reset: (machine) =>
      safely(() => {
        const live = session !== undefined && file !== undefined ? { session, file } : start();
        shared = undefined;
        live.file.clear(machine.memory, machine.fill, machine.image);
        const [told] = live.session.ask([{ reset: machine, file: live.session.memory }]);
        if (told === undefined || 'gone' in told) {
          const how = told?.gone ?? 'said nothing';
          if (everGranted) return broke(how);
          throw live.session.blame(`${how} at reset`, 'answer reset with "granted", or with "unsupported" and why');
        }
        if ('broke' in told) return broke(told.broke);
        if (!('granted' in told)) {
          broken = 'there is no machine: the last reset was not granted';
          return { unsupported: 'unsupported' in told ? told.unsupported : 'nothing was granted' };
        }
        const silent = untold(told.granted, machine);
        if (silent.length > 0) {
          throw live.session.blame(
            `granted a processor and does not tell ${silent.join(', ')}`,
            'grant {"cpu":{"has":["nx"],"physicalBits":39,"vendor":"intel"}}, with all features that the processor has',
          );
        }
        everGranted = true;
        broken = undefined;
        if (told.granted.memory === undefined) shared = live.file;
        return { granted: completed(told.granted, machine, first.hello) };
      }),
    apply: (stimulus) => applyAll([stimulus])[0] as Answer,
    applyAll,
    get file() {
      return session?.memory;
    },
    stderr: () => session?.stderr() ?? lastWords,
    close: () => {
      if (session !== undefined) session.bye();
      stop();
      broken = 'the adapter was closed';
      watchdog.close();
    },
  };
};
