// Groups of cases: what most programs write to is compared after each, the rest of those pages once a group. A group at whose end something differs
// there runs again, and the lines that differed are then compared after each of its cases too, until nothing is left over: each difference is seen
// where it was made.

import type { Assembler } from './assembler.ts';
import { allPages, lineSize, others, stackPages, stacks } from './hot.ts';
import { alone, caseAt, control, controlAt, everywhere, maxExtras, vars } from './map.ts';
import { unlessVectors } from './vectors.ts';

const load = (a: Assembler, r: number, at: number): void => a.memory([0x8b], r, at, { wide: true });
const store = (a: Assembler, r: number, at: number): void => a.memory([0x89], r, at, { wide: true });
const load32 = (a: Assembler, r: number, at: number): void => a.memory([0x8b], r, at);
const jump = (a: Assembler, condition: 'always' | 'e' | 'ne' | 'ae' | 'b', to: string): void => {
  const long = { always: [0xe9], e: [0x0f, 0x84], ne: [0x0f, 0x85], ae: [0x0f, 0x83], b: [0x0f, 0x82] };
  a.put(...long[condition]);
  a.rel32(to);
};
/** mov r64, imm64 */
const imm64 = (a: Assembler, r: number, value: bigint): void => {
  a.put(r > 7 ? 0x49 : 0x48, 0xb8 | (r & 7));
  a.u64(value);
};
const kept = [vars.nextCase, vars.nextResult, vars.casesLeft, vars.index] as const;

