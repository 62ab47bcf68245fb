// The landing of what runs with EFLAGS.VM set where no 8086 program may: QEMU keeps VM over a switch to a task of 16 bits. The agent takes over all the
// same and says so in the flags. SDM volume 3, 8086 Emulation, Entering Virtual-8086 Mode; volume 2, SYSENTER.

import type { Assembler } from './assembler.ts';
import { agentStack, stateAt, stateOut, vars } from './map.ts';

const at = (name: keyof typeof stateAt): number => stateOut + stateAt[name];
/** Segment registers that a landing tells by MOV from them, by number: DS is told apart. */
export const selectors = [
  ['es', 0],
  ['cs', 1],
  ['ss', 2],
  ['fs', 4],
  ['gs', 5],
] as const;
const SYSENTER_CS = 0x174;
const VM = 1 << 17;
/** 32-bit code by CS of the task, which alone is flat: other segments are loaded as an 8086 program loads them. SYSENTER clears VM and is the one way out;
 *  the flags are read before, by PUSHF, for which IOPL must be 3: with less this ends in shutdown. EBX = the program's ECX. */
export const emitLand86 = (a: Assembler): void => {
  const byCs = { before: [0x2e] } as const;
  a.bits(32);
  a.label('land86');
  a.memory([0x66, 0x89], 0, vars.stop, byCs);
  a.memory([0x89], 3, at('rcx'), byCs);
  for (const name of ['rdx', 'rsp', 'rbp', 'rsi', 'rdi'] as const) a.memory([0x89], stateAt[name] >> 3, at(name), byCs);
  for (const [name, field] of selectors) a.memory([0x8c], field, at(name), byCs);
  for (const [name, modrm] of [
    ['rax', 0xd8],
    ['rbx', 0xd0],
  ] as const) {
    a.put(0x0f, 0x21, modrm); // mov eax, dr3 or dr2
    a.memory([0x89], 0, at(name), byCs);
  }
  a.put(0x0f, 0x21, 0xc8); // mov eax, dr1
  a.memory([0x66, 0x89], 0, at('ds'), byCs);
  // A stack of 16 bits as it is: above the agent's own, by a segment of 8086 addresses.
  a.put(0xb8);
  a.u32(agentStack >> 4);
  a.put(0x8e, 0xd0, 0xbc); // mov ss, ax; mov esp, imm32
  a.u32(0x80);
  a.put(0x9c, 0x58, 0x0d); // pushfd; pop eax; or eax, VM
  a.u32(VM);
  a.memory([0x89], 0, at('rflags'), byCs);
  for (const [i, value] of [0x08, agentStack].entries()) {
    a.put(0xb9);
    a.u32(SYSENTER_CS + i);
    a.put(0xb8);
    a.u32(value);
    a.put(0x31, 0xd2, 0x0f, 0x30); // xor edx, edx; wrmsr
  }
  a.put(0xb9);
  a.u32(SYSENTER_CS + 2);
  a.put(0xb8);
  a.abs32('left86');
  a.put(0x0f, 0x30, 0x0f, 0x34); // wrmsr; sysenter
  a.label('left86');
  a.put(0xbb);
  a.u32(0x18);
  a.put(0x8e, 0xdb, 0x8e, 0xd3); // mov ds, bx; mov ss, bx
  a.memory([0x0f, 0x00], 0, at('ldtr'));
  a.memory([0x0f, 0x00], 1, at('tr'));
  a.put(0xe9);
  a.rel32('landLegacy');
};
