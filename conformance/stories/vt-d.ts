// Stories of the remapping unit: translation, faults, stale entries and what drops them, interrupts, devices with caches of their own.

import type { MachineConfig } from '../../spec/units.ts';
import type { How, VtdChoice } from '../vt-d/choices.ts';
import { vtdMachines } from '../vt-d/machines.ts';
import type { Story } from './story.ts';

const legacy = vtdMachines[0] as MachineConfig;
const devices = vtdMachines[11] as MachineConfig;
const functions = vtdMachines[10] as MachineConfig;
const story = (s: Omit<Story<VtdChoice>, 'target' | 'suite' | 'machine'> & { readonly machine?: MachineConfig }): Story<VtdChoice> => ({
  target: 'ref',
  suite: 'vt-d',
  machine: legacy,
  ...s,
});
const write = (requester = 0, at = 0): VtdChoice => ({ op: 'write', requester, at, offset: 0, load: 'word', pasid: 0, flags: 0 });
const read = (requester = 0, at = 0): VtdChoice => ({ op: 'read', requester, at, offset: 0, load: 'bytes', pasid: 0, flags: 0 });
const unmap = (how: How): VtdChoice => ({ op: 'unmap', space: 0, which: 0, to: 0, how });

export const vtdStories: readonly Story[] = [
  story({
    name: 'vt-d/translated-write',
    says: 'a write of a device lands where its tables say, and is read back',
    about: ['vt-d.walk.translates', 'vt-d.isolation.memory'],
    choices: [write(), read()],
  }),
  story({
    name: 'vt-d/unmapped-fault',
    says: 'a write to an address that nothing maps is blocked and recorded',
    about: ['vt-d.walk.write-permission', 'vt-d.fault.recorded', 'vt-d.fault.source-id', 'vt-d.fault.pending'],
    choices: [write(0, 25), { op: 'look', at: 'faults' }],
  }),
  story({
    name: 'vt-d/invalidated-page',
    says: 'a page that was used, unmapped and invalidated is not reached again',
    about: ['vt-d.cache.iotlb-page'],
    choices: [write(), unmap('right'), write(0, 7), { op: 'look', at: 'faults' }],
  }),
  story({
    name: 'vt-d/remapped-interrupt',
    says: 'an interrupt request arrives with the vector of its table entry',
    about: ['vt-d.interrupt.delivered'],
    choices: [
      { op: 'entry', index: 1, vector: 4, fields: 0, source: 0, how: 'right' },
      { op: 'message', requester: 0, index: 1, sub: 0, form: 0 },
    ],
  }),
  story({
    name: 'vt-d/compatibility-blocked',
    says: 'a compatibility-format request is blocked while remapping is on',
    about: ['vt-d.interrupt.compatibility'],
    choices: [{ op: 'message', requester: 0, index: 0, sub: 0, form: 2 }],
  }),
  story({
    name: 'vt-d/queue-error',
    says: 'an unknown descriptor stops the queue with IQE; mended, it goes on',
    about: ['vt-d.queue.error', 'vt-d.queue.error-head'],
    choices: [
      { op: 'queue', fault: 'type', n: 0 },
      { op: 'wait', interrupt: false, status: true },
      unmap('domain'),
      { op: 'look', at: 'queue' },
    ],
  }),
  story({
    name: 'vt-d/translation-request',
    says: 'a device asks for a translation by ATS and gets the page with its rights',
    about: ['vt-d.ats.address', 'vt-d.ats.rights'],
    machine: devices,
    choices: [
      { op: 'attach', requester: 0, space: 0, type: 'devices', pasid: 0, flags: 0, how: 'right' },
      { op: 'translation', requester: 0, at: 0, pages: 1, flags: 0, pasid: 0 },
    ],
  }),
  story({
    name: 'vt-d/virtual-function',
    says: 'a virtual function is a requester of its own: it reaches its own domain only',
    about: ['vt-d.walk.translates', 'vt-d.sriov.enable'],
    machine: functions,
    choices: [write(1), { op: 'function', requester: 0, what: 4, n: 2 }, write(2)],
  }),
];
