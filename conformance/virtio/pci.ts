// The suite virtio.pci: choices of raw configuration-space and BAR accesses, on machines with a PCI bus.

import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { edged } from '../arbitraries/edges.ts';
import type { Suite } from '../program.ts';
import { CONFIG, OPTIONAL } from './bits.ts';
import { machinesOn } from './machines.ts';
import { SELECTS } from './mmio.ts';
import type { PciHeader } from './pci-header.ts';
import type { PciSwitch } from './pci-messages.ts';
import type { PciRegisters } from './pci-registers.ts';
import { COMMON_FIELDS, NO_VECTOR, playPci } from './pci-player.ts';
import type { PciDuty } from './pci-violations.ts';
import { PCI_DUTIES } from './pci-violations.ts';
import type { Stage } from './raw.ts';
import { STAGES } from './raw.ts';

type Width = 1 | 2 | 4;
export type PciChoice =
  | { readonly op: 'stage'; readonly to: Stage; readonly decline: number }
  | { readonly op: 'walk'; readonly width: Width }
  | { readonly op: 'common'; readonly field: number }
  | { readonly op: 'features'; readonly select: number }
  | { readonly op: 'accept'; readonly decline: number; readonly highFirst: boolean }
  | { readonly op: 'queue'; readonly queue: number }
  | { readonly op: 'size'; readonly halve: number }
  | { readonly op: 'address'; readonly part: number; readonly page: number; readonly high: number; readonly highFirst: boolean }
  | { readonly op: 'vector'; readonly of: 'config' | 'queue'; readonly queue: number; readonly vector: number }
  | { readonly op: 'window'; readonly into: 'common' | 'device' | 'select'; readonly at: number; readonly width: Width }
  | PciRegisters
  | PciSwitch
  | PciHeader
  | { readonly op: 'isr' }
  | { readonly op: 'config'; readonly field: number }
  | { readonly op: 'request'; readonly queue: number }
  | { readonly op: 'resize'; readonly by: number /** One after another; 256 bring an 8-bit generation round. */; readonly times: number }
  | { readonly op: 'violate'; readonly duty: PciDuty; readonly n: number };

const plain = { noNullPrototype: true } as const;
const everything = 2 ** OPTIONAL.length - 1;
const decline = edged([0, everything, 1, 2], 0, everything);
const width = fc.constantFrom<Width>(4, 2, 1);

const choice: Arbitrary<PciChoice> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constant('stage' as const), to: fc.constantFrom(...STAGES, 'live' as const), decline }, plain),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('walk' as const), width }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('common' as const), field: fc.nat(COMMON_FIELDS.length - 1) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('features' as const), select: edged(SELECTS, 0, 0xffff_ffff) }, plain) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('accept' as const), decline, highFirst: fc.boolean() }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('queue' as const), queue: fc.nat(6) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('size' as const), halve: fc.nat(15) }, plain) },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        op: fc.constant('address' as const),
        part: fc.nat(2),
        page: fc.nat(15),
        high: edged([0, 1, 0x8000_0000, 0xffff_ffff], 0, 0xffff_ffff),
        highFirst: fc.boolean(),
      },
      plain,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        op: fc.constant('vector' as const),
        of: fc.constantFrom('config' as const, 'queue' as const),
        queue: fc.nat(1),
        vector: edged([0, 1, NO_VECTOR, 2, 0x7ff], 0, 0x7ff),
      },
      plain,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        op: fc.constant('window' as const),
        into: fc.constantFrom('common' as const, 'device' as const, 'select' as const),
        at: fc.nat(18),
        width,
      },
      plain,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        op: fc.constant('registers' as const),
        decline,
        interrupts: fc.constantFrom('intx' as const, 'vectors' as const, 'none' as const),
        halve: fc.nat(2),
        by: fc.constantFrom(1, -1, 8),
      },
      plain,
    ),
  },
  {
    weight: 7,
    arbitrary: fc.record(
      {
        op: fc.constant('switch' as const),
        off: fc.constantFrom('vector' as const, 'vector' as const, 'function' as const, 'master' as const, 'line' as const),
        to: fc.constantFrom('target' as const, 'memory' as const),
        decline: fc.constantFrom(everything, 0),
        by: fc.constantFrom(0, 1),
      },
      plain,
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        op: fc.constant('header' as const),
        what: fc.constantFrom(
          'bars' as const,
          'read-only' as const,
          'line' as const,
          'command' as const,
          'memory-space' as const,
          'beyond' as const,
        ),
        n: fc.nat(8),
      },
      plain,
    ),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('isr' as const) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('config' as const), field: fc.nat(CONFIG.length - 1) }, plain) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('request' as const), queue: fc.nat(1) }, plain) },
  {
    weight: 1,
    arbitrary: fc.record(
      {
        op: fc.constant('resize' as const),
        by: fc.constantFrom(1, -1, 0, 8),
        times: fc.constantFrom(1, 1, 1, 2, 128, 256, 256),
      },
      plain,
    ),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('violate' as const), duty: fc.constantFrom(...PCI_DUTIES), n: fc.nat(15) }, plain) },
);

const shape = (c: PciChoice): string => {
  if (c.op === 'stage') return `stage ${c.to}`;
  if (c.op === 'violate') return `violate ${c.duty}`;
  if (c.op === 'features') return `features ${c.select < 2 ? 'existing' : 'beyond'}`;
  if (c.op === 'vector') return `vector ${c.of}${c.vector === NO_VECTOR ? ' none' : ''}`;
  if (c.op === 'registers') return `registers ${c.interrupts}`;
  if (c.op === 'switch') return `switch-${c.off} ${c.to}`;
  if (c.op === 'resize' && c.times > 1) return 'resize-often';
  if (c.op === 'header') return `header ${c.what}`;
  if (c.op === 'window') return `window ${c.into} ${c.width}`;
  if (c.op === 'common') return `common ${COMMON_FIELDS[c.field % COMMON_FIELDS.length]}`;
  return c.op;
};
/** One numeric field at a time to 0. */
const simpler = (c: PciChoice): readonly PciChoice[] => {
  if (c.op === 'violate') return Array.from({ length: Math.min(c.n, 8) }, (_, n) => ({ ...c, n }));
  if (c.op === 'walk') return c.width === 4 ? [] : [{ ...c, width: 4 }];
  return Object.entries(c)
    .filter(([, v]) => typeof v === 'number' && v !== 0)
    .filter(([k]) => k !== 'width')
    .map(([k]) => ({ ...c, [k]: 0 }) as PciChoice);
};

export const pciSuite: Suite<PciChoice> = {
  id: 'virtio.pci',
  needs: ['virtio.pci', 'virtio.blk', 'memory.seen'],
  machines: machinesOn(['pci']),
  choices: fc.array(choice, { maxLength: 10 }),
  play: playPci,
  shape,
  simpler,
  runs: 500,
};
