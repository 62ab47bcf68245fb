// The qtest protocol over a FIFO pair: many commands in one write, then all their answers.
// QEMU documentation, QTest: one line a command, answered by OK and a value, or FAIL.

import type { Pipe } from './pipe.ts';

/** Both FIFOs hold 64 KiB: a batch and its answers must fit, or each side waits for the other. */
const batchBytes = 30_000;
const batchCommands = 1_000;

export interface Qtest {
  /** Runs the commands in order and appends one number for each to `answers`, 0 where there is no value. */
  run(commands: readonly string[], answers: number[]): void;
}

function answered(line: string, command: string | undefined): number {
  if (!line.startsWith('OK')) throw new Error(`qtest ${command}: ${line}`);
  return line.length > 3 ? Number(line.slice(3)) : 0;
}

export function qtestOver(pipe: Pipe): Qtest {
  return {
    run: (commands, answers) => {
      for (let first = 0; first < commands.length; ) {
        let text = '';
        let end = first;
        while (end < commands.length && end - first < batchCommands && text.length < batchBytes) text += `${commands[end++]}\n`;
        pipe.send(text);
        for (; first < end; first++) answers.push(answered(pipe.next(), commands[first]));
      }
    },
  };
}
