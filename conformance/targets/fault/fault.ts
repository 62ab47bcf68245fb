// The target `fault:ID`: the reference with one seeded fault, in process. What it does wrong is told by its catalogue entry.
// A loop that touches guest memory ends by the access budget; one that does not ends only with the process.

import type { Target } from '../../../spec/units.ts';
import { faultError, load } from '../../faults/bundle.ts';
import { faults } from '../../faults/catalogue.ts';
import { targetOver } from '../ref/ref.ts';

/** Throws a FaultError for an id that the catalogue does not have, and for an entry that cannot be applied. */
export const faultTarget = async (id: string): Promise<Target> => {
  const fault = faults.find((f) => f.id === id);
  if (fault === undefined) {
    const like = faults.filter((f) => f.id.toLowerCase().startsWith(id.slice(0, 4).toLowerCase())).map((f) => f.id);
    throw faultError(`no fault is called ${id}; ${like.length > 0 ? `there are ${like.join(', ')}` : 'see vmmc faults'}`);
  }
  return targetOver(await load(fault), `fault:${fault.id}`);
};
