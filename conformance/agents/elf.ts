// The agent as a file that loaders take: ELF with a multiboot header and a PVH note (32-bit), or with the note and a 64-bit entry (64-bit).
// Multiboot 0.6.96, OS image format; Xen public/elfnote.h XEN_ELFNOTE_PHYS32_ENTRY; System V ABI, ELF header and program header.

import type { MachineConfig } from '../../spec/units.ts';
import { assembler } from './assembler.ts';
import { emitLoaded } from './entries.ts';
import { payload } from './image.ts';

/** Where loaders put it: above all that the agent uses but the results. */
const loadAt = 0x1000000;
const multibootMagic = 0x1badb002;
/** Offsets in the file: headers and note in the first page, start-up code in the second, the payload behind. */
const noteAt = 0x200;
const multibootAt = 0x300;
const codeAt = 0x1000;
const payloadAt = 0x2000;
const physical32 = 18;

export type ElfClass = 32 | 64;
/** Cases are sent back over the serial port as they end. */
export const elf = (machine: MachineConfig, cases: readonly Uint8Array[], width: ElfClass): Uint8Array => {
  const blob = payload(machine, cases, { serial: true });
  const bytes = new Uint8Array(payloadAt + blob.length);
  const view = new DataView(bytes.buffer);
  bytes.set(blob, payloadAt);
  const a = assembler(loadAt + codeAt, loadAt);
  const { entry32, entry64 } = emitLoaded(a, loadAt + payloadAt);
  bytes.set(a.finish(), codeAt);
  const word = (at: number, value: number): void =>
    width === 64 ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, width === 64 ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, width === 64 ? 62 : 3, true); // x86-64, 386
  view.setUint32(20, 1, true);
  const size = width >> 3;
  const header = width === 64 ? 64 : 52;
  word(24, width === 64 ? entry64 : entry32);
  word(24 + size, header);
  const rest = 24 + 3 * size;
  view.setUint16(rest + 4, header, true);
  const entrySize = width === 64 ? 56 : 32;
  view.setUint16(rest + 6, entrySize, true);
  view.setUint16(rest + 8, 2, true);
  // Program headers: everything is loaded; the note.
  for (const [i, [type, from, length]] of (
    [
      [1, 0, bytes.length],
      [4, noteAt, 0x10 + size],
    ] as const
  ).entries()) {
    const align = type === 1 ? 4096 : 4;
    const at = header + i * entrySize;
    view.setUint32(at, type, true);
    if (width === 64) {
      view.setUint32(at + 4, 7, true);
      for (const [k, value] of [from, loadAt + from, loadAt + from, length, length, align].entries()) word(at + 8 + 8 * k, value);
    } else for (const [k, value] of [from, loadAt + from, loadAt + from, length, length, 7, align].entries()) word(at + 4 + 4 * k, value);
  }
  for (const [k, value] of [4, size, physical32, 0x006e6558, entry32].entries()) view.setUint32(noteAt + 4 * k, value, true);
  // The address fields are used: multiboot then asks nothing of the ELF headers.
  if (width === 32)
    for (const [k, value] of [
      multibootMagic,
      0x10000,
      -(multibootMagic + 0x10000),
      loadAt + multibootAt,
      loadAt,
      loadAt + bytes.length,
      0,
      entry32,
    ].entries())
      view.setUint32(multibootAt + 4 * k, value, true);
  return bytes;
};
/** Room for cases: the results begin 16 MiB above. */
export const elfRoom: number = 8 << 20;
