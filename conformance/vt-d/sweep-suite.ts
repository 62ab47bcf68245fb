// The suite vt-d.sweep: programs of few choices, each of which goes through a whole class of values. They stand beside the suite vt-d, so that
// whoever adds to them leaves its programs as they are, and with them all that real units were seen to do.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import type { Suite } from '../program.ts';
import type { VtdChoice } from './choices.ts';
import { sweptMachines } from './machines.ts';
import { vtdSuite } from './suite.ts';
import { SWEEPS } from './sweeps.ts';

const plain = { noNullPrototype: true } as const;
const init: Arbitrary<VtdChoice> = fc.record(
  {
    op: fc.constant('init' as const),
    scalable: fc.constantFrom(true, true, true, false),
    queue: fc.constantFrom(true, true, false),
    remaps: fc.boolean(),
    levels: fc.nat(3),
    domain: fc.nat(7),
    attached: fc.constantFrom(0, 1, 3),
    enabled: fc.boolean(),
  },
  plain,
);
const sweep: Arbitrary<VtdChoice> = fc.record(
  { op: fc.constant('sweep' as const), what: fc.constantFrom(...SWEEPS), n: fc.nat(31) },
  plain,
);

const blockSize = 16;
const rounds = sweptMachines.length;
const choices: Arbitrary<readonly VtdChoice[]> = fc
  .tuple(init, fc.array(sweep, { minLength: 2, maxLength: 4, size: 'max' }))
  .map(([first, rest]): readonly VtdChoice[] => [first, ...rest]);
export const vtdSweepSuite: Suite<VtdChoice> = {
  ...vtdSuite,
  id: 'vt-d.sweep',
  machines: sweptMachines,
  choices,
  choicesOf: () => choices,
  block: blockSize,
  runs: rounds * blockSize,
};
