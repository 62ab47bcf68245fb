// How the agent loads a state and lets a program run: from its own 64-bit code down to the mode of the case.
// Intel SDM volume 3, Mode Switching; Returning from a procedure in 64-bit mode (IRETQ always pops SS:RSP).

import type { Assembler } from './assembler.ts';
import { agentCode, agentStack, caseAt, kinds, ownGdt, ownStackSelector, stateAt, stateIn, vars, withMsrs } from './map.ts';

const at = (name: keyof typeof stateAt): number => stateIn + stateAt[name];
/** MSR numbers. SDM volume 4, IA-32 Architectural MSRs. */
export const msrs: readonly (readonly [number: number, field: keyof typeof stateAt])[] = [
  [0xc0000100, 'fsBase'],
  [0xc0000101, 'gsBase'],
  [0xc0000102, 'kernelGsBase'],
  [0xc0000081, 'star'],
  [0xc0000082, 'lstar'],
  [0xc0000083, 'cstar'],
  [0xc0000084, 'sfmask'],
  [0x174, 'sysenterCs'],
  [0x175, 'sysenterEsp'],
  [0x176, 'sysenterEip'],
];
export const EFER = 0xc0000080;
/** DR7 after reset: nothing enabled. SDM volume 3, Debug Registers. */
export const resetDr7 = 0x400;

const wrmsr = (a: Assembler, number: number, field: keyof typeof stateAt): void => {
  a.put(0xb9);
  a.u32(number); // mov ecx, number
  a.memory([0x8b], 0, at(field)); // mov eax, low
  a.memory([0x8b], 2, at(field) + 4); // mov edx, high
  a.put(0x0f, 0x30);
};
/** mov eax/rax, [field]; then mov to a control or debug register given by its opcode byte and ModRM. */
const control = (a: Assembler, field: keyof typeof stateAt, opcode: number, modrm: number, wide: boolean): void => {
  a.memory([0x8b], 0, at(field), { wide });
  a.put(0x0f, opcode, modrm);
};
/** DR7 holds its value of after reset while the agent runs. */
const debugControl = (a: Assembler, wide: boolean): void => {
  a.memory([0x8b], 0, at('dr7'), { wide });
  if (wide) a.put(0x48);
  a.put(0x3d);
  a.u32(resetDr7); // cmp eax or rax, imm32
  a.put(0x74, 0x03, 0x0f, 0x23, 0xf8); // je; mov dr7, rax
};
/** DR0 to DR3: the landing keeps registers in them, and the case before may have written to any. Writing is dear in emulators, reading is not; and dearer in
 *  Bochs while its TLB holds parts of large pages, as the agent's are: that is over once CR3 is loaded. */
const clearAddresses = (a: Assembler, wide: boolean): void => {
  const rex = wide ? [0x48] : [];
  for (let n = 0; n < 4; n++) {
    a.put(0x0f, 0x21, 0xc0 | (n << 3), ...rex, 0x85, 0xc0, 0x74, 0x05); // mov rax, drn; test rax, rax; jz
    a.put(0x31, 0xc0, 0x0f, 0x23, 0xc0 | (n << 3)); // xor eax, eax; mov drn, rax
  }
};
/** The TSS descriptor in the agent's own table is made available again, then LTR and LLDT by it. */
const taskAndLocal = (a: Assembler): void => {
  a.memory([0xc6], 0, ownGdt + 0x40 + 5, { imm: [0x89] }); // mov byte: present, available TSS
  a.memory([0x0f, 0x00], 3, at('tr'));
  a.memory([0x0f, 0x00], 2, at('ldtr'));
};
const dataSegments = (a: Assembler): void => {
  for (const [name, field] of [
    ['es', 0],
    ['ds', 3],
    ['fs', 4],
    ['gs', 5],
  ] as const)
    a.memory([0x8e], field, at(name));
};

