// How results leave a machine whose memory the host cannot see: over the first serial port, unencoded. A mark, then each result as it stands in
// memory, which begins with its length. 16550: line status bit 5 is transmitter empty; LCR 3 is 8N1, MCR 3 DTR and RTS.

import type { Assembler } from './assembler.ts';
import { control, controlAt, results, vars } from './map.ts';

const port = 0x3f8;
/** What firmware does not say. */
export const mark: Uint8Array = Uint8Array.from([0xf5, 0x56, 0x4d, 0x4d, 0x43, 0x00, 0xf5, 0xa0]);

/** 64-bit code, once a start: the port made ready, the mark sent. */
export const emitGreet = (a: Assembler): void => {
  a.memory([0xf6], 0, control + controlAt.serial, { imm: [1] });
  a.put(0x0f, 0x84);
  a.rel32('silent');
  for (const [register, value] of [
    [1, 0],
    [3, 3],
    [4, 3],
  ] as const)
    a.put(0x66, 0xba, (port + register) & 0xff, (port + register) >> 8, 0xb0, value, 0xee); // mov dx; mov al; out dx, al
  for (const byte of mark) {
    a.put(0xb0, byte, 0xe8);
    a.rel32('byte');
  }
  a.label('silent');
};
/** Sends what stands from `results` to the next result, which stands at `results` again afterwards. */
export const emitSend = (a: Assembler): void => {
  a.bits(64);
  a.label('send');
  a.memory([0x8b], 1, vars.nextResult); // mov ecx, [next]
  a.put(0x81, 0xe9);
  a.u32(results); // sub ecx, results
  a.put(0xbe);
  a.u32(results); // mov esi, results
  a.memory([0x89], 6, vars.nextResult);
  a.label('more');
  a.put(0x85, 0xc9, 0x74); // test ecx, ecx; jz
  a.rel8('sent');
  a.put(0x8a, 0x06, 0xff, 0xc6, 0xe8); // mov al, [rsi]; inc esi; call byte
  a.rel32('byte');
  a.put(0xff, 0xc9, 0xeb); // dec ecx; jmp
  a.rel8('more');
  a.label('sent');
  a.put(0xc3);
  a.label('byte');
  a.put(0x41, 0x88, 0xc0, 0x66, 0xba, (port + 5) & 0xff, (port + 5) >> 8); // mov r8b, al; mov dx, line status
  a.label('wait');
  a.put(0xec, 0xa8, 0x20, 0x74); // in al, dx; test al, 20H; jz
  a.rel8('wait');
  a.put(0x66, 0xba, port & 0xff, port >> 8, 0x44, 0x88, 0xc0, 0xee, 0xc3); // mov dx, port; mov al, r8b; out dx, al; ret
};
