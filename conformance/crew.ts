// Several threads that play and judge blocks, each with a connection of its own to the target: how they start, are given work, and end.
// Which blocks, and in what order what they did counts, crew-source.ts decides.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Hello } from '../spec/units.ts';
import type { Orders, Outcome, SentError, Told, WorkerData } from './crew-worker.ts';
import { adapterError } from './targets/exec/blame.ts';

/** Blocks for one start of the target. */
export interface Job {
  /** Of each block, in order. A result of one that was taken back may never come. */
  readonly results: readonly Promise<Result>[];
  /** It is not wanted any more. */
  readonly takeBack: () => void;
}
export type Result = Outcome | 'undone';
export interface Crew {
  readonly jobs: number;
  /** Gives the orders to a thread as soon as one has time. */
  readonly order: (orders: Orders) => Job;
  /** What is not begun is not wanted any more. */
  readonly stop: () => void;
  /** Closes the connections and ends the threads. Rejects with the first error of closing. */
  readonly close: () => Promise<void>;
}
/** Starts of the target that a thread has been given and has not told of: one that it is at, and one to go on with, or that runs already while the first is judged. */
const givenMost = 2;
/** A thread that has had less than this share of a kind of blocks, as a part of its equal share, gets more of them only when it has nothing else to do:
 *  each thread compiles what it runs for itself, and does not run all of it. */
const ownShare = 0.5;
/** A thread that is not done with closing by then is ended. */
const closeMs = 10_000;
/** Of the young generation, in MB: with V8's own measure a tenth of the time goes into copying what lives for one block. */
const youngMb = 64;

export const revived = ({ message, stack, fields }: SentError): Error =>
  Object.assign(new Error(message), stack === undefined ? {} : { stack }, fields);

const startThread = (data: WorkerData): Worker => {
  const typescript = import.meta.url.endsWith('.ts');
  const file = new URL(`./crew-worker.${typescript ? 'ts' : 'js'}`, import.meta.url);
  const options = {
    workerData: data,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: youngMb },
    // Adapters close by libc what Node opened: it would close the number again at the end of the thread, which then is another thread's.
    trackUnmanagedFds: false,
  };
  if (!typescript) return new Worker(file, options);
  // tsx hooks the thread that asks for it, and --import asks in the main thread alone.
  const tsx = new URL('./esm/api/index.mjs', pathToFileURL(createRequire(import.meta.url).resolve('tsx'))).href;
  const source = `import('${tsx}').then(({ register }) => { register(); return import('${file.href}'); })`;
  return new Worker(source, { ...options, eval: true });
};

interface Waiting {
  readonly settle: (result: Result) => void;
  readonly fail: (error: Error) => void;
}
interface Given {
  readonly orders: Orders;
  /** Programs of one kind run much the same code: the first word of their suite. */
  readonly kind: string;
  /** By block; empty: all was told. */
  readonly waiting: Map<number, Waiting>;
}
interface Hand {
  readonly thread: Worker;
  readonly given: Given[];
  /** How many orders of each kind it has had. */
  readonly kinds: Map<string, number>;
  /** It says hello, or why it cannot. */
  readonly greeted: Promise<void>;
  /** It has closed its connection, or is gone. */
  readonly closed: Promise<SentError | undefined>;
}
const within = <T>(ms: number, what: Promise<T>): Promise<T | undefined> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), ms);
    what.then(resolve, reject).finally(() => clearTimeout(timer));
  });

