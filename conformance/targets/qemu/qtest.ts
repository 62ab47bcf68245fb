// The qtest protocol over a FIFO pair: many commands in one write, then all their answers.
// QEMU documentation, QTest: one line a command, answered by OK and a value, or FAIL.

import type { Waits } from '../host/lanes.ts';
import type { Pipe } from './pipe.ts';

/** Both FIFOs hold 64 KiB: a batch and its answers must fit, or each side waits for the other. */
const batchBytes = 30_000;
const batchCommands = 1_000;

/** Looks before a read that sleeps, and that ends with the process, sees to it. */
const looks = 400;
/** Stops until what was asked for is there, or so many looks have seen that it is not. */
export function* arriving(of: { readonly ready: () => boolean; readonly fd: number }): Waits<void> {
  yield undefined;
  for (let look = 0; look < looks && !of.ready(); look++) yield of.fd;
}

export interface Qtest {
  /** Runs the commands in order and appends one number for each to `answers`, 0 where there is no value. */
  run(commands: readonly string[], answers: number[]): void;
  /** Sends the commands and waits for nothing. The answers are there once what it gives was called, or something else was run. */
  start(commands: readonly string[], answers: number[]): () => void;
  /** Whether all answers to what was started have arrived. Where that cannot be seen without waiting: yes. */
  readonly ready: () => boolean;
  /** Readable when more of them have arrived. */
  readonly fd: number;
  /** Runs the commands in order; each answer as it stands, for values of 64 bits. */
  lines(commands: readonly string[]): readonly string[];
  /** The same, stopping while QEMU is at work. */
  asks(commands: readonly string[]): Waits<readonly string[]>;
  /** What `start` is to `run`, but what is too much for one batch is all sent when its answers are asked for. */
  begin(commands: readonly string[]): () => readonly string[];
}

function accepted(line: string, command: string | undefined): string {
  if (!line.startsWith('OK')) throw new Error(`qtest ${command}: ${line}`);
  return line.slice(3);
}

const valued = (answer: string): number => (answer === '' ? 0 : Number(answer));

export function qtestOver(pipe: Pipe): Qtest {
  /** Takes the answers to what was started. */
  let owed: (() => void) | undefined;
  /** How many they are. */
  let owing = 0;
  const each = (commands: readonly string[], take: (answer: string) => void): void => {
    owed?.();
    for (let first = 0; first < commands.length; ) {
      let text = '';
      let end = first;
      while (end < commands.length && end - first < batchCommands && text.length < batchBytes) text += `${commands[end++]}\n`;
      pipe.send(text);
      for (; first < end; first++) take(accepted(pipe.next(), commands[first]));
    }
  };
  const started = (commands: readonly string[], take: (answer: string) => void, early: boolean): (() => void) => {
    owed?.();
    const text = `${commands.join('\n')}\n`;
    const whole = commands.length <= batchCommands && text.length <= batchBytes;
    if (commands.length === 0 || (early && !whole)) {
      each(commands, take);
      return () => undefined;
    }
    if (whole) pipe.send(text);
    owing = whole ? commands.length : 0;
    const collect = (): void => {
      if (owed !== collect) return;
      owed = undefined;
      if (whole) for (const command of commands) take(accepted(pipe.next(), command));
      else each(commands, take);
    };
    owed = collect;
    return collect;
  };
  const ready = (): boolean => owed === undefined || pipe.holds(owing);
  const begin = (commands: readonly string[]): (() => readonly string[]) => {
    const answers: string[] = [];
    const collect = started(commands, (answer) => answers.push(answer), false);
    return () => {
      collect();
      return answers;
    };
  };
  return {
    ready,
    fd: pipe.fd,
    begin,
    asks: function* (commands) {
      const collect = begin(commands);
      yield* arriving({ ready, fd: pipe.fd });
      return collect();
    },
    run: (commands, answers) => each(commands, (answer) => answers.push(valued(answer))),
    start: (commands, answers) => started(commands, (answer) => answers.push(valued(answer)), true),
    lines: (commands) => {
      const answers: string[] = [];
      each(commands, (answer) => answers.push(answer));
      return answers;
    },
  };
}
