// One QEMU with a remapping unit, requesters and a processor that takes interrupts; a program's end is a system reset.
// Guest RAM is a shared file: written directly, compared to see what was changed.

import path from 'node:path';
import type { MachineConfig } from '../../../../spec/units.ts';
import type { RequesterAbility, VtdMachine } from '../../../../spec/vt-d/vocabulary.ts';
import { type Waits, waited } from '../../host/lanes.ts';
import { launch, type Running } from '../launch.ts';
import { type GuestMemory, openMemory } from '../memory.ts';
import { qmpOver } from '../qmp.ts';
import { arriving, type Qtest, qtestOver } from '../qtest.ts';
import type { Watchdog } from '../watchdog.ts';
import { interruptFirmware, logSize } from './agent.ts';
import { type InterruptLog, openLog } from './interrupts.ts';
import { differs, remappingUnit } from './profile.ts';
import { logSlot, type Station, station } from './requesters.ts';

/** Where intel-iommu's registers are, always. */
export const unitAt = 0xfed9_0000;

export interface VtdQemu {
  readonly running: Running;
  readonly qtest: Qtest;
  readonly memory: GuestMemory;
  readonly interrupts: InterruptLog;
  readonly stations: readonly Station[];
  /** An event may be on its way by itself: software has unmasked one since the reset. */
  armed: boolean;
  /** Begins what `restart` ends, and waits for nothing: the machine resets while another one works. */
  begin(): void;
  /** Everything but memory as after power-on. False: the processor did not come back. */
  restart(): Waits<boolean>;
  close(): void;
}
type Unsupported = { readonly unsupported: string };

const resets = 6;
const patience = 300; // ms

/** Above it a PC has holes: video memory, option ROMs, firmware. */
const memoryMax = 0xa_0000;
const memoryStep = 8192; // -m is rounded up to it
/** Each function costs: turning translation on or off builds the memory map of all of them anew, twice for each. */
const lean = 'sata=off,smbus=off,hpet=off';

const stationsOf = (m: VtdMachine): readonly Station[] | Unsupported => {
  const stations: Station[] = [];
  for (const [n, r] of m.requesters.entries()) {
    const s = station(r, n);
    if ('unsupported' in s) return s;
    stations.push(s);
  }
  return stations;
};

export interface WantedVtd {
  readonly key: string;
  readonly memory: number;
  readonly vtd: VtdMachine;
  readonly args: (dir: string) => readonly string[];
}
export const wantedVtd = (config: MachineConfig, vtd: VtdMachine, properties: ReadonlySet<string>): WantedVtd | Unsupported => {
  const { memory } = config;
  if (config.virtio !== undefined || config.cpu !== undefined) return { unsupported: 'a remapping unit with other devices under test' };
  if (config.bus !== 'none' && config.bus !== 'pci') return { unsupported: `bus ${config.bus}: a remapping unit has none` };
  if (memory > memoryMax || memory % memoryStep !== 0)
    return { unsupported: `${memory} bytes of memory: a multiple of ${memoryStep} up to ${memoryMax} is possible` };
  const unit = remappingUnit(vtd, properties);
  if (typeof unit !== 'string') return unit;
  const stations = stationsOf(vtd);
  if ('unsupported' in stations) return stations;
  const args = (dir: string): readonly string[] =>
    [
      ['-object', `memory-backend-file,id=ram,size=${memory},mem-path=${dir}/ram,share=on`],
      ['-object', `memory-backend-file,id=log,size=${logSize},mem-path=${dir}/log,share=on`],
      ['-machine', `q35,memory-backend=ram,kernel-irqchip=off,${lean}`, '-m', `${memory}B`, '-accel', 'qtest', '-accel', 'tcg'],
      ['-device', unit, '-device', `ivshmem-plain,memdev=log,addr=${logSlot}`, '-device', 'pc-testdev'],
      ...stations.flatMap((s) => s.args),
    ].flat();
  // Registers that no property makes are part of what was asked for.
  return { key: [vtd.cap, vtd.ecap, ...args('')].join(' '), memory, vtd, args };
};