/** Goes on behind itself where the group takes one more case, or at its end with nothing left over; else at the group's first case. */
export const emitGroupClosed = (a: Assembler): void => {
  load32(a, 0, vars.grouped);
  a.put(0x85, 0xc0); // test eax, eax
  jump(a, 'e', 'groupClosed');
  a.memory([0x3b], 0, control + controlAt.group); // cmp eax, [group]
  a.put(0x73); // jae
  a.rel8('groupFull');
  a.memory([0xf6], 0, vars.groupFlags, { imm: [alone] });
  a.put(0x75); // jne
  a.rel8('groupFull');
  a.memory([0x83], 7, vars.casesLeft, { imm: [0] }); // cmp dword [casesLeft], 0
  a.put(0x74);
  a.rel8('groupFull');
  load(a, 6, vars.nextCase);
  a.put(0x8a, 0x46, caseAt.flags); // mov al, [rsi+flags]
  a.memory([0x32], 0, vars.groupFlags); // xor al, [groupFlags]
  a.put(0xa8, everywhere | alone); // test al, imm
  jump(a, 'e', 'groupOpen');
  a.label('groupFull');
  load(a, 13, vars.pending);
  a.put(0x4d, 0x85, 0xed); // test r13, r13
  jump(a, 'e', 'groupStands');
  load(a, 14, vars.nextResult);
  a.label('groupSweep');
  a.put(0xe8);
  a.rel32('sweep');
  load(a, 6, vars.nextResult);
  a.put(0x4c, 0x39, 0xf6); // cmp rsi, r14
  jump(a, 'e', 'groupStands');
  // Something is left over, at [RSI, R14): its lines become extra ones, or all is compared after each case.
  load32(a, 1, vars.extra);
  a.put(0x48, 0x8d, 0x3d); // lea rdi, [extras]
  a.u32(vars.extras - (a.here() + 4));
  a.put(0x83, 0xca, 0xff); // or edx, -1: no line
  a.label('leftOver');
  a.put(0x8b, 0x06, 0x83, 0xe0, -lineSize & 0xff); // mov eax, [rsi]; and eax, -lineSize
  a.put(0x39, 0xd0, 0x74); // cmp eax, edx; je
  a.rel8('sameLine');
  a.put(0x89, 0xc2, 0x83, 0xf9, maxExtras); // mov edx, eax; cmp ecx, maxExtras
  jump(a, 'e', 'tooMany');
  a.put(0x89, 0x04, 0x8f, 0xff, 0xc1); // mov [rdi+rcx*4], eax; inc ecx
  a.label('sameLine');
  a.put(0x48, 0x83, 0xc6, 0x10, 0x4c, 0x39, 0xf6); // add rsi, 16; cmp rsi, r14
  jump(a, 'ne', 'leftOver');
  a.memory([0x89], 1, vars.extra);
  jump(a, 'always', 'groupAgain');
  a.label('tooMany');
  a.memory([0xc6], 0, vars.exact, { imm: [1] });
  a.memory([0xc7], 0, vars.extra, { imm: [0, 0, 0, 0] });
  a.label('groupAgain');
  for (const [i, at] of kept.entries()) {
    load(a, 0, vars.group + 8 * i);
    store(a, 0, at);
  }
  jump(a, 'always', 'groupBegins');
  a.label('groupStands');
  a.memory([0xc6], 0, vars.exact, { imm: [0] });
  a.memory([0xc7], 0, vars.extra, { imm: [0, 0, 0, 0] });
  load32(a, 0, vars.index);
  a.memory([0x89], 0, control + controlAt.verified);
  a.label('groupClosed');
  a.label('groupBegins');
  a.memory([0xc7], 0, vars.grouped, { imm: [0, 0, 0, 0] });
  a.label('groupOpen');
};
/** Where none is open the case opens one. It counts. */
export const emitGroupOpened = (a: Assembler): void => {
  a.memory([0x83], 7, vars.grouped, { imm: [0] });
  jump(a, 'ne', 'groupGoesOn');
  for (const [i, at] of kept.entries()) {
    load(a, 0, at);
    store(a, 0, vars.group + 8 * i);
  }
  a.put(0x31, 0xc0); // xor eax, eax
  store(a, 0, vars.pending);
  load(a, 6, vars.nextCase);
  a.put(0x8a, 0x4e, caseAt.flags); // mov cl, [rsi+flags]
  a.memory([0x88], 1, vars.groupFlags);
  a.memory([0x80], 7, vars.exact, { imm: [0] });
  jump(a, 'ne', 'hotFound');
  a.memory([0x83], 7, control + controlAt.group, { imm: [0] });
  jump(a, 'e', 'hotFound');
  a.put(0xf6, 0xc1, alone); // test cl, alone
  jump(a, 'ne', 'hotFound');
  imm64(a, 0, stackPages);
  a.put(0xf6, 0xc1, everywhere); // test cl, everywhere
  jump(a, 'e', 'hotFound');
  imm64(a, 0, allPages);
  a.label('hotFound');
  store(a, 0, vars.hot);
  a.label('groupGoesOn');
  a.memory([0xff], 0, vars.grouped); // inc dword
};
/** Of the pages in R13, which may differ, compares the hot ones' lines and takes them out. Clobbers what `sweep` does. */
export const emitLinesOfGroup = (a: Assembler, name: 'narrow' | 'wide'): void => {
  load(a, 12, vars.hot);
  a.put(0x4d, 0x21, 0xec); // and r12, r13
  jump(a, 'e', `${name}Cold`);
  a.put(0x4d, 0x31, 0xe5); // xor r13, r12
  a.memory([0x09], 12, vars.pending, { wide: true });
  for (const { name: routine, page } of name === 'narrow' ? stacks : [...stacks, ...others]) {
    a.put(0x49, 0x0f, 0xba, 0xe4, page, 0x73, 0x05, 0xe8); // bt r12, page; jnc; call
    a.rel32(routine);
  }
  a.label(`${name}Cold`);
  a.memory([0x83], 7, vars.extra, { imm: [0] });
  jump(a, 'e', `${name}NoExtras`);
  a.put(0x45, 0x31, 0xe4); // xor r12d, r12d
  a.label(`${name}Extra`);
  a.put(0x48, 0x8d, 0x05); // lea rax, [extras]
  a.u32(vars.extras - (a.here() + 4));
  a.put(0x42, 0x8b, 0x34, 0xa0); // mov esi, [rax+r12*4]
  unlessVectors(a, `${name}ExtraWords`);
  a.put(0xe8);
  a.rel32('line');
  jump(a, 'always', `${name}ExtraNext`);
  a.label(`${name}ExtraWords`);
  a.put(0xe8);
  a.rel32('lineWords');
  a.label(`${name}ExtraNext`);
  a.put(0x41, 0xff, 0xc4); // inc r12d
  a.memory([0x3b], 12, vars.extra); // cmp r12d, [extra]
  jump(a, 'ne', `${name}Extra`);
  a.label(`${name}NoExtras`);
};
