// A back end as the front end holds it: connected, greeted and given our memory; reconnected after it closed the connection.
// QEMU, docs/interop/vhost-user.rst, "Starting and stopping rings": stopped by GET_VRING_BASE, which keeps the connection.

import type { EventFd } from '../host/eventfd.ts';
import { openEventFd } from '../host/eventfd.ts';
import type { Libc } from '../host/libc.ts';
import { connectUnix, type SocketAddress } from '../host/unix-socket.ts';
import { type Waits, waited } from '../host/lanes.ts';
import { type Connection, converse, type Post } from './connection.ts';
import type { GuestMemory } from './guest-memory.ts';
import {
  bare,
  configIn,
  getConfig,
  memoryTable,
  u64,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_MQ,
  vringAddress,
  vringState,
} from './messages.ts';

/** Milliseconds that any reply may take. */
const replyDeadline = 5000;
/** Where guest memory lies in the address space that ring addresses are given in; any value serves, both sides only subtract. */
const userBase = 1n << 44n;

export interface Ring {
  readonly size: number;
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
  readonly base: number;
}
/** The two notifications of one queue. */
export interface Bells {
  readonly kick: EventFd;
  readonly call: EventFd;
}
export interface Link {
  readonly connection: Connection;
  /** Process id of the back end, 0 where it is not visible. */
  readonly pid: number;
  /** Offered virtio feature bits. */
  readonly features: bigint;
  /** Whether configuration space can be asked for. */
  readonly config: boolean;
  /** The notifications of each queue. */
  readonly bells: readonly Bells[];
  /** Accepts features and starts rings. The back end handles it before any message, and before any kick, that comes later. */
  readonly start: (accepted: bigint, rings: ReadonlyMap<number, Ring>) => void;
  /** Stops rings and forgets their notifications; done when it returns. Where rings were stopped, and so many bytes of the configuration wanted, what the
   *  back end answered when asked for them right after: in the same breath, because to be told of a message costs it as much as to handle it. */
  readonly stop: (queues: readonly number[], config: number) => Waits<Buffer | undefined>;
  readonly close: () => void;
}

/** Connects and negotiates; throws what `connectUnix` and `Connection` throw. */
export const openLink = (libc: Libc, address: SocketAddress, memory: GuestMemory, deadline: number = replyDeadline): Link => {
  const socket = connectUnix(libc, address, deadline);
  const connection = converse(socket);
  const bells: Bells[] = [];
  const close = (): void => {
    connection.close();
    for (const { kick, call } of bells.splice(0)) {
      kick.close();
      call.close();
    }
  };
  try {
    const all = connection.askU64('GET_FEATURES');
    const layered = (all & VHOST_USER_F_PROTOCOL_FEATURES) !== 0n;
    const wanted = VHOST_USER_PROTOCOL_F_MQ | VHOST_USER_PROTOCOL_F_CONFIG;
    const protocol = layered ? connection.askU64('GET_PROTOCOL_FEATURES') & wanted : 0n;
    if (layered) connection.post([u64('SET_PROTOCOL_FEATURES', protocol)]);
    const queues = (protocol & VHOST_USER_PROTOCOL_F_MQ) === 0n ? 1 : Number(connection.askU64('GET_QUEUE_NUM'));
    connection.post([bare('SET_OWNER')]);
    connection.post([memoryTable(memory.size, userBase)], [memory.fd]);
    for (let i = 0; i < queues; i++) bells.push({ kick: openEventFd(libc), call: openEventFd(libc) });

    /** Makes the queues silent: libvhost-user signals once when it is given the descriptor of calls, so give it and drain. */
    const hush = function* (which: readonly number[], before: readonly Post[], replies: () => void, after: readonly Buffer[]): Waits<void> {
      const posts: Post[] = [...before];
      // Descriptors travel with the first byte of what is sent at once: each needs a message of its own in front.
      let waiting: { readonly message: Buffer; readonly fd: number } | undefined;
      for (const queue of which) {
        const bell = bells[queue];
        if (bell === undefined) continue;
        if (waiting !== undefined) posts.push({ messages: [waiting.message], fds: [waiting.fd] });
        waiting = { message: u64('SET_VRING_CALL', BigInt(queue)), fd: bell.call.fd };
      }
      const last = [bare('GET_FEATURES'), ...after];
      if (waiting === undefined) posts.push({ messages: last, fds: [] });
      else posts.push({ messages: [waiting.message, ...last], fds: [waiting.fd] });
      connection.postAll(posts);
      yield* connection.arriving();
      replies();
      connection.reply('GET_FEATURES');
      for (const queue of which) {
        bells[queue]?.kick.take();
        bells[queue]?.call.take();
      }
    };
    waited(hush([...bells.keys()], [], () => undefined, []));

    // What the back end was told already and keeps: a message costs it some 10 µs.
    let told: bigint | undefined;
    const sizes = new Map<number, number>();
    const start: Link['start'] = (accepted, rings) => {
      const messages: Buffer[] = [];
      if (told !== accepted) messages.push(u64('SET_FEATURES', accepted | (all & VHOST_USER_F_PROTOCOL_FEATURES)));
      told = accepted;
      for (const [queue, ring] of rings) {
        if (sizes.get(queue) !== ring.size) messages.push(vringState('SET_VRING_NUM', queue, ring.size));
        sizes.set(queue, ring.size);
        messages.push(
          vringState('SET_VRING_BASE', queue, ring.base),
          vringAddress(queue, userBase + ring.desc, userBase + ring.used, userBase + ring.avail),
        );
      }
      const posts: Post[] = messages.length > 0 ? [{ messages, fds: [] }] : [];
      for (const queue of rings.keys()) {
        const bell = bells[queue];
        const enable = layered ? [vringState('SET_VRING_ENABLE', queue, 1)] : [];
        if (bell !== undefined) posts.push({ messages: [u64('SET_VRING_KICK', BigInt(queue)), ...enable], fds: [bell.kick.fd] });
      }
      if (posts.length > 0) connection.postAll(posts);
    };
    const stop: Link['stop'] = function* (stopping, config) {
      if (stopping.length === 0) return undefined;
      const ask: Post = { messages: stopping.map((queue) => vringState('GET_VRING_BASE', queue, 0)), fds: [] };
      const wanted = config > 0 ? [getConfig(config)] : [];
      yield* hush(stopping, [ask], () => stopping.forEach(() => connection.reply('GET_VRING_BASE')), wanted);
      return config > 0 ? configIn(connection.reply('GET_CONFIG'), config) : undefined;
    };
    return {
      connection,
      pid: socket.peer(),
      features: all & ~VHOST_USER_F_PROTOCOL_FEATURES & ~VHOST_F_LOG_ALL,
      config: (protocol & VHOST_USER_PROTOCOL_F_CONFIG) !== 0n,
      bells,
      start,
      stop,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
};
