// The suite virtio.mmio: choices of raw register accesses, on machines with a virtio-mmio bus.

import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { edged } from '../arbitraries/edges.ts';
import type { Suite } from '../program.ts';
import { CONFIG, OPTIONAL } from './bits.ts';
import { machinesOn } from './machines.ts';
import type { MmioRegisters } from './mmio-registers.ts';
import type { MmioDuty } from './mmio-player.ts';
import { MMIO_DUTIES, playMmio } from './mmio-player.ts';
import type { Stage } from './raw.ts';
import { STAGES } from './raw.ts';

export type MmioChoice =
  | { readonly op: 'stage'; readonly to: Stage; readonly decline: number }
  | MmioRegisters
  | { readonly op: 'identify' }
  | { readonly op: 'features'; readonly select: number }
  | { readonly op: 'accept'; readonly decline: number; readonly highFirst: boolean }
  | { readonly op: 'queue'; readonly queue: number }
  | { readonly op: 'interrupts'; readonly acknowledge: boolean }
  | { readonly op: 'config'; readonly field: number }
  | { readonly op: 'request'; readonly queue: number; readonly acknowledge: boolean }
  | { readonly op: 'resize'; readonly by: number }
  | { readonly op: 'violate'; readonly duty: MmioDuty; readonly n: number };

const plain = { noNullPrototype: true } as const;
const everything = 2 ** OPTIONAL.length - 1;
/** Which 32 feature bits: those that exist, the next ones, far beyond, and all ones. */
export const SELECTS: readonly number[] = [0, 1, 2, 3, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 4, 32];
const decline = edged([0, everything, 1, 2], 0, everything);

const choice: Arbitrary<MmioChoice> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ op: fc.constant('stage' as const), to: fc.constantFrom(...STAGES, 'live' as const), decline }, plain),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        op: fc.constant('registers' as const),
        decline,
        ready: fc.boolean(),
        acknowledge: fc.boolean(),
        by: fc.constantFrom(1, -1, 8),
      },
      plain,
    ),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('identify' as const) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('features' as const), select: edged(SELECTS, 0, 0xffff_ffff) }, plain) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('accept' as const), decline, highFirst: fc.boolean() }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('queue' as const), queue: fc.nat(6) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('interrupts' as const), acknowledge: fc.boolean() }, plain) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('config' as const), field: fc.nat(CONFIG.length - 1) }, plain) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('request' as const), queue: fc.nat(1), acknowledge: fc.boolean() }, plain) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('resize' as const), by: fc.constantFrom(1, -1, 0, 8) }, plain) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('violate' as const), duty: fc.constantFrom(...MMIO_DUTIES), n: fc.nat(15) }, plain) },
);

const shape = (c: MmioChoice): string => {
  if (c.op === 'stage') return `stage ${c.to}`;
  if (c.op === 'violate') return `violate ${c.duty}`;
  if (c.op === 'registers') return `registers${c.ready ? '' : ' unready'}`;
  if (c.op === 'features') return `features ${c.select < 2 ? 'existing' : 'beyond'}`;
  if (c.op === 'request' || c.op === 'interrupts') return `${c.op}${c.acknowledge ? ' acknowledged' : ''}`;
  return c.op;
};
const simpler = (c: MmioChoice): readonly MmioChoice[] => {
  if (c.op === 'stage' && c.decline !== 0) return [{ ...c, decline: 0 }];
  if (c.op === 'registers' && (c.decline !== 0 || c.acknowledge)) return [{ ...c, decline: 0, acknowledge: false }];
  if (c.op === 'accept' && (c.decline !== 0 || c.highFirst)) return [{ ...c, decline: 0, highFirst: false }];
  if ((c.op === 'queue' || c.op === 'request') && c.queue !== 0) return [{ ...c, queue: 0 }];
  if (c.op === 'config' && c.field !== 0) return [{ ...c, field: 0 }];
  if (c.op === 'features' && c.select !== 0) return [0, 1, 2].filter((select) => select < c.select).map((select) => ({ ...c, select }));
  if (c.op === 'violate') return Array.from({ length: Math.min(c.n, 8) }, (_, n) => ({ ...c, n }));
  return [];
};

export const mmioSuite: Suite<MmioChoice> = {
  id: 'virtio.mmio',
  needs: ['virtio.mmio', 'virtio.blk', 'memory.seen'],
  machines: machinesOn(['mmio']),
  choices: fc.array(choice, { maxLength: 10 }),
  play: playMmio,
  shape,
  simpler,
  runs: 500,
};
