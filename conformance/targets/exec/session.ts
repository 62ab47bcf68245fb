// A conversation with one child: lines out, replies in, each checked for shape, seq and kind. A line that breaks the protocol
// ends the child and is thrown as an AdapterError; a child that is gone is an answer.

import { decodeReply, encodeRequest, type Reply, type Verb } from '../../wire/lines.ts';
import { isWireError } from '../../wire/validate.ts';
import { type AdapterError, adapterError } from './blame.ts';
import { type Child, startChild } from './child.ts';
import type { Watchdog } from './watchdog.ts';

export type Told = Reply | { readonly gone: string };
export interface Session {
  /** Path of the file that is guest memory, once it is made. */
  readonly memory: string;
  /** Sends all lines, then reads as many replies; fewer when the child is gone. `told`: they are put there one by one, also those before an error. */
  ask(verbs: readonly Verb[], told?: Told[]): readonly Told[];
  /** Sends a line as it is, which should be answered under this seq. */
  askLine(line: string, seq: number): Told;
  /** The seq of the next line. */
  readonly next: number;
  stderr(): string;
  /** Asks for the end; false when the child went on until the deadline. */
  bye(): boolean;
  close(): void;
  /** Ends the child and makes the error that says why. */
  blame(what: string, fix: string): AdapterError;
}

const due: Readonly<Record<string, readonly string[]>> = {
  hello: ['hello'],
  reset: ['granted', 'unsupported', 'broke'],
  apply: ['saw', 'unsupported', 'broke'],
};
const once = 'answer every line once, in order, and print nothing else on stdout (logs belong on stderr)';

const form = 'the form of every line is in conformance/wire/protocol.schema.json (a banner or a log belongs on stderr)';

export const startSession = (command: string, watchdog: Watchdog, deadlineMs: number): Session => {
  const child: Child = startChild(command, watchdog, deadlineMs);
  let seq = 1;
  const blamed = (what: string, fix: string): AdapterError => {
    child.close();
    return adapterError(`the adapter ${what}`, fix, child.stderr());
  };
  /** `asked`: what the line asked for, to be found again in the adapter. */
  const hear = (expected: number, asked: string): Told => {
    const heard = child.receive();
    if ('gone' in heard) return heard;
    const blame = (what: string, fix: string): AdapterError => blamed(`${what} (it was asked for ${asked}, seq ${expected})`, fix);
    if ('flood' in heard) throw blame(`sent ${heard.flood}`, 'end every reply with a newline');
    try {
      const reply = decodeReply(heard.line);
      if (reply.seq === expected) return reply;
      if (reply.seq === null)
        throw blame(`says that a line is wrong: ${'error' in reply ? reply.error : ''}`, 'accept the lines of protocol 1');
      throw blame(`answered seq ${reply.seq} where ${expected} was due`, once);
    } catch (error) {
      if (isWireError(error))
        throw blame(`sent a line that is not of protocol 1: ${error.message}`, error.message.startsWith('the line') ? once : form);
      throw error;
    }
  };
  const send = (lines: string): void => {
    const early = child.unasked();
    if (early !== undefined) throw blamed(`sent a line that nobody asked for: ${JSON.stringify(early.slice(0, 60))}`, once);
    child.send(lines);
  };
  const hearFor = (verb: Verb, expected: number): Told => {
    const asked = Object.keys(due).find((name) => name in verb) ?? 'bye';
    const told = hear(expected, 'apply' in verb ? verb.apply.do : asked);
    if ('gone' in told) return told;
    const got = Object.keys(told).find((name) => name !== 'seq') ?? 'nothing';
    if ('error' in told) throw blamed(`says that our ${asked} line is wrong: ${told.error}`, 'accept the lines of protocol 1');
    if (due[asked]?.includes(got)) return told;
    throw blamed(`answered ${asked} with "${got}"`, `answer it with ${due[asked]?.map((d) => `"${d}"`).join(' or ')}`);
  };
  return {
    memory: child.memory,
    get next() {
      return seq;
    },
    ask: (verbs, told = []) => {
      const first = seq;
      seq += verbs.length;
      send(verbs.map((verb, i) => `${encodeRequest({ ...verb, seq: first + i })}\n`).join(''));
      for (const [i, verb] of verbs.entries()) {
        const one = hearFor(verb, first + i);
        told.push(one);
        if ('gone' in one) break;
      }
      return told;
    },
    askLine: (line, expected) => {
      seq = Math.max(seq, expected + 1);
      send(`${line}\n`);
      return hear(expected, 'an answer to a broken line');
    },
    stderr: child.stderr,
    bye: () => {
      child.send(`${encodeRequest({ seq: seq++, bye: true })}\n`);
      return child.ended();
    },
    close: child.close,
    blame: blamed,
  };
};
