// Stories of the split virtqueue and of a device's life: chains, used ring, notifications, reset, feature negotiation.

import { bit, F } from '../virtio/bits.ts';
import type { Story } from './story.ts';
import { command, init, look, machine, read, story, suppress, violate, write } from './virtio-words.ts';

const inOrder = machine((v) => (v.offer & bit(F.IN_ORDER)) !== 0n);

export const splitStories: readonly Story[] = [
  story({
    name: 'virtio/served',
    says: 'one sector is read: three descriptors out, one used element back, one interrupt',
    about: ['virtio.split.used.id-outstanding', 'virtio.split.completes', 'virtio.blk.in.data', 'virtio.blk.served'],
    choices: [read()],
  }),
  story({
    name: 'virtio/features',
    says: 'features are offered, agreed to, and agreed to again after a reset with INDIRECT_DESC declined',
    about: [
      'virtio.features.version-1-offered',
      'virtio.features.offer-stable',
      'virtio.features.valid-subset-agreed',
      'virtio.reset.status-zero',
    ],
    choices: [look('features'), init({}, [F.INDIRECT_DESC]), look('features'), init(), read()],
  }),
  story({
    name: 'virtio/features-not-offered',
    says: 'a driver accepts a bit that was not offered; the device leaves FEATURES_OK clear',
    about: ['virtio.features.unoffered-refused'],
    choices: [violate('virtio.features.not-offered')],
  }),
  story({
    name: 'virtio/before-driver-ok',
    says: 'a request stands in the ring before DRIVER_OK; nothing happens until then',
    about: ['virtio.status.no-use-before-driver-ok', 'virtio.status.no-notification-before-driver-ok'],
    choices: [init({ early: 1 }), { op: 'kick', queue: 0 }],
  }),
  story({
    name: 'virtio/reset',
    says: 'a reset in the middle of work: status 0, queue memory left alone, and the device works again',
    about: ['virtio.reset.status-zero', 'virtio.reset.queues-untouched', 'virtio.split.reset.former-untouched'],
    choices: [read(), write({ then: 'hold' }), init({ early: 1 }), read()],
  }),
  story({
    name: 'virtio/indirect',
    says: 'the whole chain stands in an indirect table; the queue gives one descriptor for it',
    about: ['virtio.split.indirect.handled', 'virtio.split.desc.table-untouched', 'virtio.blk.in.data'],
    choices: [read({ table: 'indirect', every: 256 })],
  }),
  story({
    name: 'virtio/indirect-mixed',
    says: 'direct descriptors first, the rest in one indirect table',
    about: ['virtio.split.indirect.mixed'],
    choices: [read({ table: 'mixed', every: 256 })],
  }),
  story({
    name: 'virtio/indirect-write-flag',
    says: 'VIRTQ_DESC_F_WRITE on the descriptor of an indirect table means nothing',
    about: ['virtio.split.indirect.write-flag-ignored'],
    choices: [write({ table: 'indirect-write' }), read()],
  }),
  story({
    name: 'virtio/framing',
    says: 'header, data and status cut anywhere: the same bytes arrive',
    about: ['virtio.blk.out.data', 'virtio.split.desc.readable-untouched', 'virtio.split.memory.described-only'],
    on: machine((v) => v.queueSizeMax >= 128 && v.blk.blockSize === 512),
    choices: [write({ cuts: [1, 15, 17, 529], sectors: 2 }), read({ cuts: [8, 511, -2], sectors: 2 })],
  }),
  story({
    name: 'virtio/index-wrap',
    says: 'avail and used idx go from 65534 past 65535 to 1, and no request is lost',
    about: ['virtio.split.used.idx-bounded', 'virtio.split.completes', 'virtio.split.used.id-outstanding'],
    choices: [init({ base: 65534 }), read(), read({ sector: 1 }), read({ sector: 2 })],
  }),
  story({
    name: 'virtio/full-ring',
    says: 'as many requests as the queue holds are made available at once, and all are used',
    about: ['virtio.split.completes', 'virtio.split.used.elem-before-idx'],
    choices: [read({ times: 0, table: 'indirect' })],
  }),
  story({
    name: 'virtio/in-order',
    says: 'with VIRTIO_F_IN_ORDER three requests are used in the order they were made available',
    about: ['virtio.split.used.in-order'],
    on: inOrder,
    choices: [read({ times: 2, table: 'indirect' }), read({ times: 3, table: 'indirect' })],
  }),
  story({
    name: 'virtio/event-idx',
    says: 'used_event two entries ahead: the first use is silent, the one that reaches it interrupts',
    about: ['virtio.split.notify.used-event-ahead', 'virtio.split.notify.used-event-reached'],
    choices: [suppress(1), read(), read()],
  }),
  story({
    name: 'virtio/event-idx-wrap',
    says: 'used_event lies past 65535: the crossing test is arithmetic modulo 65536',
    about: ['virtio.split.notify.used-event-ahead', 'virtio.split.notify.used-event-reached'],
    choices: [init({ base: 65534 }), suppress(2), read(), read(), read()],
  }),
  story({
    name: 'virtio/no-interrupt',
    says: 'without EVENT_IDX, avail flags 1 suppress the interrupt and flags 0 want it again',
    about: ['virtio.split.notify.flags-set', 'virtio.split.notify.flags-clear'],
    choices: [init({}, [F.EVENT_IDX]), suppress(0, true), read(), suppress(0), read()],
  }),
  story({
    name: 'virtio/spurious-kick',
    says: 'a notification without new buffers changes nothing, and the queue goes on',
    about: ['virtio.split.notify.spurious-survived'],
    choices: [{ op: 'kick', queue: 0 }, { op: 'kick', queue: 0 }, read()],
  }),
  story({
    name: 'virtio/loop',
    says: 'a chain that loops: the driver broke its duty; the device survives, writes nothing stray, and a reset recovers it',
    about: ['machine.alive', 'virtio.split.reset-recovers', 'virtio.split.memory.described-only'],
    choices: [violate('virtio.split.desc.loop')],
  }),
  story({
    name: 'virtio/outside-memory',
    says: 'a buffer past the end of memory: no crash, and a reset recovers the device',
    about: ['machine.alive', 'virtio.split.reset-recovers'],
    choices: [violate('virtio.split.desc.memory')],
  }),
  story(
    {
      name: 'virtio/fault-head-twice',
      says: 'a head comes back twice',
      about: ['virtio.split.used.id-outstanding'],
      choices: [read({ times: 4, table: 'indirect' })],
    },
    'fault:VB-112',
  ),
  story(
    {
      name: 'virtio/fault-full-ring-lost',
      says: 'a completely full available ring is taken for an empty one',
      about: ['virtio.split.completes'],
      choices: [read({ times: 0, table: 'indirect' })],
    },
    'fault:VB-011',
  ),
  story(
    {
      name: 'virtio/fault-index-first',
      says: 'used idx moves before the element it publishes is written',
      about: ['virtio.split.used.elem-before-idx'],
      choices: [command('get-id')],
    },
    'fault:split-idx-first',
  ),
];
