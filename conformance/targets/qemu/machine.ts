// One running QEMU with its memory, its disk and its lifted device: reset in place, resized, closed.
// A reset is a device reset, memory refilled and the disk's pattern restored; a function reset too where raw accesses disturbed it.

import path from 'node:path';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import type { LiftedDevice, Unsupported } from '../../bus/bus.ts';
import type { Waits } from '../host/lanes.ts';
import type { Wanted } from './arguments.ts';
import type { QemuBus } from './bus.ts';
import { openDisk, sectorSize } from './disk.ts';
import { launch, type Running } from './launch.ts';
import { type GuestMemory, openMemory, openMessages } from './memory.ts';
import { messagesAt, type Model } from './models.ts';
import { qmpOver } from './qmp.ts';
import { qtestOver } from './qtest.ts';
import { inTurns } from './settle.ts';
import type { Watchdog } from './watchdog.ts';

/** Message words: more vectors than any device here has. */
const vectors = 64;

export interface Machine {
  readonly running: Running;
  readonly memory: GuestMemory;
  readonly bus: QemuBus;
  readonly device: LiftedDevice;
  /** Feature bits and queue size that the device really has. */
  readonly offer: bigint;
  readonly queueSizeMax: number;
  /** Whether the device may have touched memory since it was last reset. */
  readonly activity: { roused: boolean };
  /** As new. False: the device would not reset. */
  reset(fill: number, disturbed: boolean): Waits<boolean>;
  /** Undefined, or why not. */
  resize(sectors: number): string | undefined;
  close(): void;
}

/** What the answer to a stimulus shows, run on its own. */
function ask(bus: QemuBus, device: LiftedDevice, stimulus: Stimulus): readonly Observation[] {
  const lifted = device.lift(stimulus);
  return 'unsupported' in lifted ? [] : lifted.saw(bus.run(lifted.ops));
}

/** Starts it, and stops while it does. A QEMU that refuses its arguments is a machine that cannot be built. */
export function* startMachine(binary: string, model: Model, want: Wanted, watchdog: Watchdog): Waits<Machine | Unsupported> {
  const files = { ram: want.memory, disk: want.sectors * sectorSize, messages: 4096 };
  const running = launch(binary, files, want.args, watchdog);
  yield;
  const file = (name: string): string => path.join(running.dir, name);
  const opened: { close(): void }[] = [];
  const close = (): void => {
    running.close();
    for (const each of opened) each.close();
  };
  const refused = (why: string): Unsupported => {
    close();
    return { unsupported: why };
  };
  try {
    const qmp = qmpOver(running.qmp);
    const bus = model.bus(qtestOver(running.qtest));
    if (bus === undefined) return refused(`no virtio block device in ${model.name}`);
    const memory = openMemory(file('ram'), want.memory);
    opened.push(memory);
    const messages = openMessages(file('messages'), BigInt(messagesAt), vectors);
    opened.push(messages);
    const disk = openDisk(file('disk'), want.sectors);
    opened.push(disk);
    const device = model.lift(bus, messages);
    if ('unsupported' in device) return refused(device.unsupported);
    const features = ask(bus, device, { do: 'virtio.features.read' }).find((o) => o.saw === 'virtio.features');
    const queue = ask(bus, device, { do: 'virtq.read', queue: 0 }).find((o) => o.saw === 'virtq.state');
    let resized = false;
    const resize = (sectors: number): string | undefined => {
      resized = true;
      const answer = qmp.execute('block_resize', { 'node-name': 'disk', size: sectors * sectorSize });
      return 'error' in answer ? answer.error : undefined;
    };
    const activity = { roused: false };
    return {
      activity,
      running,
      memory,
      bus,
      device,
      offer: features?.offered ?? 0n,
      queueSizeMax: queue?.sizeMax ?? 0,
      reset: function* (fill, disturbed) {
        if (resized && resize(want.sectors) !== undefined) return false;
        resized = false;
        // The device first: until it is reset it may still write to memory and disk.
        if (!(yield* inTurns(bus, device.prepare(disturbed)))) return false;
        activity.roused = false;
        memory.refill(fill);
        disk.restore();
        running.renew();
        return true;
      },
      resize,
      close,
    };
  } catch (error) {
    const died = running.ended();
    if (died !== undefined) return refused(died);
    close();
    throw error;
  }
}
