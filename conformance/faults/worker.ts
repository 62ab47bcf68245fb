// A process of the gate: judges the faults it is sent by id, one at a time, and sends back a row each.
// A fault may loop for ever without touching guest memory; the parent ends the process then.

import { faults } from './catalogue.ts';
import { row } from './run.ts';

/** What the parent gets for an id: its row, or why the entry cannot be applied. */
export type Reply = { readonly row: Awaited<ReturnType<typeof row>> } | { readonly error: string };

const judged = async (id: string): Promise<Reply> => {
  const fault = faults.find((f) => f.id === id);
  if (fault === undefined) return { error: `no fault is called ${id}` };
  try {
    return { row: await row(fault) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
};

// Where nobody is left to hear it, the parent was ended, and so is this.
const over = (): void => process.exit(0);
process.on('message', (id: string) => {
  void judged(id).then((reply) => process.send?.(reply, (error: Error | null) => error !== null && over()));
});
process.on('disconnect', over);
