// QMP over a FIFO pair, synchronously: the few commands the adapter needs, events skipped.
// QEMU QMP Reference Manual; a command is answered by `return` or `error`.

import type { Pipe } from './pipe.ts';

/** The `return` of a command; an `error` is given as its text. */
type Answered = { readonly returned: unknown } | { readonly error: string };
export interface Qmp {
  execute(command: string, args?: Readonly<Record<string, unknown>>): Answered;
  /** Sends a command; what it gives waits for the answer, and is called before anything else is sent. */
  begin(command: string): () => Answered;
  /** Whether something came that may be the answer; where that cannot be seen without waiting: yes. */
  readonly ready: () => boolean;
  /** Readable when more came. */
  readonly fd: number;
}

interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

/** Reads the greeting and leaves negotiation mode. */
export function qmpOver(pipe: Pipe): Qmp {
  const answer = (): Message => {
    for (;;) {
      const message = JSON.parse(pipe.next()) as Message;
      if ('return' in message || 'error' in message) return message;
    }
  };
  const answered = (): Answered => {
    const message = answer();
    return message.error === undefined ? { returned: message.return } : { error: message.error.desc };
  };
  const send = (command: string, args?: Readonly<Record<string, unknown>>): void =>
    pipe.send(`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) })}\n`);
  const execute: Qmp['execute'] = (command, args) => {
    send(command, args);
    return answered();
  };
  const ready = execute('qmp_capabilities');
  if ('error' in ready) throw new Error(`QMP: ${ready.error}`);
  return {
    execute,
    begin: (command) => {
      send(command);
      return answered;
    },
    ready: () => pipe.holds(1),
    fd: pipe.fd,
  };
}
