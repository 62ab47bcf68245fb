// The mirror image of exec: any target on a pair of streams, one reply for each line. A bad line gets an error that names the line and
// the fix, and the conversation goes on; `bye` or the end of the input ends it.

import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Target } from '../spec/units.ts';
import { isRecord, isStimulusName } from './wire/events.ts';
import { decodeRequest, encodeReply, type Reply, type Request, type Result, seqOf } from './wire/lines.ts';
import { isWireError } from './wire/validate.ts';

/** Bytes of the longest line that is taken; the rest of a longer one is skipped. */
export const longestRequest: number = 16 * 1024 * 1024;

type Taken = { readonly line: string } | { readonly skipped: number };

/** Lines of a byte stream, without their newlines; a last line without one counts. */
export const linesOf = async function* (input: Readable, longest: number): AsyncGenerator<Taken> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = (): Taken => {
    const taken = length > longest ? { skipped: length } : { line: Buffer.concat(parts).toString('utf8') };
    parts = [];
    length = 0;
    return taken;
  };
  const add = (part: Buffer): void => {
    length += part.length;
    if (length <= longest) parts.push(part);
    else parts = [];
  };
  for await (const chunk of input) {
    let rest = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    for (let newline = rest.indexOf(10); newline >= 0; newline = rest.indexOf(10)) {
      add(rest.subarray(0, newline));
      rest = rest.subarray(newline + 1);
      yield take();
    }
    add(rest);
  }
  if (length > 0) yield take();
};

/** What to say to a line that could not be taken. A stimulus of a later protocol is no error: this target cannot do it. */
const refusal = (line: string, number: number, message: string): Reply => {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    json = undefined; // the message says that it is no JSON
  }
  const seq = seqOf(json);
  const stimulus = isRecord(json) ? json['apply'] : undefined;
  const unknown = seq !== null && isRecord(stimulus) && typeof stimulus['do'] === 'string' && !isStimulusName(stimulus['do']);
  return unknown ? { seq, unsupported: message } : { seq, error: `line ${number}: ${message}` };
};

/** Serves until `bye` or the end of `input`. Closing the target stays with the caller. */
export const serve = async (target: Target, input: Readable, output: Writable): Promise<void> => {
  let machine = false;
  const answer = async (request: Request): Promise<Result> => {
    if ('hello' in request) return { hello: target.hello };
    if ('apply' in request) return machine ? target.apply(request.apply) : { error: 'apply before a granted reset: send reset first' };
    if ('bye' in request) return { error: 'bye is not answered' };
    const got = await target.reset(request.reset);
    machine = 'granted' in got;
    if (!('granted' in got)) return got;
    const { virtio, ...rest } = got.granted;
    return { granted: request.reset.virtio === undefined ? rest : { ...rest, virtio: virtio ?? 'unknown' } };
  };
  let number = 0;
  for await (const taken of linesOf(input, longestRequest)) {
    number++;
    let reply: Reply;
    if ('skipped' in taken) {
      reply = { seq: null, error: `line ${number}: ${taken.skipped} bytes are too many: a line has at most ${longestRequest}` };
    } else {
      try {
        const request = decodeRequest(taken.line);
        if ('bye' in request) return;
        const result = await answer(request);
        reply = { seq: request.seq, ...('error' in result ? { error: `line ${number}: ${result.error}` } : result) };
      } catch (error) {
        if (!isWireError(error)) throw error;
        reply = refusal(taken.line, number, error.message);
      }
    }
    if (!output.write(`${encodeReply(reply)}\n`)) await once(output, 'drain');
  }
};
