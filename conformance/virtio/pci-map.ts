// What a driver learns by walking the configuration space of a virtio-pci function: its structures, its MSI-X table, its window.
// VIRTIO 1.4, Virtio Structure PCI Capabilities; PCI Local Bus, Capabilities List.

import { get16, get32, put32 } from './bytes.ts';
import type { Driver, Play } from './driver.ts';
import { ask } from './raw.ts';

/** cfg_type. */
export const CAP = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, PCI: 5 } as const;
export interface Structure {
  /** Where the capability stands in configuration space. */
  readonly at: number;
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
  /** notify_off_multiplier, of the notification structure. */
  readonly multiplier: number;
}
export interface PciMap {
  /** First usable structure of each cfg_type. */
  readonly structures: ReadonlyMap<number, Structure>;
  /** Offset and capability ID of every capability, in list order. */
  readonly capabilities: readonly { readonly at: number; readonly id: number; readonly length: number }[];
  /** Entries of the MSI-X table; 0: no such capability, or not enabled. */
  readonly vectors: number;
}

const VENDOR = 0x09;
const MSIX = 0x11;
const MSIX_ENABLE = 0x8000;
const SPACE = 256;

/** Reads all of configuration space in dwords and follows the list; a space that makes no sense gives an empty map. */
export function* mapOf(d: Driver): Play<PciMap> {
  const words = yield* ask(
    d,
    Array.from({ length: SPACE / 4 }, (_, i) => ({ do: 'pci.config.read', at: 4 * i, width: 4 }) as const),
  );
  const space = new Uint8Array(SPACE);
  words.slice(0, SPACE / 4).forEach((w, i) => put32(space, 4 * i, w));
  const structures = new Map<number, Structure>();
  const capabilities: { at: number; id: number; length: number }[] = [];
  let vectors = 0;
  let at = (space[0x34] ?? 0) & 0xfc;
  for (let n = 0; at >= 0x40 && at <= SPACE - 16 && n < 48; n++, at = (space[at + 1] ?? 0) & 0xfc) {
    const id = space[at] ?? 0;
    capabilities.push({ at, id, length: id === VENDOR ? (space[at + 2] ?? 0) : 0 });
    const control = get16(space, at + 2);
    if (id === MSIX && (control & MSIX_ENABLE) !== 0) vectors = (control & 0x7ff) + 1;
    const type = space[at + 3] ?? 0;
    const bar = space[at + 4] ?? 0;
    if (id !== VENDOR || structures.has(type) || bar > 5) continue;
    structures.set(type, { at, bar, offset: get32(space, at + 8), length: get32(space, at + 12), multiplier: get32(space, at + 16) });
  }
  return { structures, capabilities, vectors };
}
