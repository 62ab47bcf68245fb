// How results leave a machine whose memory the host cannot see: length, then bytes, over the first serial port, unencoded.
// 16550 line status bit 5: transmitter empty.

import type { Assembler } from './assembler.ts';
import { control, controlAt, results } from './map.ts';

const port = 0x3f8;
/** Sends the 4 bytes of the length, then what stands at `results`. */
export const emitSend = (a: Assembler): void => {
  a.bits(64);
  a.label('send');
  a.memory([0x8b], 1, control + controlAt.resultsEnd); // mov ecx, [end]
  a.put(0x81, 0xe9);
  a.u32(results); // sub ecx, results
  a.put(0xbe);
  a.u32(results); // mov esi, results
  a.put(0x89, 0xcb, 0xbf, 0x04, 0x00, 0x00, 0x00); // mov ebx, ecx; mov edi, 4
  a.label('length');
  a.put(0x88, 0xd8, 0xe8); // mov al, bl; call byte
  a.rel32('byte');
  a.put(0xc1, 0xeb, 0x08, 0xff, 0xcf, 0x75); // shr ebx, 8; dec edi; jnz
  a.rel8('length');
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
