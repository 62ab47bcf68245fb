// The agent's loop: take a case, put its bytes in place, launch; when landed write down what changed and put it back.
// A page is looked at only if its entry's dirty flag was set by the run. Without page tables everything is compared.

import type { Assembler } from './assembler.ts';
import { emitClearDirty, emitReadDirty, type EntryWidth } from './dirty.ts';
import { emitGroupClosed, emitGroupOpened, emitLinesOfGroup } from './group.ts';
import { allPages } from './hot.ts';
import {
  agentStack,
  before,
  caseAt,
  caseHeader,
  control,
  controlAt,
  ends,
  everywhere,
  resultAt,
  resultHeader,
  stateAt,
  stateIn,
  stateOut,
  stateSize,
  vars,
  wholeTables,
} from './map.ts';
import { EFER } from './launch.ts';
import { emitPatch, emitUndo } from './patches.ts';
import { emitLines, emitSweep } from './sweep.ts';
import { emitCopy, emitVectorsOff, emitVectorsOn, unlessVectors } from './vectors.ts';
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

/**
 * IRET at CPL 0 loads neither VIF nor VIP in QEMU (helper_ret_protected of target/i386/tcg/seg_helper.c masks them): what a return to virtual-8086 mode
 * has set would stay. SYSCALL clears what IA32_FMASK says. SDM volume 2, SYSCALL; the MSRs that it needs are loaded for each case that uses them.
 */
const emitClearVirtual = (a: Assembler): void => {
  const [VIF, VIP] = [1 << 19, 1 << 20];
  a.put(0x9c, 0xf7, 0x04, 0x24); // pushfq; test dword [rsp], imm32
  a.u32(VIF | VIP);
  a.put(0x58, 0x0f, 0x84); // pop rax; jz
  a.rel32('virtualClear');
  const wrmsr = (number: number, low: () => void, high = 0): void => {
    imm32(a, 1, number);
    low();
    imm32(a, 2, high);
    a.put(0x0f, 0x30);
  };
  imm32(a, 1, EFER);
  a.put(0x0f, 0x32, 0x0c, 0x01, 0x0f, 0x30); // rdmsr; or al, SCE; wrmsr
  wrmsr(0xc0000081, () => imm32(a, 0, 0), 0x10); // STAR: CS = 10H, SS = 18H
  wrmsr(0xc0000084, () => imm32(a, 0, VIF | VIP));
  wrmsr(0xc0000082, () => {
    a.put(0x8d, 0x05);
    a.rel32('virtualClear'); // lea eax, [virtualClear]
  });
  a.put(0x0f, 0x05); // syscall
  a.label('virtualClear');
};
/** The state from RSI to RDI, which ends behind it. With vectors up to 63 bytes more are written. */
const emitCopyState = (a: Assembler): void => {
  unlessVectors(a, 'stateWords');
  emitCopy(a, stateSize);
  a.put(0x48, 0x81, 0xc7);
  a.u32(stateSize); // add rdi, size
  a.put(0xeb);
  a.rel8('stateCopied');
  a.label('stateWords');
  imm32(a, 1, stateSize >> 3);
  a.put(0xf3, 0x48, 0xa5); // rep movsq
  a.label('stateCopied');
};
/** The page-table entries that lead to what programs use, with the entries of the page table itself. */
const usedLines: readonly number[] = [0x6000, 0x7000, 0x8000, 0x9000, ...Array.from({ length: 8 }, (_, i) => 0xa000 + 64 * i)];

/** CR0.PG and PE: TS, which every task switch sets, changes no address. */
const translating = 0x80000001;

/** Bits of the pages that hold paging structures. */
const tablePages = 0x7c0;

