// The virtio control plane: what a driver can do to a device and see of it, on any transport. Types only.
// VIRTIO 1.4, Basic Facilities of a Virtio Device; PCI and MMIO stimuli belong to the transport areas alone.

import type { Gpa } from '../units.ts';

/** A virtio device to build. `offer` is the set of feature bits wished for; the target offers those of them it can. */
export interface VirtioMachine {
  readonly device: 'blk';
  readonly offer: bigint;
  /** Largest size of each queue, in descriptors. */
  readonly queueSizeMax: number;
  readonly queues: number;
  readonly blk: BlkMachine;
}
/** A block device. Unless `disk` is 'unknown', it starts with the pattern: each 16-bit little-endian word holds its own index modulo 65536. */
export interface BlkMachine {
  readonly disk: 'pattern' | 'unknown';
  /** Capacity in 512-byte sectors. */
  readonly sectors: number;
  readonly readOnly: boolean;
  /** blk_size in bytes. */
  readonly blockSize: number;
  /** Up to 20 ASCII bytes for VIRTIO_BLK_T_GET_ID. */
  readonly serial: string;
}

export type VirtioStimulus =
  /** Writing 0 resets the device. */
  | { readonly do: 'virtio.status.write'; readonly value: number }
  | { readonly do: 'virtio.status.read' }
  /** All 64 offered bits. */
  | { readonly do: 'virtio.features.read' }
  /** All 64 accepted bits. */
  | { readonly do: 'virtio.features.write'; readonly accepted: bigint }
  /** Device-specific configuration; width in bytes, 8 is two 32-bit halves on a bus. */
  | { readonly do: 'virtio.config.read'; readonly at: number; readonly width: 1 | 2 | 4 | 8 }
  | { readonly do: 'virtio.config.write'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly do: 'virtio.generation.read' }
  /** Asks for queue's largest size and whether it is enabled. */
  | { readonly do: 'virtq.read'; readonly queue: number }
  /** Sets the queue's size and the three ring addresses, then enables it. `base`: first avail and used index, where offered. */
  | {
      readonly do: 'virtq.set';
      readonly queue: number;
      readonly size: number;
      readonly desc: Gpa;
      readonly avail: Gpa;
      readonly used: Gpa;
      readonly base?: number;
    }
  | { readonly do: 'virtq.notify'; readonly queue: number }
  /** The host changes the capacity of the disk; in 512-byte sectors. */
  | { readonly do: 'host.resize'; readonly sectors: number }
  /** PCI configuration space of the function; width in bytes. */
  | { readonly do: 'pci.config.read'; readonly at: number; readonly width: 1 | 2 | 4 }
  | { readonly do: 'pci.config.write'; readonly at: number; readonly width: 1 | 2 | 4; readonly value: number }
  /** Memory or I/O of base address register `bar`; width in bytes. */
  | { readonly do: 'pci.bar.read'; readonly bar: number; readonly at: number; readonly width: 1 | 2 | 4 }
  | { readonly do: 'pci.bar.write'; readonly bar: number; readonly at: number; readonly width: 1 | 2 | 4; readonly value: number }
  /** virtio-mmio register space; width in bytes. */
  | { readonly do: 'mmio.read'; readonly at: number; readonly width: 1 | 2 | 4 }
  | { readonly do: 'mmio.write'; readonly at: number; readonly width: 1 | 2 | 4; readonly value: number };

export type VirtioObservation =
  | { readonly saw: 'virtio.status'; readonly value: number }
  | { readonly saw: 'virtio.features'; readonly offered: bigint }
  | { readonly saw: 'virtio.config'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly saw: 'virtio.generation'; readonly value: number }
  /** sizeMax 0: the queue does not exist. */
  | { readonly saw: 'virtq.state'; readonly queue: number; readonly sizeMax: number; readonly enabled: boolean }
  /** A notification since the last look. `queue` where the transport tells it. After the memory.changed of the same answer. */
  | { readonly saw: 'interrupt'; readonly from: 'queue' | 'config'; readonly queue?: number }
  | { readonly saw: 'pci.config'; readonly at: number; readonly width: 1 | 2 | 4; readonly value: number }
  | { readonly saw: 'pci.bar'; readonly bar: number; readonly at: number; readonly width: 1 | 2 | 4; readonly value: number }
  | { readonly saw: 'mmio'; readonly at: number; readonly width: 1 | 2 | 4; readonly value: number };

/** A piece of guest memory named by one descriptor. */
export interface Segment {
  readonly at: Gpa;
  /** Bytes. */
  readonly length: number;
}
/** A descriptor chain as the driver offered it, indirect tables unfolded, in order. */
export interface Chain {
  readonly queue: number;
  /** Index of the head in the descriptor table. */
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  /** Entries of descriptor table and indirect table that make it up. */
  readonly entries: number;
  readonly indirect: boolean;
  /** Direct descriptors stand before the indirect one. */
  readonly mixed: boolean;
}

export type VirtioDerived =
  /** The driver knows which features hold: FEATURES_OK was read back set, or DRIVER_OK was written where status cannot be read. */
  | { readonly saw: 'virtio.negotiated'; readonly features: bigint }
  /** DRIVER_OK was written. */
  | { readonly saw: 'virtio.live'; readonly features: bigint }
  /** A queue was set up while these features held. */
  | {
      readonly saw: 'virtq.enabled';
      readonly queue: number;
      readonly size: number;
      readonly desc: Gpa;
      readonly avail: Gpa;
      readonly used: Gpa;
      readonly base: number;
    }
  /** The driver made a legal chain available. `order`: how many were before it on this queue. */
  | { readonly saw: 'virtq.submitted'; readonly chain: Chain; readonly order: number }
  /** The driver made something available that breaks a duty; `writable` is all it described as writable, as far as it can be followed. */
  | {
      readonly saw: 'virtq.malformed';
      readonly queue: number;
      readonly head: number;
      readonly why: string;
      readonly writable: readonly Segment[];
    }
  /** The device used an outstanding chain. `skipped`: with IN_ORDER a later used entry stands for it, and no length was told. */
  | {
      readonly saw: 'virtq.completed';
      readonly chain: Chain;
      readonly length: number;
      readonly order: number;
      readonly skipped?: true;
    }
  /** The device published used entries that name no outstanding chain. */
  | { readonly saw: 'virtq.used.stray'; readonly queue: number; readonly head: number };
