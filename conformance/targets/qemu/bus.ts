// QEMU's buses as qtest commands: configuration space through 0xcf8 and 0xcfc, BARs where the function says they are, MMIO by address.
// PCI Local Bus 3.0, Configuration Mechanism #1. A BAR that is not in our windows reaches nothing: reads give ones.

import type { Bus, BusOp } from '../../bus/bus.ts';
import type { Windows } from '../../bus/pci-function.ts';
import type { Qtest } from './qtest.ts';

const ConfigAddress = 0xcf8;
const ConfigData = 0xcfc;
const ConfigEnable = 0x80000000;
const BaseAddress = 0x10;

/** A store into guest memory that has its place among the accesses; its result is 0. */
export interface Store {
  readonly kind: 'store';
  readonly at: bigint;
  readonly bytes: Uint8Array;
}
export type QemuOp = BusOp | Store;

/** `into` receives the results as they come: when QEMU dies and `run` throws, it tells how far the accesses got. */
export interface QemuBus extends Bus {
  run(ops: readonly QemuOp[], into?: number[]): readonly number[];
  /** Sends the accesses; what it gives waits for their results. */
  start(ops: readonly QemuOp[], into: number[]): () => void;
  /** Whether they have arrived; where that cannot be seen without waiting: yes. */
  readonly ready: () => boolean;
  /** Readable when more of them have arrived. */
  readonly fd: number;
}

const letter = { 1: 'b', 2: 'w', 4: 'l' } as const;
const ones = { 1: 0xff, 2: 0xffff, 4: 0xffffffff } as const;
const masked = (op: BusOp): number => (op.kind === 'write' ? (op.value & ones[op.width]) >>> 0 : 0);

/** Below the I/O APIC and away from the message BAR; 16 MiB each, so that a stray offset meets nothing. */
export const windows: Windows = { memory: 0xe0000000, io: 0xc000, stride: 0x1000000 };

/** In base 64 where it is longer: QEMU takes 1024 bytes of text at a time, and each time costs it more than the store. */
const store = ({ at, bytes }: Store): string => {
  const { length } = bytes;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  return length > 64 ? `b64write ${at} ${length} ${buffer.toString('base64')}` : `write ${at} ${length} 0x${buffer.toString('hex')}`;
};
const memory = (op: BusOp, at: number): string =>
  op.kind === 'read' ? `read${letter[op.width]} ${at}` : `write${letter[op.width]} ${at} ${masked(op)}`;
const port = (op: BusOp, at: number): string =>
  op.kind === 'read' ? `in${letter[op.width]} ${at}` : `out${letter[op.width]} ${at} ${masked(op)}`;

/** Doublewords stored one after another, as one command: a memory region that does not say otherwise is given four bytes at a time, in order.
 *  QEMU, docs/devel/memory.rst, MMIO Operations (max_access_size). */
interface Row {
  readonly start: number;
  bytes: Buffer;
}
const doubleword = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
/** Appends the command of an access to memory, or lengthens the last one by it; gives the row that the next may go on with. */
const append = (commands: string[], op: BusOp, at: number, row: Row | undefined): Row | undefined => {
  if (op.kind === 'read' || op.width !== 4) {
    commands.push(memory(op, at));
    return undefined;
  }
  if (row === undefined || at !== row.start + row.bytes.length) {
    commands.push(memory(op, at));
    return { start: at, bytes: doubleword(op.value) };
  }
  row.bytes = Buffer.concat([row.bytes, doubleword(op.value)]);
  commands[commands.length - 1] = `write ${row.start} ${row.bytes.length} 0x${row.bytes.toString('hex')}`;
  return row;
};

/** A register window of `size` bytes at a fixed address. */
export function mmioBus(qtest: Qtest, base: number, size: number): QemuBus {
  const lowered = (op: QemuOp): string => {
    if (op.kind === 'store') return store(op);
    if (op.space !== 'mmio' || op.at < 0 || op.at + op.width > size) throw new Error(`no such MMIO register: ${op.at}`);
    return memory(op, base + op.at);
  };
  return {
    run: (ops, answers = []) => {
      qtest.run(ops.map(lowered), answers);
      return answers;
    },
    start: (ops, answers) => qtest.start(ops.map(lowered), answers),
    ready: qtest.ready,
    fd: qtest.fd,
  };
}

/** One function of bus 0. */
export function pciBus(qtest: Qtest, device: number): QemuBus {
  // What the six base address registers read; unknown after somebody wrote one.
  let bases: readonly number[] | undefined;
  const select = (at: number): string => `outl ${ConfigAddress} ${ConfigEnable + (device << 11) + (at & 0xfc)}`;
  const onConfig = (op: BusOp): readonly string[] => [select(op.at), port(op, ConfigData + (op.at & 3))];
  const inWindow = (base: number, above: number): boolean =>
    base >= windows.memory && base < windows.memory + 6 * windows.stride && (!(base & 4) || above === 0);

  const start: QemuBus['start'] = (ops, results) => {
    let commands: string[] = [];
    let ends: number[] = []; // how many commands there are at the end of each op
    let waiting: QemuOp[] = [];
    let row: Row | undefined;
    const onBar = (op: BusOp, base: number, above: number): void => {
      if (base & 1) commands.push(port(op, (base & ~3) + op.at));
      else if (inWindow(base, above)) {
        row = append(commands, op, ((base & ~0xf) >>> 0) + op.at, row);
        return;
      }
      row = undefined;
    };
    const send = (): (() => void) => {
      const answers: number[] = [];
      const [sentEnds, sent] = [ends, waiting];
      const collect = qtest.start(commands, answers);
      commands = [];
      ends = [];
      waiting = [];
      return () => {
        try {
          collect();
        } finally {
          for (const [i, op] of sent.entries()) {
            const end = sentEnds[i] ?? 0;
            if (end > answers.length) break;
            const reached = end > (sentEnds[i - 1] ?? 0); // or went with the command before it, or reached nothing
            results.push(reached ? (answers[end - 1] ?? 0) : op.kind === 'read' ? ones[op.width] : 0);
          }
        }
      };
    };
    for (const op of ops) {
      if (op.kind === 'store') {
        row = undefined;
        commands.push(store(op));
        ends.push(commands.length);
        waiting.push(op);
        continue;
      }
      if (op.space === 'bar' && bases === undefined) {
        row = undefined;
        send()();
        const answers: number[] = [];
        const registers = Array.from({ length: 6 }, (_, bar) => BaseAddress + 4 * bar);
        qtest.run(
          registers.flatMap((at) => onConfig({ kind: 'read', space: 'pci-config', at, width: 4 })),
          answers,
        );
        bases = registers.map((_, bar) => answers[2 * bar + 1] ?? 0);
      }
      if (op.kind === 'write' && op.space === 'pci-config' && op.at < BaseAddress + 24 && op.at + op.width > BaseAddress) bases = undefined;
      if (op.space === 'mmio') throw new Error('no MMIO window on PCI');
      if (op.space === 'bar') onBar(op, bases?.[op.bar] ?? 0, bases?.[op.bar + 1] ?? 0);
      else {
        row = undefined;
        commands.push(...onConfig(op));
      }
      ends.push(commands.length);
      waiting.push(op);
    }
    return send();
  };
  return {
    run: (ops, results = []) => {
      start(ops, results)();
      return results;
    },
    start,
    ready: qtest.ready,
    fd: qtest.fd,
  };
}
