// The events and machines of the VT-d area as they stand on the wire: one field table each, in wire order.
// The annotations tie each table to its type.

import type { AtsEntry, Requester, RequesterAbility, VtdMachine, VtdObservation, VtdStimulus } from '../../spec/vt-d/vocabulary.ts';
import type { FieldsOf } from './fields.ts';
import type { Shapes } from './shapes.ts';

const width48 = { numbers: { 4: true, 8: true } } as const;
const width124 = { numbers: { 1: true, 2: true, 4: true } } as const;

const abilities = {
  list: {
    words: {
      read: true,
      'read.bytes': true,
      write: true,
      atomic: true,
      execute: true,
      pasid: true,
      translated: true,
      ats: true,
      pri: true,
      msi: true,
      config: true,
    } satisfies Record<RequesterAbility, true>,
  },
} as const;
const requester: FieldsOf<Requester> = {
  sourceId: 'u16',
  kind: { words: { endpoint: true, bridge: true, ioapic: true, hpet: true } },
  can: abilities,
  physical: { optional: 'u8' },
};
export const vtd: FieldsOf<VtdMachine> = {
  cap: 'u64',
  ecap: 'u64',
  hostAddressWidth: 'u8',
  requesters: { list: { record: requester } },
  reserved: { optional: { list: { record: { base: 'u64', limit: 'u64', sourceId: 'u16' } } } },
};

const attributes = {
  requester: 'u8',
  at: 'u64',
  pasid: { optional: 'u32' },
  privileged: { optional: 'bool' },
  translated: { optional: 'bool' },
} as const;
export const vtdStimuli: Shapes<VtdStimulus, 'do'> = {
  'vtd.read': { at: 'u32', width: width48 },
  'vtd.write': { at: 'u32', width: width48, value: 'u64' },
  'dma.read': { ...attributes, length: 'u32', execute: { optional: 'bool' } },
  'dma.write': { ...attributes, bytes: 'bytes' },
  'dma.atomic': { ...attributes, width: width48, operand: 'u64' },
  'ats.request': { ...attributes, pages: 'u32', noWrite: { optional: 'bool' }, execute: { optional: 'bool' } },
  'pri.request': { ...attributes, read: 'bool', write: 'bool', last: 'bool', group: 'u16' },
  'ats.answers': { requester: 'u8', answers: 'bool' },
  'msi.send': { requester: 'u8', address: 'u64', data: 'u32', pasid: { optional: 'u32' } },
  'function.config.read': { requester: 'u8', at: 'u32', width: width124 },
  'function.config.write': { requester: 'u8', at: 'u32', width: width124, value: 'u32' },
  'function.reset': { requester: 'u8' },
  'vtd.reset': {},
};
const entry: FieldsOf<AtsEntry> = {
  address: 'u64',
  size: 'u64',
  read: 'bool',
  write: 'bool',
  execute: 'bool',
  privileged: 'bool',
  global: 'bool',
  untranslatedOnly: 'bool',
  noSnoop: 'bool',
};
export const vtdObservations: Shapes<VtdObservation, 'saw'> = {
  'vtd.register': { at: 'u32', width: width48, value: 'u64' },
  'dma.done': { requester: 'u8', outcome: { words: { completed: true, blocked: true, unseen: true } }, bytes: { optional: 'bytes' } },
  'ats.completion': {
    requester: 'u8',
    status: { words: { success: true, 'unsupported-request': true, 'completer-abort': true } },
    entries: { list: { record: entry } },
  },
  'ats.invalidation': { requester: 'u8', at: 'u64', pages: 'u64', pasid: { optional: 'u32' } },
  'pri.response': { requester: 'u8', group: 'u16', code: 'u8', pasid: { optional: 'u32' } },
  'apic.interrupt': {
    vector: 'u8',
    delivery: 'u8',
    destination: 'u32',
    logical: 'bool',
    level: 'bool',
    redirectionHint: 'bool',
    event: { optional: { words: { fault: true, completion: true, page: true } } },
  },
  'function.config': { requester: 'u8', at: 'u32', width: width124, value: 'u32' },
};
