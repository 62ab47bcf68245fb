// A virtio-pci function made of plain bytes, for the lifter's own tests: it remembers every access and does nothing.

import type { Bus, BusOp, Messages } from './bus.ts';

export interface Fake {
  readonly bus: Bus;
  readonly messages: Messages;
  /** Every access, as text: `config 0x10 = 0xe0000000`, `bar4+0x16 = 0x2`. */
  readonly log: string[];
  readonly config: DataView;
  readonly bar: (n: number) => DataView;
  /** Messages waiting to be taken. */
  readonly arrived: number[];
}

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;

/** Device 0x1042 with BAR 1 (4 KiB, MSI-X) and 64-bit BAR 4 (16 KiB): structures at 0, 0x1000, 0x2000, 0x3000; 3 queues, multiplier 4. */
export function fakeFunction(): Fake {
  const config = new DataView(new ArrayBuffer(0x100));
  const bars = Array.from({ length: 6 }, () => new DataView(new ArrayBuffer(0x4000)));
  const bar = (n: number): DataView => bars[n] as DataView;
  const log: string[] = [];
  config.setUint32(0, 0x10421af4, true);
  config.setUint8(0x34, 0x40);
  const capability = (at: number, next: number, type: number, offset: number, length: number): void => {
    for (const [i, byte] of [0x09, next, 20, type, 4].entries()) config.setUint8(at + i, byte);
    config.setUint32(at + 8, offset, true);
    config.setUint32(at + 12, length, true);
  };
  capability(0x40, 0x54, 1, 0x0000, 0x1000);
  capability(0x54, 0x68, 3, 0x1000, 0x1000);
  capability(0x68, 0x7c, 4, 0x2000, 0x40);
  capability(0x7c, 0x90, 2, 0x3000, 12);
  config.setUint32(0x7c + 16, 4, true);
  config.setUint32(0x90, 0x0002_00_11, true); // MSI-X, 3 vectors, end of the list
  config.setUint32(0x94, 0x1, true); // table at 0 of BAR 1
  bar(4).setUint16(0x12, 3, true); // num_queues

  const sizes: Readonly<Record<number, number>> = { 0x14: 0xfffff000, 0x20: 0xffffc000 };
  const apply = (op: BusOp): number => {
    const view = op.space === 'bar' ? bar(op.bar) : config;
    const name = op.space === 'bar' ? `bar${op.bar}+${hex(op.at)}` : `config ${hex(op.at)}`;
    if (op.kind === 'write') {
      log.push(`${name} = ${hex(op.value)}`);
      let value = op.value;
      if (op.space === 'pci-config' && op.at >= 0x10 && op.at < 0x28) {
        const type = op.at === 0x20 ? 0xc : 0;
        value = op.at === 0x24 ? value : ((value & (sizes[op.at] ?? 0)) | type) >>> 0;
      }
      if (op.width === 1) view.setUint8(op.at, value);
      else if (op.width === 2) view.setUint16(op.at, value, true);
      else view.setUint32(op.at, value, true);
      return 0;
    }
    // queue_notify_off differs from the queue's index, so that one cannot stand for the other.
    if (op.space === 'bar' && op.bar === 4 && op.at === 0x1e) return 2 - view.getUint16(0x16, true);
    return op.width === 1 ? view.getUint8(op.at) : op.width === 2 ? view.getUint16(op.at, true) : view.getUint32(op.at, true);
  };
  const arrived: number[] = [];
  const messages: Messages = { at: 0x1_f000_0000n, vectors: 8, take: () => arrived.splice(0) };
  return { bus: { run: (ops) => ops.map(apply) }, messages, log, config, bar, arrived };
}