/** Loads MSRs if the case asks for it. */
const loadMsrs = (a: Assembler, name: string, which: typeof msrs): void => {
  a.memory([0xf6], 0, vars.thisCase + caseAt.flags, { imm: [withMsrs] }); // test byte [flags], withMsrs
  a.put(0x0f, 0x84);
  a.rel32(`${name}Loaded`);
  for (const [number, field] of which) wrmsr(a, number, field);
  if (name === 'system') {
    // IA32_TSC_AUX exists with RDTSCP. SDM volume 2, CPUID: 80000001H, EDX bit 27.
    a.put(0xb8);
    a.u32(0x80000001);
    a.put(0x0f, 0xa2, 0xf7, 0xc2);
    a.u32(1 << 27); // cpuid; test edx, bit 27; jz
    a.put(0x0f, 0x84);
    a.rel32(`${name}Loaded`);
    wrmsr(a, 0xc0000103, 'tscAux');
  }
  a.label(`${name}Loaded`);
};

/** A return to a stack segment of 16 bits loads SP alone, and above it stays what the agent's ESP has there. So the agent's stack is reached through
 *  a base that makes that half of ESP the program's. */
const ownStack = (a: Assembler): void => {
  a.memory([0x8b], 0, at('rsp')); // mov eax, [rsp]
  a.put(0x25);
  a.u32(0xffff0000); // and eax, upper half
  a.put(0xbb);
  a.u32(agentStack & 0xffff0000);
  a.put(0x29, 0xc3, 0xc1, 0xeb, 0x10); // sub ebx, eax; shr ebx, 16: base 31:16, whose lower half is 0
  a.memory([0x88], 3, ownGdt + ownStackSelector + 4);
  a.memory([0x88], 7, ownGdt + ownStackSelector + 7); // mov [], bl; mov [], bh
  a.put(0x0d);
  a.u32(agentStack & 0xffff); // or eax, lower half
  a.put(0xbb);
  a.u32(ownStackSelector);
  a.put(0x8e, 0xd3, 0x89, 0xc4); // mov ss, ebx; mov esp, eax
};

