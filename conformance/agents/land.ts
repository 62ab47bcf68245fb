// How the agent takes over where a program stopped: stubs at the stops, then all of the state into the block, then back to its own 64-bit code.
// Nothing touches the guest's stack or memory. DR3 and DR2 (DR1 in legacy modes) hold what must be freed first, so programs cannot use them.

import type { Assembler } from './assembler.ts';
import { assembler } from './assembler.ts';
import { emitLand86, selectors } from './land86.ts';
import { EFER, msrs, resetDr7 } from './launch.ts';
import { agentCode, agentStack, caseAt, ownPml4, stateAt, stateOut, vars, withMsrs, ownGdt } from './map.ts';

const at = (name: keyof typeof stateAt): number => stateOut + stateAt[name];
/** Where the stubs jump to: fixed places at the start of the agent, so that they need no labels of it. */
export const landings: Readonly<Record<'long' | 'longEnd' | 'legacy' | 'legacyEnd' | 'real' | 'realEnd', number>> = {
  long: agentCode,
  longEnd: agentCode + 0x10,
  legacy: agentCode + 0x20,
  legacyEnd: agentCode + 0x30,
  real: agentCode + 0x40,
  realEnd: agentCode + 0x50,
} as const;

/** The code of stop number `i` at address `where`: MOV DR3, rAX; MOV AL, i; JMP. The last stop has no vector and says so by another landing. */
export const stopStub = (where: number, i: number, mode: 'real' | 'legacy' | 'long'): Uint8Array => {
  const a = assembler(where, 0);
  const end = i > 255;
  a.put(0x0f, 0x23, 0xd8, 0xb0, i & 0xff);
  if (mode === 'real') a.put(0xea, (end ? landings.realEnd : landings.real) - agentCode, 0, (agentCode >> 4) & 0xff, agentCode >> 12);
  else {
    const to = { long: end ? landings.longEnd : landings.long, legacy: end ? landings.legacyEnd : landings.legacy }[mode];
    a.put(0xe9);
    a.u32(to - (where + 10));
  }
  return a.finish();
};
/** The jump table at the start of the agent. AH tells a vector from the last stop. */
export const emitLandings = (a: Assembler): void => {
  for (const [bits, label, ah] of [
    [64, 'land64', 0],
    [64, 'land64', 1],
    [32, 'land32', 0],
    [32, 'land32', 1],
    [16, 'land16', 0],
    [16, 'land16', 1],
  ] as const) {
    a.bits(bits);
    a.put(0xb4, ah); // mov ah, imm8
    a.put(0xe9);
    if (bits === 16) a.rel16(label);
    else a.rel32(label);
    a.align(0x10);
  }
};

/** The agent's CR0 without PG: AM, WP, NE, ET, PE. */
const unpagedCr0 = 0x50031;
const rdmsr = (a: Assembler, number: number, field: keyof typeof stateAt): void => {
  a.put(0xb9);
  a.u32(number);
  a.put(0x0f, 0x32);
  a.memory([0x89], 0, at(field));
  a.memory([0x89], 2, at(field) + 4);
};
const fromControl = (a: Assembler, field: keyof typeof stateAt, opcode: number, modrm: number, wide: boolean): void => {
  a.put(0x0f, opcode, modrm);
  a.memory([0x89], 0, at(field), { wide });
};
/** RAX = DR7: no breakpoint disturbs the agent. Writing is dear in emulators. */
const quietDebug = (a: Assembler, wide: boolean): void => {
  if (wide) a.put(0x48);
  a.put(0x3d);
  a.u32(resetDr7); // cmp eax or rax, imm32
  a.put(0x74, 0x08, 0xb8); // je; mov eax, imm32
  a.u32(resetDr7);
  a.put(0x0f, 0x23, 0xf8); // mov dr7, rax
};

