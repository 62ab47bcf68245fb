// The gate: every seeded fault must be noticed, by the clause that names its rule. Two processes share the catalogue.
// A fault that hangs its process without touching guest memory is noticed by a deadline, as a dead machine is.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { within } from '../areas.ts';
import { faultError } from './bundle.ts';
import { faults } from './catalogue.ts';
import type { Fault } from './fault.ts';
import { areaOf, type Row } from './run.ts';
import type { Reply } from './worker.ts';

export type { Row } from './run.ts';
const workers = 2;
/** For one fault, in milliseconds: tenfold what the slowest takes. */
const deadline = 120_000;

const start = (): ChildProcess => {
  const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js';
  return fork(fileURLToPath(new URL(file, import.meta.url)), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
};

/** The row of a fault whose process had to be ended. */
const hung = (fault: Fault): Row => ({
  id: fault.id,
  origin: fault.origin,
  area: areaOf(fault),
  killedBy: 'machine.alive',
  byOwnClause: fault.killedBy === 'machine.alive',
  programs: 0,
});

/** Undefined: the process died or had to be ended. */
const asked = (worker: ChildProcess, fault: Fault): Promise<Reply | undefined> =>
  new Promise((resolve) => {
    const settle = (reply: Reply | undefined): void => {
      clearTimeout(timer);
      worker.off('message', settle);
      worker.off('exit', died);
      resolve(reply);
    };
    const died = (): void => settle(undefined);
    const timer = setTimeout(() => {
      worker.kill('SIGKILL');
    }, deadline);
    worker.on('message', settle);
    worker.on('exit', died);
    worker.send(fault.id);
  });

/** Faults of the areas below a dotted prefix, or the one of that id; absent: all. */
export const selected = (prefix: string | undefined): readonly Fault[] =>
  faults.filter((f) => prefix === undefined || f.id === prefix || within(areaOf(f), [prefix]));

/** Rows in the order of the catalogue. Throws a FaultError where an entry cannot be applied. */
export const gate = async (chosen: readonly Fault[], onRow: (done: number, row: Row) => void): Promise<readonly Row[]> => {
  const rows = new Map<string, Row>();
  const queue = [...chosen];
  const work = async (): Promise<void> => {
    let worker = start();
    try {
      for (let fault = queue.shift(); fault !== undefined; fault = queue.shift()) {
        const reply = await asked(worker, fault);
        if (reply !== undefined && 'error' in reply) throw faultError(reply.error);
        const row = reply?.row ?? hung(fault);
        if (reply === undefined) worker = start();
        rows.set(fault.id, row);
        onRow(rows.size, row);
      }
    } finally {
      if (worker.connected) worker.disconnect();
      worker.kill();
      queue.length = 0;
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return chosen.flatMap((f) => rows.get(f.id) ?? []);
};
