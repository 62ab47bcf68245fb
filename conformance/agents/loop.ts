// The agent's loop: take a case, put its bytes in place, launch; when landed write down what changed and put it back.
// A page is looked at only if its entry's dirty flag was set by the run; the flags are cleared before and made good after, so that comparing costs
// what the program wrote, not what memory there is. Without page tables everything is compared.

import type { Assembler } from './assembler.ts';
import {
  agentStack,
  before,
  caseAt,
  caseHeader,
  control,
  controlAt,
  ends,
  everywhere,
  pristine,
  resultAt,
  resultHeader,
  stateAt,
  stateIn,
  stateOut,
  stateSize,
  vars,
  wholeTables,
} from './map.ts';
import { emitSweep } from './sweep.ts';
import { emitLateness, emitRearm } from './watchdog.ts';

/** mov r64, [abs] and back, by register number. */
const load = (a: Assembler, r: number, at: number): void => a.memory([0x8b], r, at, { wide: true });
const store = (a: Assembler, r: number, at: number): void => a.memory([0x89], r, at, { wide: true });
const load32 = (a: Assembler, r: number, at: number): void => a.memory([0x8b], r, at);
const imm32 = (a: Assembler, r: number, value: number): void => {
  if (r > 7) a.put(0x41);
  a.put(0xb8 | (r & 7));
  a.u32(value);
};

/** Copies RCX bytes, a multiple of 8, RSI to RDI. */
const copyWords = (a: Assembler): void => a.put(0x48, 0xc1, 0xe9, 0x03, 0xf3, 0x48, 0xa5);