/** `name`: of the target; `hello`: what it says on the first connection. */
export const startCrew = async (name: string, jobs: number, hello: Hello): Promise<Crew> => {
  const over = new Int32Array(new SharedArrayBuffer(4));
  const queue: Given[] = [];
  let closing = false;
  let lost: Error | undefined;
  const lose = (why: string): void => {
    if (closing) return;
    lost ??= adapterError(`a thread of --jobs ended: ${why}`, 'run it without --jobs, where what ended it says more', '');
    for (const { waiting } of [...queue, ...hands.flatMap(({ given }) => given)]) for (const { fail } of waiting.values()) fail(lost);
  };
  const kinds = new Map<string, number>();
  const share = (hand: Hand, kind: string): number => (hand.kinds.get(kind) ?? 0) / (kinds.get(kind) ?? 1);
  /** The first of the blocks that the thread has had most of, as a share of their kind; one of a new kind is as good. */
  const best = (hand: Hand): Given | undefined => {
    let [found, most]: [Given | undefined, number] = [undefined, hand.given.length === 0 ? -1 : ownShare / jobs];
    for (const one of queue) {
      const of = kinds.has(one.kind) ? share(hand, one.kind) : 1;
      if (of > most) [found, most] = [one, of];
    }
    return found;
  };
  let giving = false;
  const give = (): void => {
    giving = false;
    for (const hand of hands.toSorted((a, b) => a.given.length - b.given.length))
      for (let next = queue[0]; next !== undefined && hand.given.length < givenMost; ) {
        next = best(hand);
        if (next === undefined) break;
        queue.splice(queue.indexOf(next), 1);
        for (const counts of [kinds, hand.kinds]) counts.set(next.kind, (counts.get(next.kind) ?? 0) + 1);
        hand.given.push(next);
        hand.thread.postMessage(next.orders);
      }
  };
  const hand = (): Hand => {
    const thread = startThread({ name, over: over.buffer });
    const given: Given[] = [];
    thread.on('error', (error) => lose(error.message));
    thread.on('exit', (code) => lose(`exit ${code}`));
    const told = (block: number, result: Result): void => {
      const [first] = given;
      first?.waiting.get(block)?.settle(result);
      first?.waiting.delete(block);
      if (first === undefined || first.waiting.size > 0) return;
      given.shift();
      give();
    };
    thread.on('message', (message: Told) => {
      if ('outcome' in message) told(message.block, message.outcome);
    });
    return {
      thread,
      given,
      kinds: new Map(),
      greeted: new Promise((resolve, reject) => {
        thread.on('message', (message: Told) => {
          if ('failed' in message) reject(revived(message.failed));
          else if (!('hello' in message)) return;
          else if (message.hello === JSON.stringify(hello)) resolve();
          else reject(adapterError(`${name} says another hello on a second connection`, 'leave --jobs out', ''));
        });
        thread.on('exit', () => reject(lost));
      }),
      closed: new Promise((resolve) => {
        thread.on('message', (message: Told) => {
          if ('closed' in message) resolve(message.closed);
        });
        thread.on('exit', () => resolve(undefined));
      }),
    };
  };
  const hands = Array.from({ length: jobs }, hand);
  const stop = (): void => {
    for (const { waiting } of queue.splice(0)) for (const { settle } of waiting.values()) settle('undone');
    Atomics.store(over, 0, 1);
  };
  const close = async (): Promise<void> => {
    closing = true;
    stop();
    const errors = await Promise.all(
      hands.map(async ({ thread, closed }) => {
        thread.postMessage('close');
        const error = await within(closeMs, closed);
        await thread.terminate();
        return error;
      }),
    );
    for (const error of errors) if (error !== undefined) throw revived(error);
  };
  try {
    await Promise.all(hands.map(({ greeted }) => greeted));
  } catch (error) {
    for (const { greeted } of hands) greeted.catch(() => undefined); // the first error says enough
    await close().catch(() => undefined);
    throw error;
  }
  return {
    jobs,
    order: (orders) => {
      if (Atomics.load(over, 0) !== 0) throw new Error('orders for a crew that was stopped: start another');
      const waiting = new Map<number, Waiting>();
      const results = orders.blocks.map(
        ({ block }) =>
          new Promise<Result>((settle, fail) => {
            if (lost === undefined) waiting.set(block, { settle, fail });
            else fail(lost);
          }),
      );
      for (const result of results) result.catch(() => undefined); // whoever takes it is told
      const own: Given = { orders, kind: orders.suite.split('.')[0] as string, waiting };
      queue.push(own);
      // What is ordered next may fit better.
      if (!giving) queueMicrotask(give);
      giving = true;
      return {
        results,
        takeBack: () => {
          const at = queue.indexOf(own);
          if (at >= 0) queue.splice(at, 1);
        },
      };
    },
    stop,
    close,
  };
};
