// Decides what a remapping unit holds besides its registers: the latched table pointers, its caches, the request it works on.
// One request at a time, in one record that is filled again and again: a walk allocates nothing.

import type { VtdObservation } from '../../spec/vt-d/vocabulary.ts';
import type { Memory } from '../memory.ts';
import { type Caches, createCaches } from './caches.ts';
import type { Profile } from './profile.ts';
import { createRegisters, type Registers, resetRegisters } from './registers.ts';

/** PCI Express address types. */
export const UNTRANSLATED = 0;
export const TRANSLATION_REQUEST = 1;
export const TRANSLATED = 2;

/** Permissions of a translation, as bits. The second stage's R, W and X stand where its entries have them. */
export const READ = 1;
export const WRITE = 2;
export const EXECUTE = 4;
/** First stage: U/S, R/W of all levels were 1; XD of none was. */
export const USER = 8;
export const WRITABLE = 16;
export const EXECUTABLE = 32;
/** The leaf's dirty flag was set when the translation was cached, or none is kept. */
export const DIRTY = 64;

export const NO_PASID = -1;

/** A request on its way, and what came of it. */
export interface Request {
  sourceId: number;
  /** Input address: page number up to 2^52, and its parts above and below bit 32. */
  page: number;
  high: number;
  low: number;
  /** Permissions asked for: READ, WRITE, EXECUTE; 0 for a translation request or a read of length 0. */
  need: number;
  noWrite: boolean;
  execute: boolean;
  privileged: boolean;
  pasid: number;
  type: number;
  /** T1 and T2 of a fault record: 0 write, 1 page request, 2 read, 3 atomic operation. */
  kind: number;
  /** Whether a FPD field met on the way is 1. */
  faultsDisabled: boolean;
  /** Result: host page, the order of the page it stands in (0, 9, 18), permissions. */
  hostPage: number;
  order: number;
  permissions: number;
  global: boolean;
}

export type EventName = 'fault' | 'completion' | 'page';
export interface Unit {
  readonly profile: Profile;
  readonly registers: Registers;
  readonly memory: Memory;
  readonly caches: Caches;
  readonly request: Request;
  /** What SRTP latched. */
  rootPage: number;
  mode: number;
  /** What SIRTP latched. */
  interruptPage: number;
  interruptEntries: number;
  extendedInterrupts: boolean;
  /** The fault recording register that the next fault goes to. */
  faultIndex: number;
  /** Source IDs of devices that did not answer an invalidation request, until a wait descriptor notices. */
  silent: number;
  readonly see: (observation: VtdObservation) => void;
  /** The device gets an invalidation request; false where nobody answers. */
  readonly invalidateDevice: (sourceId: number, page: number, pages: bigint, pasid: number) => boolean;
  readonly respond: (sourceId: number, group: number, code: number, pasid: number) => void;
}

export const createUnit = (profile: Profile, memory: Memory, outside: Pick<Unit, 'see' | 'invalidateDevice' | 'respond'>): Unit => ({
  profile,
  registers: createRegisters(profile),
  memory,
  caches: createCaches(),
  request: {
    sourceId: 0,
    page: 0,
    high: 0,
    low: 0,
    need: 0,
    noWrite: false,
    execute: false,
    privileged: false,
    pasid: NO_PASID,
    type: UNTRANSLATED,
    kind: 0,
    faultsDisabled: false,
    hostPage: 0,
    order: 0,
    permissions: 0,
    global: false,
  },
  rootPage: 0,
  mode: 0,
  interruptPage: 0,
  interruptEntries: 2,
  extendedInterrupts: false,
  faultIndex: 0,
  silent: -1,
  ...outside,
});

/** As after power-on: registers, pointers, caches. */
export const resetUnit = (unit: Unit): void => {
  resetRegisters(unit.registers, unit.profile);
  unit.rootPage = 0;
  unit.mode = 0;
  unit.interruptPage = 0;
  unit.interruptEntries = 2;
  unit.extendedInterrupts = false;
  unit.faultIndex = 0;
  unit.silent = -1;
  unit.caches.contexts.clear();
  unit.caches.pasids.clear();
  unit.caches.iotlb.clear();
  unit.caches.interrupts.clear();
};

/** Sets the input address of the request at hand. */
export const aim = (request: Request, page: number): void => {
  request.page = page;
  request.high = Math.floor(page / 2 ** 32);
  request.low = page >>> 0;
};
