// Decides what a bare board around the processor is: RAM from address 0, a ROM that ends at 4 GiB, and reset as it comes at power-up.
// SDM volume 3, Processor State After Reset; First Instruction Executed. Shutdown resets the processor; memory stays, as on a PC.

import type { CpuState, Segment } from '../../spec/instructions/vocabulary.ts';
import { createCpu } from './cpu.ts';
import { newBlocks } from './decode.ts';
import { createRam, type Ram } from './ram.ts';
import { run } from './run.ts';
import { loadState } from './state.ts';

const FOUR_GIB = 0x1_0000_0000;
const real = (selector: number, base: bigint, access: number): Segment => ({ selector, base, limit: 0xffff, access });
const data = real(0, 0n, 0x93);
const table = { base: 0n, limit: 0xffff };
/** Table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". EDX: family 6. */
export const RESET: CpuState = {
  rax: 0n,
  rcx: 0n,
  rdx: 0x600n,
  rbx: 0n,
  rsp: 0n,
  rbp: 0n,
  rsi: 0n,
  rdi: 0n,
  r8: 0n,
  r9: 0n,
  r10: 0n,
  r11: 0n,
  r12: 0n,
  r13: 0n,
  r14: 0n,
  r15: 0n,
  rip: 0xfff0n,
  rflags: 2n,
  cs: real(0xf000, 0xffff_0000n, 0x9b),
  ss: data,
  ds: data,
  es: data,
  fs: data,
  gs: data,
  ldtr: real(0, 0n, 0x82),
  tr: real(0, 0n, 0x8b),
  gdtr: table,
  idtr: table,
  cr0: 0x6000_0010n,
  cr2: 0n,
  cr3: 0n,
  cr4: 0n,
  cr8: 0n,
  efer: 0n,
  dr0: 0n,
  dr1: 0n,
  dr2: 0n,
  dr3: 0n,
  dr6: 0xffff_0ff0n,
  dr7: 0x400n,
  star: 0n,
  lstar: 0n,
  cstar: 0n,
  sfmask: 0n,
  kernelGsBase: 0n,
  sysenterCs: 0n,
  sysenterEsp: 0n,
  sysenterEip: 0n,
  tscAux: 0n,
  shadow: 'none',
};

/** What of a timer there is: counter 0 in mode 0, wired to NMI; a count written to port 40H lasts so many instructions. */
const TIMER = 0x40;
const TIMER_OUT = 0x80;
export interface BoardOptions {
  readonly memory: number;
  readonly rom: Uint8Array;
  /** A doubleword written here switches the board off. */
  readonly exitPort: number;
  /** Instructions that the timer takes. */
  readonly timer: number;
  /** Instructions after which the board is switched off whatever it does. */
  readonly limit: number;
}
export interface Board {
  readonly ram: Ram;
  /** From reset to the exit port; HLT with no timer running, or the limit. */
  readonly run: () => 'exit' | 'halt' | 'limit';
}
const SLICE = 16_384;

export const createBoard = ({ memory, rom, exitPort, timer, limit }: BoardOptions): Board => {
  const ram = createRam(memory);
  const view = new DataView(rom.buffer, rom.byteOffset, rom.byteLength);
  ram.registers.push({
    at: FOUR_GIB - rom.length,
    length: rom.length,
    read: (at, width) => (width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at, true) : view.getInt32(at, true)),
    write: () => {},
  });
  let off = false;
  /** Instruction number at which the timer ends; Infinity: it does not run. */
  let due = Number.POSITIVE_INFINITY;
  const cpu = createCpu(ram, (port, width, direction) => {
    if (direction === 'out') {
      if (port === exitPort) off = true;
      if (port === TIMER) due = cpu.done + timer;
      // The block at hand ends, and with it the slice.
      if (off) cpu.attention = 1;
    }
    if (port === TIMER) return due === Number.POSITIVE_INFINITY ? TIMER_OUT : 0;
    return width === 4 ? 0xffff_ffff : 2 ** (8 * width) - 1;
  });
  const blocks = newBlocks();
  const step = (): 'exit' | 'halt' | 'limit' | undefined => {
    cpu.iterations = Number.MAX_SAFE_INTEGER;
    const ended = run(cpu, blocks, undefined, SLICE);
    if (off) return 'exit';
    if (ended.by === 'shutdown') {
      due = Number.POSITIVE_INFINITY;
      loadState(cpu, RESET);
    } else if (ended.by === 'halt' && due === Number.POSITIVE_INFINITY) return 'halt';
    else if (ended.by === 'halt' || cpu.done >= due) {
      due = Number.POSITIVE_INFINITY;
      cpu.nmi = true;
      cpu.attention = 1;
    }
    return cpu.done > limit ? 'limit' : undefined;
  };
  return {
    ram,
    run: () => {
      loadState(cpu, RESET);
      for (;;) {
        const ended = step();
        if (ended !== undefined) return ended;
      }
    },
  };
};
