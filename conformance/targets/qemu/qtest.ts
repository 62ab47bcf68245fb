// The qtest protocol over a FIFO pair: many commands in one write, then all their answers.
// QEMU documentation, QTest: one line a command, answered by OK and a value, or FAIL.

import type { Pipe } from './pipe.ts';

/** Both FIFOs hold 64 KiB: a batch and its answers must fit, or each side waits for the other. */
const batchBytes = 30_000;
const batchCommands = 1_000;

export interface Qtest {
  /** Runs the commands in order and appends one number for each to `answers`, 0 where there is no value. */
  run(commands: readonly string[], answers: number[]): void;
  /** Runs the commands in order; each answer as it stands, for values of 64 bits. */
  lines(commands: readonly string[]): readonly string[];
}

function accepted(line: string, command: string | undefined): string {
  if (!line.startsWith('OK')) throw new Error(`qtest ${command}: ${line}`);
  return line.slice(3);
}

export function qtestOver(pipe: Pipe): Qtest {
  const each = (commands: readonly string[], take: (answer: string) => void): void => {
    for (let first = 0; first < commands.length; ) {
      let text = '';
      let end = first;
      while (end < commands.length && end - first < batchCommands && text.length < batchBytes) text += `${commands[end++]}\n`;
      pipe.send(text);
      for (; first < end; first++) take(accepted(pipe.next(), commands[first]));
    }
  };
  return {
    run: (commands, answers) => each(commands, (answer) => answers.push(answer === '' ? 0 : Number(answer))),
    lines: (commands) => {
      const answers: string[] = [];
      each(commands, (answer) => answers.push(answer));
      return answers;
    },
  };
}
