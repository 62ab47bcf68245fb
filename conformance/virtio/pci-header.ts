// What a driver may do to the header of a virtio-pci function: size and move its BARs, switch memory space off, write what is read-only.
// PCI Express Base Specification, PCI-Compatible Configuration Registers. Everything is put back, with decoding off meanwhile.

import type { Stimulus } from '../../spec/vocabulary.ts';
import type { Play } from './driver.ts';
import { flush } from './driver.ts';
import { get, type Pci, set } from './pci-player.ts';
import { ask, stageTo } from './raw.ts';

export interface PciHeader {
  readonly op: 'header';
  readonly what: 'bars' | 'read-only' | 'line' | 'command' | 'memory-space' | 'beyond';
  readonly n: number;
}
type Width = 1 | 2 | 4;
const read = (at: number, width: Width): Stimulus => ({ do: 'pci.config.read', at, width });
const write = (at: number, width: Width, value: number): Stimulus => ({ do: 'pci.config.write', at, width, value: value >>> 0 });
const COMMAND = 0x04;
const BARS = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];
const PATTERNS = [0xe000_0000, 0x5555_5555, 0xaaaa_aaaa, 0x1234_5678, 0x8000_0000, 0x0000_4000];

/** Sizes every BAR from the first on, with decoding off, then whatever `more` does with it, and puts it back. */
export function* probeBars(p: Pci, more: (at: number) => readonly Stimulus[] = () => []): Play<void> {
  const [command] = (yield* ask(p.d, [read(COMMAND, 2)])).slice(-1);
  const bases = (yield* ask(
    p.d,
    BARS.map((at) => read(at, 4)),
  )).slice(-BARS.length);
  if (command === undefined || bases.length < BARS.length) return;
  p.d.out.push(write(COMMAND, 2, 0));
  for (const [i, at] of BARS.entries())
    p.d.out.push(write(at, 4, 0xffff_ffff), read(at, 4), ...more(at), write(at, 4, bases[i] ?? 0), read(at, 4));
  p.d.out.push(write(COMMAND, 2, command), read(COMMAND, 2));
}

/** Registers of the header that a driver cannot change, in the widths it may use. */
const READ_ONLY: readonly (readonly [number, Width])[] = [
  [0x00, 4],
  [0x00, 2],
  [0x02, 2],
  [0x08, 4],
  [0x0b, 1],
  [0x2c, 4],
  [0x2e, 2],
  [0x34, 1],
  [0x3d, 1],
];
const STATES = [0, 2, 4, 6, 0x400, 0x402, 0x406, 0x404];

export function* playHeader(p: Pci, c: PciHeader): Play<void> {
  const { d } = p;
  yield* stageTo(p, 'reset', 0);
  if (d.gone) return;
  switch (c.what) {
    case 'bars': {
      const pattern = PATTERNS[c.n % PATTERNS.length] as number;
      yield* probeBars(p, (at) => [write(at, 4, pattern), read(at, 4), write(at, 4, ~pattern), read(at, 4)]);
      break;
    }
    case 'read-only': {
      const [at, width] = READ_ONLY[c.n % READ_ONLY.length] as readonly [number, Width];
      d.out.push(read(at, width), write(at, width, 0), read(at, width), write(at, width, 0xffff_ffff), read(at, width), read(at & ~3, 4));
      break;
    }
    case 'line': {
      const [before] = (yield* ask(d, [read(0x3c, 1)])).slice(-1);
      const value = [0xff, 0x5a, 0xa5, 0][c.n % 4] as number;
      d.out.push(read(0x3d, 1), write(0x3c, 1, value), read(0x3c, 1), read(0x3c, 4), write(0x3c, 1, before ?? 0), read(0x3c, 1));
      break;
    }
    case 'command': {
      const [before] = (yield* ask(d, [read(COMMAND, 2)])).slice(-1);
      const value = STATES[c.n % STATES.length] as number;
      d.out.push(read(0x3d, 1), write(COMMAND, 2, value), read(COMMAND, 2), read(COMMAND, 4), read(COMMAND + 1, 1));
      d.out.push(write(COMMAND, 2, before ?? 7), read(COMMAND, 2));
      break;
    }
    case 'beyond': {
      // Past the table, and narrower than a double word: nothing is owed but that the machine lives.
      const capability = p.map.capabilities.find((k) => k.id === 0x11);
      const [table] = capability === undefined ? [] : (yield* ask(d, [read(capability.at + 4, 4)])).slice(-1);
      if (table === undefined || (table & 7) > 5 || p.map.vectors === 0) return;
      const end = ((table & ~7) >>> 0) + 16 * p.map.vectors;
      const at = { bar: table & 7, at: end + 4 * (c.n % 2) };
      d.out.push({ do: 'pci.bar.read', ...at, width: 4 }, { do: 'pci.bar.write', ...at, width: 4, value: 0xffff_ffff });
      d.out.push(
        { do: 'pci.bar.read', bar: table & 7, at: end - 1, width: 1 },
        { do: 'pci.bar.read', bar: table & 7, at: end - 2, width: 2 },
      );
      break;
    }
    case 'memory-space': {
      const [before] = (yield* ask(d, [read(COMMAND, 2)])).slice(-1);
      const field = c.n % 2 === 0 ? 'device_feature_select' : 'driver_feature_select';
      d.out.push(...set(p, field, 1), ...get(p, field), write(COMMAND, 2, (before ?? 7) & ~2), ...set(p, field, 0), ...get(p, field));
      d.out.push(write(COMMAND, 2, before ?? 7), ...get(p, field));
      break;
    }
  }
  yield* flush(d);
  yield* stageTo(p, 'reset', 0);
}
