// What every room shares: units, capabilities, machines, and the four-verb contract's data. Types only.
// Anything a stimulus or an observation means belongs to the area's own vocabulary.

import type { CpuMachine, GrantedCpu } from './instructions/vocabulary.ts';
import type { VirtioMachine } from './virtio/vocabulary.ts';
import type { Observation, Stimulus } from './vocabulary.ts';
import type { VtdMachine } from './vt-d/vocabulary.ts';

declare const unit: unique symbol;
/** A number or bigint that carries its unit in the type, and nothing at run time. */
export type Unit<T, U extends string> = T & { readonly [unit]: U };
/** Guest-physical address, 64-bit. */
export type Gpa = Unit<bigint, 'guest-physical address'>;
/** I/O virtual address: what a device puts on the bus, 64-bit. */
export type Iova = Unit<bigint, 'I/O virtual address'>;

/** Something that not every target can show or do; clauses `need` them, targets `offer` them. */
export type Capability =
  | 'memory.order' // memory.changed is reported write by write, in order, same-value writes included
  | 'memory.seen' // memory.changed is reported at all
  | 'virtio.blk' // a virtio block device
  | 'virtio.status' // the device status field can be read
  | 'virtio.generation' // the configuration generation can be read
  | 'virtio.interrupt.queue' // an interrupt names its queue
  | 'virtq.base' // a queue can start at any index (virtq.set.base)
  | 'host.resize' // host.resize changes the capacity of the disk under the device
  | 'disk.seen' // the disk starts with the declared pattern
  | 'virtio.pci' // pci.* stimuli reach a virtio-pci function
  | 'virtio.mmio' // mmio.* stimuli reach a virtio-mmio device
  | 'cpu' // a logical processor that cpu.run drives
  | 'cpu.system' // code at CPL 0 and descriptor, control and page tables of the guest's own
  | 'cpu.ring3' // what code of ring 3 meets of descriptors, pages, I/O map and control registers is the machine's; where it would not be, a run is unsupported
  | 'cpu.step' // cpu.run with any limit, and without a state: single steps
  | 'cpu.hidden' // hidden parts of segment registers are seen
  | 'cpu.interrupt' // cpu.run can raise an interrupt
  | 'cpu.port' // port I/O is seen
  | 'vt-d' // a remapping unit with requesters
  | 'vt-d.register' // its registers can be read and written
  | 'vt-d.dma' // requests whose outcome is told by the device itself
  | 'vt-d.atomic'
  | 'vt-d.pasid' // requests with PASID
  | 'vt-d.ats'
  | 'vt-d.pri'
  | 'vt-d.interrupt' // interrupt messages are seen where they arrive
  | 'vt-d.reset' // the unit can be reset by hardware
  | 'sriov'; // a function with virtual functions

/** How the machine is attached: a bare control plane, or a real bus lifted to it. */
export type Bus = 'none' | 'mmio' | 'pci' | 'vhost-user';

/** What `reset` asks for. A target that cannot build it answers `unsupported`. */
export interface MachineConfig {
  /** Bytes of guest memory at address 0; a multiple of 4096. */
  readonly memory: number;
  /** Every byte of guest memory before the first stimulus, 0–255. */
  readonly fill: number;
  readonly bus: Bus;
  readonly virtio?: VirtioMachine;
  readonly cpu?: CpuMachine;
  readonly vtd?: VtdMachine;
  /** Bytes that stand in guest memory over the fill before the first stimulus, in ascending order without overlap. */
  readonly image?: readonly { readonly at: Gpa; readonly bytes: Uint8Array }[];
}

/** What `reset` granted: the facts a judge may rely on. */
export interface Granted {
  /** Guest memory: bytes at address 0, its fill, and how its changes are seen. */
  readonly memory: { readonly size: number; readonly fill: number | 'unknown'; readonly seen: 'ordered' | 'compared' | 'unseen' };
  readonly level: 'queue' | 'mmio' | 'pci' | 'vhost-user' | 'agent';
  readonly reset: 'device' | 'process' | 'snapshot';
  /** What this machine offers: a subset of what the target's hello offers. */
  readonly offers: readonly Capability[];
  /** What the device is, for areas that need to know it; absent when unknown. */
  readonly virtio?: VirtioMachine;
  readonly cpu?: GrantedCpu;
  readonly vtd?: VtdMachine;
}

/** One answer to one stimulus: what was seen, or why nothing could be, or that the target died or hung. */
export type Answer = { readonly saw: readonly Observation[] } | { readonly unsupported: string } | { readonly broke: string };
export type Awaitable<T> = T | Promise<T>;

/** Answers by program, in order; fewer than stimuli only after a `broke`. An array, or what works them out where they are asked for: of thousands of
 *  programs that ran at once, only those are kept that are looked at. */
export interface WholeAnswers {
  at(program: number): readonly Answer[] | undefined;
}
/** What `runAll` gives. */
export type WholeRun =
  | { readonly granted: Granted; readonly answers: WholeAnswers }
  | { readonly unsupported: string }
  | { readonly broke: string };
/** A program that is told what was granted, and the answers to each step before it says the next. */
export type Course = (granted: Granted) => Generator<readonly Stimulus[], void, readonly Answer[]>;
/** What a course led to: the answers to each of its steps, or why there is no machine; or what the course itself threw. */
export type Ran =
  | { readonly granted: Granted; readonly answers: readonly (readonly Answer[])[] }
  | { readonly unsupported: string }
  | { readonly broke: string }
  | { readonly threw: unknown };
/** A program under test, behind four verbs. */
export interface Target {
  readonly hello: Hello;
  /** No answer is a promise. */
  readonly prompt?: true;
  /** A fresh machine; everything earlier is forgotten. */
  reset(machine: MachineConfig): Awaitable<{ readonly granted: Granted } | { readonly unsupported: string } | { readonly broke: string }>;
  apply(stimulus: Stimulus): Awaitable<Answer>;
  /** The same as apply in order; a chance to pipeline. Stops at the first `broke`, so it may return fewer answers. */
  applyAll?(stimuli: readonly Stimulus[]): Awaitable<readonly Answer[]>;
  /** Several programs in flight, each on a machine of its own: while one waits for what it tests, another goes on. Same meaning as reset, then applyAll
   *  of each step, for each of the programs. */
  sideBySide?(machine: MachineConfig, programs: readonly Course[]): Awaitable<readonly Ran[]>;
  /** Programs that are worth one start, where starting costs as much as many of them: runAll is then given more than it is asked the judgement of. */
  readonly atOnce?: number;
  /** The answers of a runAll may be read while the next one, with a reset before it, is under way: the next programs then run while these are judged. */
  readonly overlaps?: true;
  /** Whole programs at once, each on a fresh machine: for targets where coming and going costs more than a program. Same meaning as reset, then
   *  applyAll, for each. Asked only for programs that never look at an answer. */
  runAll?(machine: MachineConfig, programs: readonly (readonly Stimulus[])[]): Awaitable<WholeRun>;
  close(): Awaitable<void>;
}
export interface Hello {
  readonly protocol: 1;
  readonly name: string;
  readonly version: string;
  readonly offers: readonly Capability[];
}

/** Where a broken duty stops the guarantees: 'machine', 'device:0', 'device:0/queue:0'. A prefix contains what it prefixes. */
export type Scope = string;
/** Who is bound by a clause. */
export type Party = 'device' | 'driver' | 'cpu' | 'iommu' | 'hypervisor' | 'guest' | 'machine';