/** Entered with the state block filled, in 64-bit mode, AL = kind. */
export const emitLaunch = (a: Assembler): void => {
  a.bits(64);
  a.label('launch');
  a.put(0x89, 0xc6); // mov esi, eax
  loadMsrs(
    a,
    'system',
    msrs.filter(([, field]) => field !== 'fsBase' && field !== 'gsBase'),
  );
  a.put(0x89, 0xf0); // mov eax, esi
  a.put(0x3c, kinds.ia32e); // cmp al, ia32e
  a.put(0x0f, 0x85);
  a.rel32('launchLegacy');
  taskAndLocal(a);
  control(a, 'cr2', 0x22, 0xd0, true);
  control(a, 'dr6', 0x23, 0xf0, true);
  // Before CR3: CR4.PCIDE needs CR3[11:0] clear, which the agent's own has; paging features change nothing for supervisor pages of its own.
  wrmsr(a, EFER, 'efer');
  control(a, 'cr3', 0x22, 0xd8, true);
  clearAddresses(a, true);
  control(a, 'cr4', 0x22, 0xe0, true);
  control(a, 'cr0', 0x22, 0xc0, true);
  a.memory([0x8b], 0, at('cr8'), { wide: true });
  a.put(0x44, 0x0f, 0x22, 0xc0); // mov cr8, rax
  a.memory([0x0f, 0x01], 2, at('gdtrLimit')); // lgdt
  a.memory([0x0f, 0x01], 3, at('idtrLimit')); // lidt
  dataSegments(a);
  loadMsrs(
    a,
    'bases',
    msrs.filter(([, field]) => field === 'fsBase' || field === 'gsBase'),
  );
  // SS, RSP, RFLAGS, CS, RIP on the agent's stack; 16-bit fields are zero-extended first.
  a.memory([0x0f, 0xb7], 0, at('ss'));
  a.put(0x50);
  a.memory([0xff], 6, at('rsp'));
  a.memory([0xff], 6, at('rflags'));
  a.memory([0x0f, 0xb7], 0, at('cs'));
  a.put(0x50);
  a.memory([0xff], 6, at('rip'));
  debugControl(a, true);
  for (const name of ['rcx', 'rdx', 'rbx', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rax'] as const)
    a.memory([0x8b], stateAt[name] >> 3, at(name), { wide: true });
  a.put(0x48, 0xcf); // iretq

  // Legacy modes: through compatibility mode, then paging and long mode off. The kind waits in ECX.
  a.label('launchLegacy');
  a.put(0x0f, 0xb6, 0xc8); // movzx ecx, al
  a.put(0x6a, 0x08); // push 08H: 32-bit code
  a.put(0x48, 0x8d, 0x05);
  a.rel32('launch32'); // lea rax, [launch32]
  a.put(0x50, 0x48, 0xcb); // push rax; retfq
  a.bits(32);
  a.label('launch32');
  a.put(0x89, 0xcf); // mov edi, ecx
  a.put(0x0f, 0x20, 0xc0, 0x25);
  a.u32(0x7fffffff);
  a.put(0x0f, 0x22, 0xc0); // CR0.PG off
  wrmsr(a, EFER, 'efer');
  control(a, 'cr3', 0x22, 0xd8, false);
  clearAddresses(a, false);
  control(a, 'cr4', 0x22, 0xe0, false);
  control(a, 'cr2', 0x22, 0xd0, false);
  control(a, 'dr6', 0x23, 0xf0, false);
  a.put(0x83, 0xff, kinds.real); // cmp edi, real
  a.put(0x0f, 0x84);
  a.rel32('launchReal');
  taskAndLocal(a);
  ownStack(a);
  control(a, 'cr0', 0x22, 0xc0, false);
  a.memory([0x0f, 0x01], 2, at('gdtrLimit'));
  a.memory([0x0f, 0x01], 3, at('idtrLimit'));
  a.put(0x83, 0xff, kinds.inner);
  a.put(0x0f, 0x84);
  a.rel32('launchInner');
  // To an outer level, or virtual-8086 mode: IRETD pops SS:ESP, and with VM also ES, DS, FS, GS (SDM volume 2, IRET).
  for (const name of ['gs', 'fs', 'ds', 'es', 'ss'] as const) {
    a.memory([0x0f, 0xb7], 0, at(name));
    a.put(0x50);
  }
  a.memory([0xff], 6, at('rsp'));
  a.memory([0xff], 6, at('rflags'));
  a.memory([0x0f, 0xb7], 0, at('cs'));
  a.put(0x50);
  a.memory([0xff], 6, at('rip'));
  debugControl(a, false);
  for (const name of ['rcx', 'rdx', 'rbx', 'rbp', 'rsi', 'rdi'] as const) a.memory([0x8b], stateAt[name] >> 3, at(name));
  // Outside virtual-8086 mode data segments are loaded now; EAX last, through SS, which is still the agent's.
  a.memory([0xf6], 0, at('rflags') + 2, { imm: [0x02] }); // test VM
  a.put(0x75);
  a.rel8('launchVm');
  a.memory([0x8e], 0, at('es'));
  a.memory([0x8e], 4, at('fs'));
  a.memory([0x8e], 5, at('gs'));
  a.memory([0x8b], 0, at('rax'));
  a.memory([0x8e], 3, at('ds'));
  a.put(0xcf);
  a.label('launchVm');
  a.memory([0x8b], 0, at('rax'));
  a.put(0xcf); // iretd

  // CPL 0 without a change of level: IRETD would not load ESP. LSS and a far jump change no flags.
  a.label('launchInner');
  debugControl(a, false);
  a.memory([0x8b], 0, at('rip'));
  a.memory([0x89], 0, vars.enter);
  a.memory([0x8b], 0, at('cs'));
  a.memory([0x89], 0, vars.enter + 4);
  a.memory([0x8b], 0, at('rsp'));
  a.memory([0x89], 0, vars.stack);
  a.memory([0x8b], 0, at('ss'));
  a.memory([0x89], 0, vars.stack + 4);
  a.memory([0xff], 6, at('rflags'));
  a.put(0x9d); // popfd
  for (const name of ['rcx', 'rdx', 'rbx', 'rbp', 'rsi', 'rdi'] as const) a.memory([0x8b], stateAt[name] >> 3, at(name));
  a.memory([0x8e], 0, at('es'));
  a.memory([0x8e], 4, at('fs'));
  a.memory([0x8e], 5, at('gs'));
  a.memory([0x8b], 0, at('rax'));
  a.memory([0x8e], 3, at('ds'));
  a.memory([0x0f, 0xb2], 4, vars.stack, { before: [0x2e] }); // lss esp, cs:[]
  a.memory([0xff], 5, vars.enter, { before: [0x2e] }); // jmp far cs:[]

  // Real-address mode: 16-bit segments with 64-KByte limits, then PE off. SDM volume 3, Switching Back to Real-Address Mode.
  a.label('launchReal');
  a.memory([0x0f, 0x01], 3, at('idtrLimit'));
  a.put(0x66, 0xb8, 0x68, 0x00); // mov ax, 68H
  for (const field of [0, 2, 3, 4, 5]) a.put(0x8e, 0xc0 | (field << 3));
  a.put(0xea);
  a.u32(0);
  const patch = a.here() - 4;
  a.put(0x60, 0x00);
  a.label('launch16');
  a.bits(16);
  a.patch32(patch, a.here() - agentCode);
  // CR0 of the case: PE off. Written once, since emulators forget their translations with WP as with PE.
  control16(a, 'cr0', 0x22, 0xc0);
  a.put(0xea);
  a.abs16('launchRealFar');
  a.put((agentCode >> 4) & 0xff, agentCode >> 12);
  a.label('launchRealFar');
  a.put(0xb8, (agentCode >> 4) & 0xff, agentCode >> 12, 0x8e, 0xd8, 0x8e, 0xd0); // ds = ss = the agent
  a.put(0x66, 0xbc);
  a.u32(0xf000); // mov esp, F000H
  a.memory([0x8b], 0, at('rip'));
  a.memory([0x89], 0, vars.enter);
  a.memory([0x8b], 0, at('cs'));
  a.memory([0x89], 0, vars.enter + 2);
  a.memory([0x8b], 0, at('rsp'), { wide: true });
  a.memory([0x89], 0, vars.stack, { wide: true });
  a.memory([0x8b], 0, at('ss'));
  a.memory([0x89], 0, vars.stack + 4);
  a.memory([0x0f, 0x01], 2, at('gdtrLimit'), { wide: true });
  control16(a, 'dr7', 0x23, 0xf8);
  a.memory([0xff], 6, at('rflags'), { wide: true });
  a.put(0x66, 0x9d); // popfd
  for (const name of ['rcx', 'rdx', 'rbx', 'rbp', 'rsi', 'rdi'] as const) a.memory([0x8b], stateAt[name] >> 3, at(name), { wide: true });
  a.memory([0x8e], 0, at('es'));
  a.memory([0x8e], 4, at('fs'));
  a.memory([0x8e], 5, at('gs'));
  a.memory([0x8b], 0, at('rax'), { wide: true });
  a.memory([0x8e], 3, at('ds'));
  a.memory([0x0f, 0xb2], 4, vars.stack, { wide: true, before: [0x2e] });
  a.memory([0xff], 5, vars.enter, { before: [0x2e] });
};
const control16 = (a: Assembler, field: keyof typeof stateAt, opcode: number, modrm: number): void => {
  a.memory([0x8b], 0, at(field), { wide: true });
  a.put(0x0f, opcode, modrm);
};
