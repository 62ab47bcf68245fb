// Finds what a PCI function offers and makes it reachable: BARs sized and assigned, capabilities walked, MSI-X armed, decoding enabled.
// PCI Local Bus 3.0, Configuration Space and MSI-X; VIRTIO 1.4, Virtio Structure PCI Capabilities.

import type { Bus, BusOp, Messages, Place, Width } from './bus.ts';
import { read, write } from './bus.ts';

const Command = 0x04;
const CommandIo = 1 << 0;
const CommandMemory = 1 << 1;
const CommandBusMaster = 1 << 2;
const BaseAddress = 0x10;
const CapabilitiesPointer = 0x34;
const MessageControl = 2;
const MsixEnable = 1 << 15;
const DeviceCapabilities = 4;
const FunctionLevelResetCapable = 1 << 28;
const DeviceControl = 8;
const InitiateFunctionLevelReset = 1 << 15;
const capabilityIdExpress = 0x10;
const capabilityIdMsix = 0x11;
const capabilityIdVendor = 0x09;

/** A base address register that decodes something. */
export interface Bar {
  readonly bar: number;
  readonly io: boolean;
  readonly wide: boolean;
  readonly size: number;
}
export interface Capability {
  readonly at: number;
  readonly id: number;
  /** Up to 24 bytes from `at`. */
  readonly bytes: DataView;
}
/** Where BARs may be put. Every BAR gets a window of its own, so that an access past its end meets nothing. */
export interface Windows {
  readonly memory: number;
  readonly io: number;
  /** Bytes between memory BARs. */
  readonly stride: number;
}
export interface Msix {
  readonly at: number;
  readonly size: number;
  readonly table: { readonly bar: number; readonly at: number };
}
export interface PciFunction {
  readonly bars: readonly Bar[];
  readonly vendor: readonly Capability[];
  readonly msix: Msix | undefined;
  /** Its PCI Express capability, where it can reset the function. */
  readonly express: number | undefined;
}

/** PCI allows an I/O BAR 256 bytes. */
export const ioStride = 0x100;

export const config = (at: number, width: Width): Place => ({ space: 'pci-config', at, width });
const get = (bus: Bus, at: number, width: Width): number => bus.run([read(config(at, width))])[0] ?? 0;

function sizeBars(bus: Bus): readonly Bar[] {
  const bars: Bar[] = [];
  for (let bar = 0; bar < 6; bar++) {
    const at = BaseAddress + 4 * bar;
    const [, mask = 0] = bus.run([write(config(at, 4), 0xffffffff), read(config(at, 4))]);
    if (mask === 0) continue;
    const io = (mask & 1) !== 0;
    const wide = !io && (mask & 6) === 4;
    // The lowest writable address bit is the size; an I/O BAR may hardwire its upper 16 bits to 0.
    const address = io ? mask & ~3 : mask & ~0xf;
    bars.push({ bar, io, wide, size: (address & -address) >>> 0 });
    if (wide) bar++;
  }
  return bars;
}

function walk(bus: Bus): readonly Capability[] {
  const found: Capability[] = [];
  // 48 capabilities fill the space: a longer walk is a loop.
  for (let at = get(bus, CapabilitiesPointer, 1) & ~3; at >= 0x40 && found.length < 48; ) {
    const words = bus.run(Array.from({ length: Math.min(6, (0x100 - at) / 4) }, (_, i) => read(config(at + 4 * i, 4))));
    const bytes = new DataView(new ArrayBuffer(24));
    for (const [i, word] of words.entries()) bytes.setUint32(4 * i, word, true);
    found.push({ at, id: bytes.getUint8(0), bytes });
    at = bytes.getUint8(1) & ~3;
  }
  return found;
}

/** What the function has; decoding is off while its BARs are sized. */
export function discover(bus: Bus): PciFunction {
  bus.run([write(config(Command, 2), 0)]);
  const bars = sizeBars(bus);
  const capabilities = walk(bus);
  const msix = capabilities.find((c) => c.id === capabilityIdMsix);
  const table = msix?.bytes.getUint32(4, true) ?? 0;
  const express = capabilities.find((c) => c.id === capabilityIdExpress);
  return {
    express: express && (express.bytes.getUint32(DeviceCapabilities, true) & FunctionLevelResetCapable ? express.at : undefined),
    bars,
    vendor: capabilities.filter((c) => c.id === capabilityIdVendor),
    msix: msix && {
      at: msix.at,
      size: (msix.bytes.getUint16(MessageControl, true) & 0x7ff) + 1,
      table: { bar: table & 7, at: table & ~7 },
    },
  };
}

/** Vectors in use: one for configuration changes and at least one for queues, or none at all. */
export function vectorsOf(pci: PciFunction, messages: Messages): number {
  const vectors = Math.min(pci.msix?.size ?? 0, messages.vectors);
  return vectors < 2 ? 0 : vectors;
}

/** Resets the function where it can be reset: registers that raw accesses have spoilt are as new, and it must be enabled again. */
export function resetFunction(bus: Bus, { express }: PciFunction): void {
  if (express !== undefined) bus.run([write(config(express + DeviceControl, 2), InitiateFunctionLevelReset)]);
}

/** Assigns the BARs, enables decoding and bus mastering, and points each MSI-X vector at its own message word. */
export function enable(bus: Bus, pci: PciFunction, windows: Windows, messages: Messages): void {
  const ops: BusOp[] = [];
  for (const b of pci.bars) {
    const at = BaseAddress + 4 * b.bar;
    ops.push(write(config(at, 4), b.io ? windows.io + ioStride * b.bar : windows.memory + windows.stride * b.bar));
    if (b.wide) ops.push(write(config(at + 4, 4), 0));
  }
  ops.push(write(config(Command, 2), CommandIo | CommandMemory | CommandBusMaster));
  const vectors = vectorsOf(pci, messages);
  if (pci.msix !== undefined && vectors > 0) {
    const { at, table } = pci.msix;
    const entry = (vector: number, offset: number): Place => ({
      space: 'bar',
      bar: table.bar,
      at: table.at + 16 * vector + offset,
      width: 4,
    });
    ops.push(write(config(at + MessageControl, 2), MsixEnable));
    for (let vector = 0; vector < vectors; vector++) {
      const message = messages.at + BigInt(4 * vector);
      ops.push(
        write(entry(vector, 0), Number(BigInt.asUintN(32, message))),
        write(entry(vector, 4), Number(message >> 32n)),
        write(entry(vector, 8), vector + 1),
        write(entry(vector, 12), 0),
      );
    }
  }
  bus.run(ops);
}
