// Switches between an event and its interrupt: vector masks, Function Mask, Bus Master Enable, Interrupt Disable; and where messages go.
// PCI Express Base Specification, MSI and MSI-X Operation; Command Register. A whole life by registers, so that every mapping is known.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { allot } from './allot.ts';
import { gpa, put32, store } from './bytes.ts';
import type { Play } from './driver.ts';
import { flush } from './driver.ts';
import type { Pci } from './pci-player.ts';
import type { Life } from './pci-registers.ts';
import { bringDown, bringUp, kickOne, msixControl, regrow } from './pci-registers.ts';
import { ask, stageTo } from './raw.ts';

export interface PciSwitch {
  readonly op: 'switch';
  readonly off: 'vector' | 'function' | 'master' | 'line';
  /** Where messages of the queue go meanwhile: as the target set it up, or to a double word of guest memory. */
  readonly to: 'target' | 'memory';
  readonly decline: number;
  /** The host changes the capacity too, by so many sectors. */
  readonly by: number;
}
const COMMAND = 0x04;
const DISABLE = 1 << 10;
const MASTER = 1 << 2;
const Status: Stimulus = { do: 'pci.config.read', at: 0x06, width: 2 };
const settled: Stimulus = { do: 'settle' };
const CONTROL = 12;
const DATA = 0xc0de_51a5;

/** A double word of the table, and the pending bits; the places of the MSI-X capability. */
interface Table {
  readonly read: (vector: number, offset: number) => Stimulus;
  readonly write: (vector: number, offset: number, value: number) => Stimulus;
  readonly pending: Stimulus;
}
function* tableOf(p: Pci): Play<Table | undefined> {
  const capability = p.map.capabilities.find((k) => k.id === 0x11);
  if (capability === undefined || p.map.vectors < 2) return undefined;
  const [table, pending] = (yield* ask(p.d, [
    { do: 'pci.config.read', at: capability.at + 4, width: 4 },
    { do: 'pci.config.read', at: capability.at + 8, width: 4 },
  ])).slice(-2);
  if (table === undefined || pending === undefined || (table & 7) > 5 || (pending & 7) > 5) return undefined;
  const spot = (vector: number, offset: number): { bar: number; at: number; width: 4 } => ({
    bar: table & 7,
    at: ((table & ~7) >>> 0) + 16 * vector + offset,
    width: 4,
  });
  return {
    read: (vector, offset) => ({ do: 'pci.bar.read', ...spot(vector, offset) }),
    write: (vector, offset, value) => ({ do: 'pci.bar.write', ...spot(vector, offset), value: value >>> 0 }),
    pending: { do: 'pci.bar.read', bar: pending & 7, at: (pending & ~7) >>> 0, width: 4 },
  };
}

/** Events while `off` is done, and again once `on` is. */
const between = (
  p: Pci,
  life: Life,
  c: PciSwitch,
  [off, on]: readonly [readonly Stimulus[], readonly Stimulus[]],
  look: readonly Stimulus[],
): void => {
  const { out } = p.d;
  out.push(...off, settled, ...look, ...kickOne(p, life), settled, ...look);
  const grown = regrow(p, c.by);
  if (grown.length > 0) out.push(...grown, settled, ...look);
  out.push(...on, settled, ...look);
};

function* masks(p: Pci, life: Life, c: PciSwitch): Play<void> {
  const { d } = p;
  const table = yield* tableOf(p);
  if (table === undefined) return;
  const vectors = [0, 1];
  const fields = [0, 4, 8, CONTROL];
  const found = (yield* ask(
    d,
    vectors.flatMap((v) => fields.map((f) => table.read(v, f))),
  )).slice(-8);
  if (found.length < 8) return;
  const put = (vector: number, values: readonly number[]): readonly Stimulus[] =>
    values.flatMap((value, i) => [table.write(vector, 4 * i, value), table.read(vector, 4 * i)]);
  // The other vector stays as it is: a mask that reaches too far shows.
  const each = (value: number): readonly Stimulus[] => [table.write(1, CONTROL, value), ...vectors.map((v) => table.read(v, CONTROL))];
  const [off, on] = c.off === 'function' ? [msixControl(p, 0xc000), msixControl(p, 0x8000)] : [each(1), each(0)];
  const spot = c.to === 'memory' ? allot(d.memory, 4, 4, 'low') : undefined;
  // Entries change only while they are masked.
  const moved = spot === undefined ? [...put(1, [0x5555_5554, 0xaaaa_aaaa, 0x1234_5678])] : [...put(1, [spot, 0, DATA])];
  const restored = put(1, found.slice(4, 7));
  const look: readonly Stimulus[] = [table.pending, ...fields.map((f) => table.read(1, f))];
  if (spot === undefined) between(p, life, c, [[...off, ...moved, ...restored], on], look);
  else {
    d.out.push(store(spot, new Uint8Array(4)));
    between(p, life, c, [[...off, ...moved], on], look);
  }
  yield* flush(d);
  if (spot !== undefined) {
    const other = new Uint8Array(4);
    put32(other, 0, ~DATA >>> 0);
    d.out.push({ do: 'memory.write', at: gpa(spot), bytes: other });
  }
  d.out.push(...kickOne(p, life), settled, ...look, ...off, ...restored, ...on, settled, table.pending);
  yield* flush(d);
}

function* command(p: Pci, life: Life, c: PciSwitch): Play<void> {
  const [before] = (yield* ask(p.d, [{ do: 'pci.config.read', at: COMMAND, width: 2 }])).slice(-1);
  if (before === undefined) return;
  const write = (value: number): Stimulus => ({ do: 'pci.config.write', at: COMMAND, width: 2, value });
  const back = before & ~DISABLE;
  // INTx is silent only where it is known to be heard: one request before.
  if (c.off === 'line') p.d.out.push(...kickOne(p, life), settled, ...life.look);
  yield* flush(p.d);
  const off = c.off === 'line' ? before | DISABLE : before & ~MASTER;
  between(
    p,
    life,
    { ...c, by: c.off === 'line' ? 0 : c.by },
    [[write(off)], [Status, write(back)]],
    c.off === 'line' ? [Status] : [write(off)],
  );
  p.d.out.push(...life.look, write(before));
  yield* flush(p.d);
}

export function* playSwitch(p: Pci, c: PciSwitch): Play<void> {
  yield* stageTo(p, 'reset', 0);
  const life = yield* bringUp(p, { decline: c.decline, interrupts: c.off === 'line' ? 'intx' : 'vectors', halve: 0 });
  if (life === undefined) return;
  yield* flush(p.d);
  if (c.off === 'vector' || c.off === 'function') yield* masks(p, life, c);
  else yield* command(p, life, c);
  yield* bringDown(p);
}
