// One vhost-user connection: sends requests, waits for their replies, and says how it ended when it did.
// QEMU, docs/interop/vhost-user.rst, "Communication": replies come in the order of requests, bit 2 of the flags set.

import type { Waits } from '../host/lanes.ts';
import type { UnixSocket } from '../host/unix-socket.ts';
import { bare, type RequestName, request, headerSize } from './messages.ts';

/** How a connection ended: the peer closed it, or owes a reply since the deadline, or broke the protocol. */
interface Gone extends Error {
  readonly gone: 'closed' | 'late' | 'garbled';
}
const gone = (how: Gone['gone'], why: string): Gone => Object.assign(new Error(why), { gone: how });
/** The end of a connection, or undefined where the error is any other. */
export const goneOf = (error: unknown): Gone | undefined =>
  error instanceof Error && 'gone' in error && typeof error.gone === 'string' ? (error as Gone) : undefined;

export interface Connection {
  readonly fd: number;
  readonly post: (messages: readonly Buffer[], fds?: readonly number[]) => void;
  /** Several posts in order, in as few calls as it takes. */
  readonly postAll: (posts: readonly Post[]) => void;
  /** The payload of the next reply, which answers that request; valid until the next one. */
  readonly reply: (name: RequestName) => Buffer;
  /** Stops until a reply has begun to arrive, or so many looks have seen that none has: then `reply` sleeps until it does. */
  readonly arriving: () => Waits<void>;
  readonly ask: (name: RequestName, message: Buffer) => Waits<Buffer>;
  readonly askU64: (name: RequestName) => bigint;
  /** Returns when the back end has handled everything posted before: requests are handled in order. */
  readonly roundTrip: () => Waits<void>;
  readonly close: () => void;
}

/** Messages, and the descriptors that travel with the first one. */
export interface Post {
  readonly messages: readonly Buffer[];
  readonly fds: readonly number[];
}

const payloadMax = 4096;
const replyFlag = 1 << 2;
/** Looks that are worth less than to be woken. */
const spins = 100;

export const converse = (socket: UnixSocket): Connection => {
  // What was received and not yet taken: several replies may come at once.
  const inbox = Buffer.alloc(2 * (headerSize + payloadMax));
  let [from, to] = [0, 0];

  const joined = (messages: readonly Buffer[]): Buffer =>
    messages.length === 1 && messages[0] !== undefined ? messages[0] : Buffer.concat(messages);
  const postAll = (posts: readonly Post[]): void => {
    try {
      socket.sendAll(posts.map(({ messages, fds }) => ({ bytes: joined(messages), fds })));
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'EPIPE' || code === 'ECONNRESET') throw gone('closed', 'the back end closed the connection');
      if (code === 'EAGAIN') throw gone('late', 'the back end does not read its socket');
      throw error;
    }
  };
  const post = (messages: readonly Buffer[], fds: readonly number[] = []): void => postAll([{ messages, fds }]);
  const receive = (length: number, name: RequestName): Buffer => {
    if (from + length > inbox.length) {
      inbox.copyWithin(0, from, to);
      [from, to] = [0, to - from];
    }
    while (to - from < length) {
      const got = socket.receive(to === 0 ? inbox : inbox.subarray(to));
      if (got === 'end') throw gone('closed', `the back end closed the connection on ${name}`);
      if (got === 'late') throw gone('late', `the back end did not answer ${name} before the deadline`);
      to += got;
    }
    const bytes = inbox.subarray(from, from + length);
    from += length;
    if (from === to) from = to = 0;
    return bytes;
  };
  const reply = (name: RequestName): Buffer => {
    const header = receive(headerSize, name);
    const size = header.readUInt32LE(8);
    if (header.readUInt32LE(0) !== request[name] || (header.readUInt32LE(4) & replyFlag) === 0 || size > payloadMax) {
      throw gone('garbled', `the back end answered ${name} with request ${header.readUInt32LE(0)}, ${size} bytes`);
    }
    return receive(size, name);
  };
  /** Whether something is in the inbox, or its end is near. */
  const here = (): boolean => {
    if (to > from) return true;
    const got = socket.look(inbox);
    if (typeof got !== 'number') return true;
    [from, to] = [0, got];
    return got > 0;
  };
  const arriving = function* (): Waits<void> {
    yield;
    for (let look = 0; look < spins && !here(); look++) yield;
  };
  const ask = function* (name: RequestName, message: Buffer): Waits<Buffer> {
    post([message]);
    yield* arriving();
    return reply(name);
  };
  const numberIn = (name: RequestName, answer: Buffer): bigint => {
    if (answer.length !== 8) throw gone('garbled', `the back end answered ${name} with ${answer.length} bytes instead of 8`);
    return answer.readBigUInt64LE();
  };
  const askU64 = (name: RequestName): bigint => {
    post([bare(name)]);
    return numberIn(name, reply(name));
  };
  const roundTrip = function* (): Waits<void> {
    numberIn('GET_FEATURES', yield* ask('GET_FEATURES', bare('GET_FEATURES')));
  };
  return { fd: socket.fd, post, postAll, reply, arriving, ask, askU64, roundTrip, close: socket.close };
};
