// A process of the score: tries the mutants it is sent, one at a time, and sends back what became of each.
// The parent ends it where a mutant neither touches guest memory nor comes to an end.

import { mutatedAreas } from './areas.ts';
import { type Plan, suitesOf } from './programs.ts';
import { type Bench, createBench } from './trial.ts';

export type Order =
  | ({ readonly area: string; readonly code: string } & Pick<Plan, 'places' | 'unsupported'>)
  | { readonly id: string; readonly numbers: readonly number[] };

let bench: Bench | undefined;
const obey = async (order: Order): Promise<void> => {
  if ('area' in order) {
    const area = mutatedAreas[order.area];
    if (area === undefined) throw new Error(`no area is called ${order.area}`);
    bench = createBench(order.code, suitesOf(area), order);
    return;
  }
  if (bench === undefined) throw new Error('a mutant before the area');
  process.send?.(await bench.try(order.id, order.numbers));
};
process.on('message', (order: Order) => void obey(order));
process.on('disconnect', () => process.exit(0));