export const emitLand = (a: Assembler): void => {
  a.bits(64);
  a.label('land64');
  a.memory([0x66, 0x89], 0, vars.stop); // mov [stop], ax
  for (const name of ['rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const)
    a.memory([0x89], stateAt[name] >> 3, at(name), { wide: true });
  for (const [name, field] of [...selectors, ['ds', 3]] as const) a.memory([0x8c], field, at(name));
  a.put(0x0f, 0x21, 0xd8); // mov rax, dr3
  a.memory([0x89], 0, at('rax'), { wide: true });
  a.put(0x48, 0xc7, 0xc4);
  a.u32(agentStack);
  a.put(0x9c); // pushfq
  a.memory([0x8f], 0, at('rflags'));
  fromControl(a, 'dr7', 0x21, 0xf8, true);
  quietDebug(a, true);
  fromControl(a, 'dr6', 0x21, 0xf0, true);
  a.memory([0x0f, 0x01], 0, at('gdtrLimit')); // sgdt
  a.memory([0x0f, 0x01], 1, at('idtrLimit')); // sidt
  a.memory([0x0f, 0x00], 0, at('ldtr')); // sldt
  a.memory([0x0f, 0x00], 1, at('tr')); // str
  for (const [name, modrm] of [
    ['cr0', 0xc0],
    ['cr2', 0xd0],
    ['cr3', 0xd8],
    ['cr4', 0xe0],
  ] as const)
    fromControl(a, name, 0x20, modrm, true);
  a.put(0x44, 0x0f, 0x20, 0xc0); // mov rax, cr8
  a.memory([0x89], 0, at('cr8'), { wide: true });
  rdmsr(a, EFER, 'efer');
  a.memory([0xf6], 0, vars.thisCase + caseAt.flags, { imm: [withMsrs] });
  a.put(0x0f, 0x84);
  a.rel32('noMsrsOut');
  for (const [number, field] of msrs) rdmsr(a, number, field);
  a.label('noMsrsOut');
  // Back to the agent's own: CR4 first, so that PCIDE is off when CR3 is loaded; PAE and OSFXSR only.
  a.put(0x48, 0xc7, 0xc0);
  a.u32(0x220);
  a.put(0x0f, 0x22, 0xe0);
  a.put(0x48, 0xc7, 0xc0);
  a.u32(ownPml4);
  a.put(0x0f, 0x22, 0xd8);
  a.put(0xb8);
  a.u32(0x80050031);
  a.put(0x0f, 0x22, 0xc0);
  a.memory([0x0f, 0x01], 2, vars.ownGdtr);
  a.memory([0x0f, 0x01], 3, vars.ownIdtr);
  a.put(0x31, 0xc0, 0x44, 0x0f, 0x22, 0xc0); // cr8 = 0
  a.put(0xb8);
  a.u32(0x18);
  for (const field of [0, 2, 3, 4, 5]) a.put(0x8e, 0xc0 | (field << 3));
  a.put(0xe9);
  a.rel32('landed');

  a.bits(32);
  a.label('land32');
  // DR2 = EBX, DR1 = DS; then DS is flat.
  a.put(0x0f, 0x23, 0xd3, 0x8c, 0xdb, 0x0f, 0x23, 0xcb, 0xbb);
  a.u32(0x18);
  a.put(0x8e, 0xdb, 0x89, 0xcb); // mov ds, bx; mov ebx, ecx
  a.memory([0x8b], 1, vars.flat);
  a.put(0xe3); // jecxz, which leaves flags alone
  a.rel8('landedFlat');
  a.put(0xe9);
  a.rel32('land86');
  a.label('landedFlat');
  a.put(0x89, 0xd9, 0xbb); // mov ecx, ebx; mov ebx, 18H
  a.u32(0x18);
  a.memory([0x66, 0x89], 0, vars.stop);
  for (const name of ['rcx', 'rdx', 'rsp', 'rbp', 'rsi', 'rdi'] as const) a.memory([0x89], stateAt[name] >> 3, at(name));
  for (const [name, field] of selectors) a.memory([0x8c], field, at(name));
  a.put(0x0f, 0x21, 0xd8);
  a.memory([0x89], 0, at('rax'));
  a.put(0x0f, 0x21, 0xd0);
  a.memory([0x89], 0, at('rbx'));
  a.put(0x0f, 0x21, 0xc8);
  a.memory([0x66, 0x89], 0, at('ds'));
  a.put(0x8e, 0xd3, 0xbc); // mov ss, bx; mov esp, stack
  a.u32(agentStack);
  a.put(0x9c);
  a.memory([0x8f], 0, at('rflags'));
  a.memory([0x0f, 0x00], 0, at('ldtr'));
  a.memory([0x0f, 0x00], 1, at('tr'));
  a.label('landLegacy');
  fromControl(a, 'dr7', 0x21, 0xf8, false);
  quietDebug(a, false);
  fromControl(a, 'dr6', 0x21, 0xf0, false);
  a.memory([0x0f, 0x01], 0, at('gdtrLimit'));
  a.memory([0x0f, 0x01], 1, at('idtrLimit'));
  for (const [name, modrm] of [
    ['cr0', 0xc0],
    ['cr2', 0xd0],
    ['cr3', 0xd8],
    ['cr4', 0xe0],
  ] as const)
    fromControl(a, name, 0x20, modrm, false);
  a.label('landCommon');
  rdmsr(a, EFER, 'efer');
  // Paging off, then long mode on again. SDM volume 3, Initializing IA-32e Mode.
  a.put(0xb8);
  a.u32(unpagedCr0);
  a.put(0x0f, 0x22, 0xc0, 0xb8);
  a.u32(0x220);
  a.put(0x0f, 0x22, 0xe0, 0xb8);
  a.u32(ownPml4);
  a.put(0x0f, 0x22, 0xd8);
  a.put(0xb9);
  a.u32(EFER);
  a.put(0xb8);
  a.u32(0x100);
  a.put(0x31, 0xd2, 0x0f, 0x30);
  a.memory([0x0f, 0x01], 2, vars.ownGdtr);
  // IA-32e mode cannot be activated on a TSS of 16 bits, which a program may have switched to. SDM volume 3, IA-32e Mode System Data Structures.
  a.memory([0xc6], 0, ownGdt + 0x40 + 5, { imm: [0x89] });
  a.put(0xb8);
  a.u32(0x40);
  a.put(0x0f, 0x00, 0xd8, 0xb8); // ltr ax
  a.u32(0x80050031);
  a.put(0x0f, 0x22, 0xc0);
  a.put(0xea);
  a.abs32('land32to64');
  a.put(0x10, 0x00);
  a.bits(64);
  a.label('land32to64');
  a.memory([0x0f, 0x01], 2, vars.ownGdtr);
  a.memory([0x0f, 0x01], 3, vars.ownIdtr);
  a.put(0xb8);
  a.u32(0x18);
  for (const field of [0, 2, 3, 4, 5]) a.put(0x8e, 0xc0 | (field << 3));
  a.put(0x48, 0xc7, 0xc4);
  a.u32(agentStack);
  a.put(0xe9);
  a.rel32('landed');

  emitLand86(a);

  a.bits(16);
  a.label('land16');
  a.put(0x0f, 0x23, 0xd3, 0x66, 0x8c, 0xdb, 0x0f, 0x23, 0xcb, 0xbb, (agentCode >> 4) & 0xff, agentCode >> 12, 0x8e, 0xdb);
  a.memory([0x89], 0, vars.stop);
  for (const name of ['rcx', 'rdx', 'rsp', 'rbp', 'rsi', 'rdi'] as const) a.memory([0x89], stateAt[name] >> 3, at(name), { wide: true });
  for (const [name, field] of selectors) a.memory([0x8c], field, at(name));
  a.put(0x0f, 0x21, 0xd8);
  a.memory([0x89], 0, at('rax'), { wide: true });
  a.put(0x0f, 0x21, 0xd0);
  a.memory([0x89], 0, at('rbx'), { wide: true });
  a.put(0x0f, 0x21, 0xc8);
  a.memory([0x89], 0, at('ds'));
  a.put(0x8e, 0xd3, 0x66, 0xbc);
  a.u32(0xf000);
  a.put(0x66, 0x9c); // pushfd
  a.memory([0x66, 0x8f], 0, at('rflags'));
  a.memory([0x0f, 0x01], 0, at('gdtrLimit'), { wide: true });
  a.memory([0x0f, 0x01], 1, at('idtrLimit'), { wide: true });
  // Into protected mode by the agent's own table; the rest of the state waits in the registers.
  a.put(0x0f, 0x20, 0xc0);
  a.memory([0x89], 0, at('cr0'), { wide: true });
  a.memory([0x0f, 0x01], 2, vars.ownGdtr, { wide: true });
  a.put(0x66, 0xb8);
  a.u32(unpagedCr0); // mov eax, imm32: with PE the rest of what is the agent's
  a.put(0x0f, 0x22, 0xc0, 0x66, 0xea);
  a.abs32('land16to32');
  a.put(0x08, 0x00);
  a.bits(32);
  a.label('land16to32');
  a.put(0x66, 0xb8, 0x18, 0x00);
  for (const field of [0, 2, 3, 4, 5]) a.put(0x8e, 0xc0 | (field << 3));
  fromControl(a, 'dr7', 0x21, 0xf8, false);
  quietDebug(a, false);
  fromControl(a, 'dr6', 0x21, 0xf0, false);
  for (const [name, modrm] of [
    ['cr2', 0xd0],
    ['cr3', 0xd8],
    ['cr4', 0xe0],
  ] as const)
    fromControl(a, name, 0x20, modrm, false);
  a.put(0xe9);
  a.rel32('landCommon');
};