export const emitLoop = (a: Assembler): void => {
  a.bits(64);
  a.label('loop');
  load(a, 0, vars.casesLeft);
  a.put(0x48, 0x85, 0xc0, 0x0f, 0x84); // test rax, rax; jz done
  a.rel32('done');
  load(a, 0, vars.index);
  a.memory([0x89], 0, control + controlAt.progress);
  // The case: header to thisCase.., state to the block.
  load(a, 6, vars.nextCase);
  a.put(0x8b, 0x46, caseAt.kind); // mov eax, [rsi+kind]
  a.memory([0x89], 0, vars.thisCase);
  a.put(0x8b, 0x46, caseAt.patches);
  a.memory([0x89], 0, vars.thisCase + 4);
  a.put(0x8b, 0x46, caseAt.flags);
  a.memory([0x89], 0, vars.thisCase + 8);
  a.put(0x48, 0x83, 0xc6, caseHeader); // add rsi, header
  imm32(a, 7, stateIn);
  imm32(a, 1, stateSize);
  copyWords(a);
  // Patches: into memory and into what it is compared with. RSI stands at them.
  store(a, 6, vars.patchesAt);
  a.memory([0x8b], 2, vars.thisCase + 4); // edx = patches
  a.label('patch');
  a.put(0x85, 0xd2, 0x74); // test edx, edx; jz
  a.rel8('patched');
  a.put(0x8b, 0x3e, 0x8b, 0x4e, 0x04); // edi = [rsi]; ecx = [rsi+4]
  a.put(0x48, 0x83, 0xc6, 0x08); // add rsi, 8
  a.put(0x41, 0x89, 0xc8); // mov r8d, ecx
  a.put(0x49, 0x89, 0xf1); // mov r9, rsi
  a.put(0x41, 0x89, 0xfa); // mov r10d, edi
  a.put(0xf3, 0xa4); // rep movsb
  a.put(0x44, 0x89, 0xc1, 0x4c, 0x89, 0xce); // mov ecx, r8d; mov rsi, r9
  a.put(0x49, 0x8d, 0xba);
  a.u32(before); // lea rdi, [r10+before]
  a.put(0xf3, 0xa4);
  a.put(0x48, 0x83, 0xc6, 0x07, 0x48, 0x83, 0xe6, 0xf8); // align rsi to 8
  a.put(0xff, 0xca, 0xeb); // dec edx; jmp patch
  a.rel8('patch');
  a.label('patched');
  store(a, 6, vars.nextCase);
  // Clear the dirty flags (bit 6) of the entries that have them.
  load32(a, 1, control + controlAt.pageEntries);
  load32(a, 7, control + controlAt.pageTable);
  load32(a, 2, control + controlAt.entryWidth);
  a.label('clear');
  a.put(0x85, 0xc9, 0x74);
  a.rel8('cleared');
  a.put(0x80, 0x27, 0xbf); // and byte [rdi], ~40H
  a.put(0x01, 0xd7, 0xff, 0xc9, 0xeb); // add edi, edx; dec ecx; jmp
  a.rel8('clear');
  a.label('cleared');
  a.memory([0xc7], 0, vars.stop, { imm: [0, 0, 0, 0] });
  emitRearm(a, 'launch');
  a.memory([0x0f, 0xb6], 0, vars.thisCase); // movzx eax, byte [kind]
  a.put(0xe9);
  a.rel32('launch');

  a.label('landed');
  a.put(0x6a, 0x02, 0x9d); // push 2; popfq: no DF, NT or AC of the program's, and IRETQ wants NT clear
  // POPF leaves VIF and VIP; IRETQ does not.
  imm32(a, 0, agentStack);
  a.put(0x6a, 0x18, 0x50, 0x6a, 0x02, 0x6a, 0x10, 0x48, 0x8d, 0x05);
  a.rel32('ownFlags');
  a.put(0x50, 0x48, 0xcf); // push ss, rax, 2, cs; lea rax, [ownFlags]; push rax; iretq
  a.label('ownFlags');
  emitLateness(a);
  emitRearm(a, 'landed');
  load(a, 15, vars.nextResult);
  a.put(0x49, 0x8d, 0x7f, resultHeader); // lea rdi, [r15+header]
  imm32(a, 6, stateOut);
  imm32(a, 1, stateSize);
  copyWords(a);
  a.put(0x49, 0x89, 0xfe); // mov r14, rdi: where differences go
  load32(a, 0, vars.stop);
  a.put(0x41, 0x89, 0x47, resultAt.stop);
  load32(a, 0, vars.index);
  a.put(0x41, 0x89, 0x47, resultAt.index);
  load32(a, 11, control + controlAt.pageEntries);
  a.put(0x45, 0x85, 0xdb, 0x0f, 0x85); // test r11d, r11d; jnz pages
  a.rel32('pages');
  a.put(0xe8);
  a.rel32('sweep');
  a.put(0xe9);
  a.rel32('scanned');
  a.label('pages');
  // R10 entry, R12 page number; the pages of dirty entries are scanned, then the entries made good, then the tables scanned.
  load32(a, 10, control + controlAt.pageTable);
  a.put(0x45, 0x31, 0xe4); // xor r12d, r12d
  a.label('page');
  a.put(0x41, 0xf6, 0x02, 0x40, 0x74); // test byte [r10], 40H; jz clean
  a.rel8('clean');
  a.put(0x45, 0x89, 0xe0, 0x41, 0xc1, 0xe0, 0x0c); // r8d = page << 12
  a.put(0x45, 0x8d, 0x88);
  a.u32(0x1000); // lea r9d, [r8+1000H]
  a.put(0xe8);
  a.rel32('scan');
  a.label('clean');
  a.put(0x41, 0x8a, 0x82);
  a.u32(before); // mov al, [r10+before]
  a.put(0x24, 0x40, 0x41, 0x08, 0x02); // and al, 40H; or [r10], al
  a.memory([0x03], 2 + 8, control + controlAt.entryWidth); // add r10d, [width]
  a.put(0x41, 0xff, 0xc4, 0x45, 0x39, 0xdc, 0x75); // inc r12d; cmp r12d, r11d; jne page
  a.rel8('page');
  // Dirty flags tell nothing where the program runs by other tables or without any.
  for (const end of [ends.shutdown, ends.exited]) {
    a.memory([0x80], 7, vars.stop + 1, { imm: [end] });
    a.put(0x0f, 0x84);
    a.rel32('wide');
  }
  a.memory([0xf6], 0, vars.thisCase + 8, { imm: [everywhere] });
  a.put(0x0f, 0x85);
  a.rel32('wide');
  for (const field of ['cr0', 'cr3', 'cr4'] as const) {
    load(a, 0, stateIn + stateAt[field]);
    a.memory([0x3b], 0, stateOut + stateAt[field], { wide: true });
    a.put(0x0f, 0x85);
    a.rel32('wide');
  }
  const scan = (from: number, to: number): void => {
    imm32(a, 8, from);
    imm32(a, 9, to);
    a.put(0xe8);
    a.rel32('scan');
  };
  a.memory([0xf6], 0, vars.thisCase + 8, { imm: [wholeTables] });
  a.put(0x74);
  a.rel8('usedEntries');
  scan(0x6000, 0xb000);
  a.put(0xe9);
  a.rel32('scanned');
  a.label('usedEntries');
  for (const [from, to] of [
    [0x6000, 0x6040],
    [0x7000, 0x7040],
    [0x8000, 0x8040],
    [0x9000, 0x9040],
    [0xa000, 0xa200],
  ] as const)
    scan(from, to);
  a.put(0xe9);
  a.rel32('scanned');
  a.label('wide');
  a.put(0xe8);
  a.rel32('sweep');
  a.label('scanned');
  // Undo the patches: RSI at them again, from the pristine copy.
  load(a, 6, vars.nextResult); // result size
  a.put(0x44, 0x89, 0xf0, 0x29, 0xf0, 0x89, 0x06); // eax = r14 - rsi; [rsi] = eax
  store(a, 14, vars.nextResult);
  a.put(0xe8);
  a.rel32('undo');
  // Over the serial port each result goes out at once: what arrived before the machine died tells where it died.
  a.memory([0xf6], 0, control + controlAt.serial, { imm: [1] });
  a.put(0x74);
  a.rel8('kept');
  a.put(0xe8);
  a.rel32('send');
  a.label('kept');
  load(a, 0, vars.index);
  a.put(0x48, 0xff, 0xc0);
  store(a, 0, vars.index);
  load(a, 0, vars.casesLeft);
  a.put(0x48, 0xff, 0xc8);
  store(a, 0, vars.casesLeft);
  a.put(0xe9);
  a.rel32('loop');

  // Compares [R8, R9), a multiple of 8 bytes, with the copy; each difference goes to R14 and is put back. Clobbers RAX, RCX, RDX, RBX, RSI, RDI.
  // One repeated instruction: an emulator takes it faster than a loop, and it needs no SSE.
  a.label('scan');
  a.put(0x4c, 0x89, 0xc6, 0x49, 0x8d, 0xb8); // mov rsi, r8; lea rdi, [r8+before]
  a.u32(before);
  a.put(0x4c, 0x89, 0xc9, 0x4c, 0x29, 0xc1, 0x48, 0xc1, 0xe9, 0x03); // mov rcx, r9; sub rcx, r8; shr rcx, 3
  a.label('compare');
  a.put(0x48, 0x85, 0xc9, 0x74); // test rcx, rcx; jz
  a.rel8('scanEnd');
  a.put(0xf3, 0x48, 0xa7, 0x74); // repe cmpsq; je
  a.rel8('scanEnd');
  a.put(0x48, 0x8b, 0x46, 0xf8, 0x48, 0x8b, 0x57, 0xf8); // mov rax, [rsi-8]; mov rdx, [rdi-8]
  a.put(0x48, 0x8d, 0x5e, 0xf8, 0x49, 0x89, 0x1e); // lea rbx, [rsi-8]; mov [r14], rbx
  a.put(0x49, 0x89, 0x46, 0x08, 0x49, 0x83, 0xc6, 0x10); // mov [r14+8], rax; add r14, 16
  a.put(0x48, 0x89, 0x56, 0xf8, 0xeb); // mov [rsi-8], rdx; jmp
  a.rel8('compare');
  a.label('scanEnd');
  a.put(0xc3);

  emitSweep(a);

  // The patches of the case that ran stand before nextCase: walk them again from thisPatches.
  a.label('undo');
  load(a, 6, vars.patchesAt);
  a.memory([0x8b], 2, vars.thisCase + 4);
  a.label('undoNext');
  a.put(0x85, 0xd2, 0x74);
  a.rel8('undone');
  a.put(0x8b, 0x3e, 0x44, 0x8b, 0x46, 0x04); // edi = [rsi]; r8d = [rsi+4]
  a.put(0x48, 0x83, 0xc6, 0x08, 0x49, 0x89, 0xf1, 0x41, 0x89, 0xfa); // add rsi, 8; r9 = rsi; r10d = edi
  a.put(0x49, 0x8d, 0xb2);
  a.u32(pristine); // lea rsi, [r10+pristine]
  a.put(0x44, 0x89, 0xc1, 0xf3, 0xa4); // ecx = r8d; rep movsb
  a.put(0x49, 0x8d, 0xb2);
  a.u32(pristine);
  a.put(0x49, 0x8d, 0xba);
  a.u32(before);
  a.put(0x44, 0x89, 0xc1, 0xf3, 0xa4);
  a.put(0x4b, 0x8d, 0x74, 0x01, 0x07, 0x48, 0x83, 0xe6, 0xf8); // lea rsi, [r9+r8+7]; and rsi, ~7
  a.put(0xff, 0xca, 0xeb);
  a.rel8('undoNext');
  a.label('undone');
  a.put(0xc3);

  a.label('done');
  load(a, 0, vars.nextResult);
  a.memory([0x89], 0, control + controlAt.resultsEnd);
  a.memory([0xc7], 0, control + controlAt.done, { imm: [1, 0, 0, 0] });
  // The end, in each machine's way: QEMU's debug-exit port, Bochs's magic breakpoint, then rest.
  a.put(0x66, 0xba, 0x00, 0x89, 0x31, 0xc0, 0xef); // mov dx, 8900H; xor eax, eax; out dx, eax
  // Each stop in Bochs's debugger takes a line of its script, so the breakpoint is met as often as the script has lines.
  imm32(a, 1, 0x10000);
  a.label('break');
  a.put(0x66, 0x87, 0xdb, 0xff, 0xc9, 0x75); // xchg bx, bx; dec ecx; jnz
  a.rel8('break');
  a.put(0xfa, 0xf4, 0xeb, 0xfc);
};
