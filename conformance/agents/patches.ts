// A case's own words, of its state and of memory: put in place, those of memory also into what is compared with, and after the case put back as they
// were in both. Whole words, whatever bytes of them are the case's: emulators take bytes one by one.

import type { Assembler } from './assembler.ts';
import { before, caseAt, caseWord, pristine, vars } from './map.ts';

/** An instruction with RDX and [rax*8+at]. */
const atPlace = (a: Assembler, opcode: number, at: number): void => {
  a.put(0x48, opcode, 0x14, 0xc5);
  a.u32(at);
};
const [load, store, compare] = [0x8b, 0x89, 0x3b];
/** ECX times for words from RSI on, RAX the address of each in words. */
const emitEach = (a: Assembler, name: string, body: () => void): void => {
  a.put(0x85, 0xc9, 0x0f, 0x84); // test ecx, ecx; jz
  a.rel32(`${name}Done`);
  a.label(`${name}Next`);
  a.put(0x0f, 0xb7, 0x06); // movzx eax, word [rsi]
  body();
  a.put(0x48, 0x83, 0xc6, caseWord, 0xff, 0xc9, 0x75); // add rsi, word; dec ecx; jnz
  a.rel8(`${name}Next`);
  a.label(`${name}Done`);
};
const given = (a: Assembler): void => a.put(0x48, 0x8b, 0x56, 0x02); // mov rdx, [rsi+2]
const usually = (a: Assembler): void => {
  atPlace(a, load, pristine);
  atPlace(a, store, 0);
};
const countState = (a: Assembler): void => a.memory([0x0f, 0xb6], 1, vars.thisCase + caseAt.stateWords); // movzx ecx, byte
const countMemory = (a: Assembler): void => a.memory([0x0f, 0xb7], 1, vars.thisCase + caseAt.words); // movzx ecx, word

/** RSI at the words; ends behind them. Clobbers RAX, RCX, RDX. A word that is not as it should be before the case was written to by an earlier one of its
 *  group: what has been put is taken back, and the group runs again. */
export const emitPatch = (a: Assembler): void => {
  countState(a);
  emitEach(a, 'state', () => {
    given(a);
    atPlace(a, store, 0);
  });
  countMemory(a);
  emitEach(a, 'patch', () => {
    atPlace(a, load, 0);
    atPlace(a, compare, pristine);
    a.put(0x75); // jne
    a.rel8('patchEarlier');
    a.label('patchGiven');
    given(a);
    atPlace(a, store, 0);
    atPlace(a, store, before);
  });
  a.put(0xe9);
  a.rel32('patched');
  a.label('patchEarlier');
  a.memory([0x83], 7, vars.grouped, { imm: [1] });
  a.put(0x74); // je: no earlier case
  a.rel8('patchGiven');
  a.memory([0x8b], 14, vars.nextResult, { wide: true });
  a.put(0xc1, 0xe0, 0x03, 0x49, 0x89, 0x06, 0x49, 0x83, 0xc6, 0x10); // shl eax, 3; mov [r14], rax; add r14, 16
  a.put(0x48, 0x89, 0xf7); // mov rdi, rsi: the last to take back
  a.memory([0x8b], 6, vars.wordsAt, { wide: true });
  a.label('patchBack');
  a.put(0x0f, 0xb7, 0x06); // movzx eax, word [rsi]
  usually(a);
  atPlace(a, store, before); // of the state's, where nothing is compared
  a.put(0x48, 0x83, 0xc6, caseWord, 0x48, 0x39, 0xfe, 0x76); // add rsi, word; cmp rsi, rdi; jbe
  a.rel8('patchBack');
  a.memory([0x8b], 13, vars.pending, { wide: true });
  a.put(0xe9);
  a.rel32('groupSweep');
  a.label('patched');
};
/** After the case ran. What differs in its words goes to R14. Clobbers RAX, RCX, RDX, RSI. */
export const emitUndo = (a: Assembler): void => {
  a.memory([0x8b], 6, vars.wordsAt, { wide: true });
  countState(a);
  emitEach(a, 'stateUndo', () => usually(a));
  countMemory(a);
  emitEach(a, 'undo', () => {
    atPlace(a, load, 0);
    atPlace(a, compare, before);
    a.put(0x74, 0x0e); // je, over what follows
    a.put(0xc1, 0xe0, 0x03, 0x49, 0x89, 0x06); // shl eax, 3; mov [r14], rax
    a.put(0x49, 0x89, 0x56, 0x08, 0x49, 0x83, 0xc6, 0x10); // mov [r14+8], rdx; add r14, 16
    a.put(0x0f, 0xb7, 0x06); // movzx eax, word [rsi]
    usually(a);
    atPlace(a, store, before);
  });
};
