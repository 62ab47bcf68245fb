// Stories of the block device: what its requests do to the disk, and what it answers to those it cannot serve.

import { bit, CONFIG, F } from '../virtio/bits.ts';
import type { Story } from './story.ts';
import { command, erase, init, machine, read, story, unknown, violate, write } from './virtio-words.ts';

const readOnly = machine((v) => v.blk.readOnly);
const secure = machine((v) => (v.offer & bit(F.SECURE_ERASE)) !== 0n);

export const blkStories: readonly Story[] = [
  story({
    name: 'virtio/write-read',
    says: 'what OUT wrote, IN reads back, after a FLUSH',
    about: ['virtio.blk.out.data', 'virtio.blk.supported'],
    choices: [write({ sector: 3, sectors: 2 }), command('flush'), read({ sector: 3, sectors: 2 })],
  }),
  story({
    name: 'virtio/get-id',
    says: 'GET_ID delivers 20 bytes: the serial, padded with NUL',
    about: ['virtio.blk.id.data', 'virtio.blk.id.served', 'virtio.blk.used.bound'],
    choices: [command('get-id'), command('get-id')],
  }),
  story({
    name: 'virtio/discard',
    says: 'two sectors are discarded: answered OK',
    about: ['virtio.blk.supported', 'virtio.blk.served'],
    choices: [erase('discard')],
  }),
  story({
    name: 'virtio/write-zeroes',
    says: 'two sectors become zeroes, with unmap allowed',
    about: ['virtio.blk.zeroes.data'],
    choices: [write({ sector: 1, sectors: 2 }), erase('write-zeroes', 1), read({ sector: 1, sectors: 2 })],
  }),
  story({
    name: 'virtio/write-zeroes-flags',
    says: 'an unknown flag in write zeroes is answered UNSUPP, and the disk is as before',
    about: ['virtio.blk.erase.flags', 'virtio.blk.unsupp.data'],
    choices: [erase('write-zeroes', 2), read({ sector: 1, sectors: 2 })],
  }),
  story({
    name: 'virtio/secure-erase',
    says: 'secure erase is served where it was negotiated',
    about: ['virtio.blk.supported', 'virtio.blk.served'],
    on: secure,
    choices: [erase('secure-erase')],
  }),
  story({
    name: 'virtio/unknown-type',
    says: 'a request type that no edition defines is answered UNSUPP',
    about: ['virtio.blk.unsupp.unknown', 'virtio.blk.unsupp.status', 'virtio.blk.status.written'],
    choices: [unknown(0xff)],
  }),
  story({
    name: 'virtio/read-only',
    says: 'OUT to a read-only disk is answered IOERR and changes nothing',
    about: ['virtio.blk.read-only.ioerr', 'virtio.blk.read-only.data', 'virtio.blk.features.read-only'],
    on: readOnly,
    choices: [write({ sector: 2 }), read({ sector: 2 })],
  }),
  story({
    name: 'virtio/past-capacity',
    says: 'a read past the last sector is refused',
    about: ['virtio.blk.range.refused'],
    choices: [violate('virtio.blk.capacity.in')],
  }),
  story({
    name: 'virtio/writeback',
    says: 'CONFIG_WCE: the driver switches to write-through and back',
    about: ['virtio.blk.writeback.value', 'virtio.blk.writeback.switch'],
    choices: [{ op: 'writeback', value: 0 }, write(), { op: 'writeback', value: 1 }, write(), command('flush')],
  }),
  story({
    name: 'virtio/resize',
    says: 'the disk grows by eight sectors: one configuration change notification, a new capacity, and the new sectors are served',
    about: ['virtio.config.change-notified', 'virtio.blk.capacity.notice', 'virtio.blk.config.capacity'],
    choices: [{ op: 'resize', by: 8 }, read({ sector: -1 })],
  }),
  story({
    name: 'virtio/configuration',
    says: 'every field of the configuration, before and after FEATURES_OK',
    about: ['virtio.config.readable-and-stable', 'virtio.blk.config.capacity', 'virtio.blk.config.block-size', 'virtio.blk.config.limits'],
    choices: [init(), { op: 'config', field: CONFIG.length }],
  }),
  story(
    {
      name: 'virtio/fault-get-id-once',
      says: 'the ID string is gone after its first use',
      about: ['virtio.blk.id.data'],
      choices: [command('get-id'), command('get-id')],
    },
    'fault:VB-077',
  ),
  story(
    {
      name: 'virtio/fault-read-only-written',
      says: 'a read-only disk is written before the write is refused',
      about: ['virtio.blk.read-only.data'],
      on: readOnly,
      choices: [write({ sector: 2 }), read({ sector: 2 })],
    },
    'fault:VB-115',
  ),
];
