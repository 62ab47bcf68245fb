// Decides what the unit remembers of tables in memory: context entries, PASID-table entries, interrupt entries. Bounded, direct-mapped, and really
// used: what memory holds meanwhile is seen only after an invalidation (or an eviction). VT-d 4.1, Caching Translation Information.

import { createIotlb, type Iotlb } from './iotlb.ts';

/** A legacy or scalable-mode context entry. */
export interface Context {
  /** -1: nothing is cached here. */
  sourceId: number;
  /** 0, or the fault that its user meets: caching mode keeps entries that are not present. */
  reason: number;
  faultsDisabled: boolean;
  /** Legacy; 0 for an entry that is not present (caching mode). */
  domain: number;
  type: number;
  levels: number;
  tablePage: number;
  /** Scalable mode. */
  scalable: boolean;
  deviceTlb: boolean;
  pasidEnabled: boolean;
  pageRequests: boolean;
  directoryPage: number;
  /** The first PASID that the directory does not reach. */
  pasidEnd: number;
  ridPasid: number;
  ridPrivilege: boolean;
}
/** A scalable-mode PASID-table entry. */
export interface PasidEntry {
  sourceId: number;
  pasid: number;
  reason: number;
  faultsDisabled: boolean;
  domain: number;
  type: number;
  /** Second stage. */
  levels: number;
  secondPage: number;
  secondAccessed: boolean;
  secondExecute: boolean;
  /** First stage. */
  firstPage: number;
  firstLevels: number;
  supervisor: boolean;
  execute: boolean;
  writeProtect: boolean;
  noExecute: boolean;
  smep: boolean;
  extendedAccessed: boolean;
  /** PWSNP: accessed and dirty flags can be updated. */
  snooped: boolean;
}
/** An interrupt-remapping table entry: four 32-bit words. */
export interface InterruptEntry {
  index: number;
  readonly words: Uint32Array;
}
export interface Store<T> {
  readonly slots: readonly T[];
  readonly clear: () => void;
}
export interface Caches {
  readonly contexts: Store<Context>;
  readonly pasids: Store<PasidEntry>;
  readonly interrupts: Store<InterruptEntry>;
  readonly iotlb: Iotlb;
}

const CONTEXTS = 64;
const PASIDS = 64;
const INTERRUPTS = 64;

const context = (): Context => ({
  sourceId: -1,
  reason: 0,
  faultsDisabled: false,
  domain: 0,
  type: 0,
  levels: 0,
  tablePage: 0,
  scalable: false,
  deviceTlb: false,
  pasidEnabled: false,
  pageRequests: false,
  directoryPage: 0,
  pasidEnd: 0,
  ridPasid: 0,
  ridPrivilege: false,
});
const pasidEntry = (): PasidEntry => ({
  sourceId: -1,
  pasid: -1,
  reason: 0,
  faultsDisabled: false,
  domain: 0,
  type: 0,
  levels: 0,
  secondPage: 0,
  secondAccessed: false,
  secondExecute: false,
  firstPage: 0,
  firstLevels: 0,
  supervisor: false,
  execute: false,
  writeProtect: false,
  noExecute: false,
  smep: false,
  extendedAccessed: false,
  snooped: false,
});

export const createCaches = (): Caches => {
  const contexts = Array.from({ length: CONTEXTS }, context);
  const pasids = Array.from({ length: PASIDS }, pasidEntry);
  const interrupts = Array.from({ length: INTERRUPTS }, (): InterruptEntry => ({ index: -1, words: new Uint32Array(4) }));
  return {
    contexts: { slots: contexts, clear: () => forgetContexts(contexts, () => true) },
    pasids: { slots: pasids, clear: () => forgetPasids(pasids, () => true) },
    interrupts: {
      slots: interrupts,
      clear: () => {
        for (const entry of interrupts) entry.index = -1;
      },
    },
    iotlb: createIotlb(),
  };
};

/** Where the context of a source ID would be: by device and function, so that those of one bus rarely meet. */
export const contextSlot = (caches: Caches, sourceId: number): Context =>
  caches.contexts.slots[(sourceId ^ ((sourceId & 0xff) >>> 6)) & (CONTEXTS - 1)] as Context;
export const pasidSlot = (caches: Caches, sourceId: number, pasid: number): PasidEntry =>
  caches.pasids.slots[(sourceId ^ ((sourceId & 0xff) >>> 6) ^ Math.imul(pasid, 7)) & (PASIDS - 1)] as PasidEntry;
export const interruptSlot = (caches: Caches, index: number): InterruptEntry =>
  caches.interrupts.slots[index & (INTERRUPTS - 1)] as InterruptEntry;

export const forgetContexts = (slots: readonly Context[], covered: (entry: Context) => boolean): void => {
  for (const entry of slots) if (entry.sourceId !== -1 && covered(entry)) entry.sourceId = -1;
};
export const forgetPasids = (slots: readonly PasidEntry[], covered: (entry: PasidEntry) => boolean): void => {
  for (const entry of slots) if (entry.sourceId !== -1 && covered(entry)) entry.sourceId = -1;
};
