// The agent's watchdog: the interval timer, through the I/O APIC, is an NMI, which ends loops and HLT whatever IF is. It counts the guest's time,
// so on emulators that derive time from instructions it is deterministic. Intel 8254, Mode 0; 82093AA I/O APIC, Redirection Table; IRQ0 is pin 2.

import type { Assembler } from './assembler.ts';
import { brief, caseAt, control, controlAt, ends, vars } from './map.ts';

const ioApic = 0xfec00000;
const pin = 2;
const nmi = 4 << 8;
/** Counter 0, high byte only, mode 0; status of counter 0 latched. */
const oneShot = 0x20;
/** Counter 0, low byte only, mode 0, and the count of a brief case: 21 us, a thousand instructions where a second has 50 million. The launch takes a hundred
 *  and a half, and no more than two hundred are followed by who judges. */
const briefShot = 0x10;
const briefCount = 25;
const readBack = 0xe2;
/** Index and data: register 0, Reset. */
const sequencer = 0x3c4;

const unlessWatched = (a: Assembler, to: string): void => {
  a.memory([0x0f, 0xb6], 0, control + controlAt.watchdog); // movzx eax, byte
  a.put(0x85, 0xc0, 0x74);
  a.rel8(to);
};
/** 64-bit code, once a start. */
export const emitWatchdog = (a: Assembler): void => {
  unlessWatched(a, 'unwatched');
  a.put(0xb8);
  a.u32(ioApic); // mov eax, base
  for (const [register, value] of [
    [0x11 + 2 * pin, 0],
    [0x10 + 2 * pin, nmi],
  ] as const) {
    a.put(0xc7, 0x00);
    a.u32(register); // mov dword [rax], register
    a.put(0xc7, 0x40, 0x10);
    a.u32(value); // mov dword [rax+10H], value
  }
  a.put(0xb0, oneShot, 0xe6, 0x43);
  // The VGA's sequencer is held in reset: Bochs draws its screen anew at each stop in the debugger otherwise.
  a.put(0x66, 0xba, sequencer & 0xff, sequencer >> 8, 0x31, 0xc0, 0x66, 0xef); // mov dx; xor eax, eax; out dx, ax
  a.label('unwatched');
};
/** What the agent itself may take after a case, which may have changed all of memory: 55 ms. */
const ownCount = 0xff;
/** Counting starts anew, for the case that is launched or for the agent once it has landed. Clobbers RAX. The control word comes too: Bochs 2.7 keeps the output high, and so gives no
 *  further NMI, where a new count alone is written. */
export const emitRearm = (a: Assembler, name: 'launch' | 'landed' | 'exited'): void => {
  unlessWatched(a, `${name}Armed`);
  if (name === 'launch') {
    a.memory([0xf6], 0, vars.thisCase + caseAt.flags, { imm: [brief] });
    a.put(0x74, 0x0a); // jz, over what follows
    a.put(0xb0, briefShot, 0xe6, 0x43, 0xb0, briefCount, 0xe6, 0x40, 0xeb); // mov al; out 43H; mov al; out 40H; jmp
    a.rel8('launchArmed');
  } else a.put(0xb0, ownCount); // mov al, imm8
  a.put(0x88, 0xc4, 0xb0, oneShot, 0xe6, 0x43); // mov ah, al; mov al, oneShot; out 43H, al
  a.put(0x88, 0xe0, 0xe6, 0x40); // mov al, ah; out 40H, al
  a.label(`${name}Armed`);
};
/** Where an NMI or a double fault ended the case, whether the timer did: then the end is `late`, and NMIs are let in again by an IRETQ. */
export const emitLateness = (a: Assembler): void => {
  a.memory([0x8b], 0, vars.stop); // mov eax, [stop]
  a.put(0x3c, 0x02, 0x74); // cmp al, 2; je
  a.rel8('askTimer');
  a.put(0x3c, 0x08, 0x75); // cmp al, 8; jne
  a.rel8('inTime');
  a.label('askTimer');
  unlessWatched(a, 'inTime');
  a.put(0xb0, readBack, 0xe6, 0x43, 0xe4, 0x40, 0xa8, 0x80, 0x74); // in al, 40H; test al, 80H; jz
  a.rel8('inTime');
  a.memory([0xc6], 0, vars.stop + 1, { imm: [ends.late] });
  a.put(0x8c, 0xd0, 0x50, 0x48, 0x8d, 0x44, 0x24, 0x08, 0x50); // push ss; lea rax, [rsp+8]; push rax
  a.put(0x9c, 0x6a, 0x10, 0x48, 0x8d, 0x05); // pushfq; push 10H; lea rax, [inTime]
  a.rel32('inTime');
  a.put(0x50, 0x48, 0xcf); // push rax; iretq
  a.label('inTime');
};