/** With translation off, a request is seen to do what it says: another QEMU's devices may need more to work. */
const works = (s: Station, n: number, can: readonly RequesterAbility[], qtest: Qtest, memory: GuestMemory): boolean => {
  const sample = Uint8Array.of(0x11 + n, 0x22 + n, 0x33 + n, 0x44 + n);
  if (can.includes('write')) {
    const written = s.write(0x1004n, sample);
    if ('refused' in written) return false;
    qtest.lines(written.commands);
    memory.copy();
    const [change] = memory.difference();
    if (change?.at !== 0x1004n || !change.bytes.every((b, i) => b === sample[i])) return false;
  }
  if (!can.includes('read.bytes')) return true;
  memory.write(0x2008n, sample);
  const read = s.read(0x2008n, sample.length);
  return !('refused' in read) && read.fetched?.(qtest.lines(read.commands)).every((b, i) => b === sample[i]) === true;
};

/** Starts it, and stops while it does. A QEMU that refuses its arguments, or builds another unit, is a machine that cannot be had. */
export const startVtd = function* (binary: string, want: WantedVtd, watchdog: Watchdog): Waits<VtdQemu | Unsupported> {
  const running = launch(binary, { ram: want.memory, log: logSize }, want.args, watchdog, interruptFirmware(logSlot));
  // Its own: they know what their devices were last told.
  const stations = stationsOf(want.vtd) as readonly Station[];
  const opened: { close(): void }[] = [];
  const close = (): void => {
    running.close();
    for (const each of opened) each.close();
  };
  try {
    yield;
    const qmp = qmpOver(running.qmp);
    const qtest = qtestOver(running.qtest);
    const [cap = '', ecap = ''] = qtest.lines([`readq ${unitAt + 8}`, `readq ${unitAt + 16}`]);
    const other = differs(want.vtd, BigInt(cap), BigInt(ecap));
    if (other !== undefined) {
      close();
      return { unsupported: other };
    }
    const memory = openMemory(path.join(running.dir, 'ram'), want.memory);
    opened.push(memory);
    const interrupts = openLog(path.join(running.dir, 'log'));
    opened.push(interrupts);
    /** The reset that was begun and not waited for. */
    let begun: ReturnType<typeof qmp.begin> | undefined;
    const begin = (): void => {
      if (begun !== undefined) return;
      interrupts.clear();
      begun = qmp.begin('system_reset');
    };
    const counts = stations.map((s) => s.setUp().length);
    /** Waits for the end of the reset, and sets the devices up; the answers. */
    const prepared = function* (): Waits<readonly string[]> {
      begin();
      yield* arriving(qmp);
      const answer = begun?.();
      begun = undefined;
      if (answer !== undefined && 'error' in answer) throw new Error(`system_reset: ${answer.error}`);
      // The reset is done before the main loop reads the next command.
      return yield* qtest.asks(stations.flatMap((s) => s.setUp()));
    };
    /** The devices are set up; commands that select the cards. */
    const selection = (answers: readonly string[]): readonly string[] => {
      let end = 0;
      return stations.flatMap((s, n) => s.select(answers[(end += counts[n] ?? 0) - 1]));
    };
    const machine: VtdQemu = {
      running,
      qtest,
      memory,
      interrupts,
      stations,
      armed: false,
      begin,
      restart: function* () {
        machine.armed = false;
        // Now and then QEMU comes out of a reset with LINT0 masked although the firmware has set it: then barriers go unanswered;
        // more rarely its processor does not start. Either way it is reset again.
        for (let tries = 0; tries < resets; tries++) {
          const select = selection(yield* prepared());
          running.renew();
          if (!(yield* interrupts.ready(10 * patience))) continue;
          yield* qtest.asks([...select, ...interrupts.barrier()]);
          if (yield* interrupts.answered(patience)) return true;
        }
        return false;
      },
      close,
    };
    if (!waited(interrupts.ready()) || !waited(machine.restart())) return close(), { unsupported: 'the processor does not start' };
    const idle = stations.findIndex((s, n) => !works(s, n, want.vtd.requesters[n]?.can ?? [], qtest, memory));
    return idle < 0 ? machine : (close(), { unsupported: `the devices of requester ${idle} do not do what they are told` });
  } catch (error) {
    const died = running.ended();
    close();
    if (died !== undefined) return { unsupported: died };
    throw error;
  }
};