/** `width` of a page-table entry of the machine. */
export const emitLoop = (a: Assembler, width: EntryWidth): void => {
  a.bits(64);
  a.label('loop');
  emitGroupClosed(a);
  load(a, 0, vars.casesLeft);
  a.put(0x48, 0x85, 0xc0, 0x0f, 0x84); // test rax, rax; jz done
  a.rel32('done');
  emitGroupOpened(a);
  load(a, 0, vars.index);
  a.memory([0x89], 0, control + controlAt.progress);
  // The case: header to thisCase, words to their places.
  load(a, 6, vars.nextCase);
  a.put(0x48, 0x8b, 0x06); // mov rax, [rsi]
  store(a, 0, vars.thisCase);
  a.put(0x48, 0x8b, 0x46, caseAt.furnished); // mov rax, [rsi+furnished]
  store(a, 0, vars.furnished);
  a.put(0x48, 0x83, 0xc6, caseHeader); // add rsi, header
  store(a, 6, vars.wordsAt);
  emitPatch(a);
  store(a, 6, vars.nextCase);
  emitClearDirty(a, width);
  a.memory([0xc7], 0, vars.stop, { imm: [0, 0, 0, 0] });
  emitVectorsOff(a);
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
  emitClearVirtual(a);
  emitLateness(a);
  emitRearm(a, 'landed');
  emitVectorsOn(a, 'landed');
  load(a, 15, vars.nextResult);
  a.put(0x49, 0x8d, 0x7f, resultHeader); // lea rdi, [r15+header]
  imm32(a, 6, stateOut);
  emitCopyState(a);
  a.put(0x49, 0x89, 0xfe); // mov r14, rdi: where differences go
  load32(a, 0, vars.stop);
  a.put(0x41, 0x89, 0x47, resultAt.stop);
  load32(a, 0, vars.index);
  a.put(0x41, 0x89, 0x47, resultAt.index);
  emitCompare(a, width);
  emitUndo(a);
  load(a, 6, vars.nextResult); // result size
  a.put(0x44, 0x89, 0xf0, 0x29, 0xf0, 0x89, 0x06); // eax = r14 - rsi; [rsi] = eax
  store(a, 14, vars.nextResult);
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

  emitLines(a, 'entries', [], usedLines);

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

/** What a program wrote: R12 page number, R13 the pages that may differ. */
const emitCompare = (a: Assembler, width: EntryWidth): void => {
  const call = (to: string): void => {
    a.put(0xe8);
    a.rel32(to);
  };
  const jump = (to: string): void => {
    a.put(0xe9);
    a.rel32(to);
  };
  if (width !== undefined) {
    emitReadDirty(a, width);
    a.memory([0x0b], 13, vars.also, { wide: true }); // or r13, [also]
    // Dirty flags tell nothing where the program runs by other tables or without any.
    for (const end of [ends.shutdown, ends.exited]) {
      a.memory([0x80], 7, vars.stop + 1, { imm: [end] });
      a.put(0x0f, 0x84);
      a.rel32('wide');
    }
    a.memory([0xf6], 0, vars.thisCase + caseAt.flags, { imm: [everywhere] });
    a.put(0x0f, 0x85);
    a.rel32('wide');
    load32(a, 0, stateIn + stateAt.cr0);
    a.memory([0x33], 0, stateOut + stateAt.cr0); // xor eax, []
    a.put(0xa9);
    a.u32(translating); // test eax, imm32
    a.put(0x0f, 0x85);
    a.rel32('wide');
    for (const field of ['cr3', 'cr4'] as const) {
      load(a, 0, stateIn + stateAt[field]);
      a.memory([0x3b], 0, stateOut + stateAt[field], { wide: true });
      a.put(0x0f, 0x85);
      a.rel32('wide');
    }
    emitLinesOfGroup(a, 'narrow');
    a.label('dirtyNext');
    a.put(0x4d, 0x0f, 0xbc, 0xe5, 0x74); // bsf r12, r13; jz
    a.rel8('dirtyDone');
    a.put(0x4d, 0x0f, 0xb3, 0xe5); // btr r13, r12
    call('comparePage');
    a.put(0xeb);
    a.rel8('dirtyNext');
    a.label('dirtyDone');
    a.memory([0xf6], 0, vars.thisCase + caseAt.flags, { imm: [wholeTables] });
    a.put(0x0f, 0x84);
    a.rel32('usedEntries');
    imm32(a, 13, tablePages);
    call('sweep');
    jump('compared');
  }
  a.label('wide');
  a.put(0x49, 0xbd);
  a.u64(allPages); // mov r13, all pages
  emitLinesOfGroup(a, 'wide');
  call('sweep');
  if (width !== undefined) {
    a.label('usedEntries');
    call('entries');
  }
  a.label('compared');
};
