// The part of the native runner that works through requests: maps a machine, writes, undoes what a program did, and finds what the guest changed.
// RSI is the request, R15 the variables; a log of touched memory says what to put back from the pristine copy.

import { at, control, op, recordAt, recordBytes } from '../kvm/layout.ts';
import type { Assembler } from './assembler.ts';
import * as place from './places.ts';
import { recordRoom, sys, v } from './runner-frame.ts';

/** REP MOVSB. */
const copy = (a: Assembler): void => a.bytes(0xf3, 0xa4);
const dword = (value: number): readonly number[] => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];

/** Bytes of a page of nothing but the fill byte that are looked at together: half of what comparing two copies reads, and no branch in between. */
const chunk = 256;
/** XMM7: the fill byte, 16 times. Clobbers XMM0 to XMM6 and RAX. */
const plainChunk = (a: Assembler): void => {
  for (let i = 0; i < chunk / 16; i++) {
    const x = i < 4 ? i : 4 + (i % 3);
    a.bytes(0x66, 0x0f, 0x6f, 0xc7 | (x << 3)); // MOVDQA XMMx, XMM7
    a.bytes(0x66, 0x41, 0x0f, 0x74, 0x80 | (x << 3), 16 * i, 0, 0, 0); // PCMPEQB XMMx, [R8 + 16 i]
    if (i >= 4) a.bytes(0x66, 0x0f, 0xdb, 0xc0 | ((i % 4) << 3) | x); // PAND XMM(i mod 4), XMMx
  }
  for (let i = 1; i < 4; i++) a.bytes(0x66, 0x0f, 0xdb, 0xc0 | i); // PAND XMM0, XMMi
  a.bytes(0x66, 0x0f, 0xd7, 0xc0); // PMOVMSKB EAX, XMM0
};
/** Words that the guest changed, 24 bytes each: address u32, 8 u32, new, old. RDI: record, R15: variables. */
export const compare = (a: Assembler): void => {
  a.move('r14', 'rdi');
  a.add('rdi', at.end);
  a.set('r13', 0); // words
  a.set('rax', place.sharedBase + BigInt(place.fillAt));
  a.bytes(0x66, 0x0f, 0x6f, 0x38); // MOVDQA XMM7, [RAX]
  a.set('r11', place.sharedBase + BigInt(place.guestAt));
  a.set('r12', place.sharedBase + BigInt(place.writableAt));
  a.load('rbx', 'r12', 0); // pages left
  a.label('page');
  a.compare('rbx', 0);
  a.jump('compared', 'equal');
  a.add('rbx', -1);
  a.add('r12', 8);
  a.load('r8', 'r12', 0);
  a.move('rbp', 'r8');
  a.bytes(0x48, 0xc1, 0xed, 12); // SHR RBP, 12
  a.add('r8', 'r11');
  a.move('rcx', 'r8');
  a.add('rcx', 0x1000); // end
  a.bytes(0x41, 0x80, 0xbc, 0x2f, ...dword(v.plain), 0); // CMP byte [R15 + RBP + plain], 0
  a.jump('copies', 'equal');
  a.label('plain');
  plainChunk(a);
  a.compare('rax', 0xffff);
  a.jump('copies', 'notEqual');
  a.add('r8', chunk);
  a.compare('r8', 'rcx');
  a.jump('plain', 'below');
  a.jump('page');
  a.label('copies');
  a.move('r9', 'r8');
  a.add('r9', place.knownAt - place.guestAt);
  a.label('block');
  for (let i = 0; i < 4; i++) a.bytes(0xf3, 0x41, 0x0f, 0x6f, 0x40 | (i << 3), 16 * i); // MOVDQU XMMi, [R8 + 16 i]
  for (let i = 0; i < 4; i++) a.bytes(0x66, 0x41, 0x0f, 0x74, 0x41 | (i << 3), 16 * i); // PCMPEQB XMMi, [R9 + 16 i]
  for (let i = 1; i < 4; i++) a.bytes(0x66, 0x0f, 0xdb, 0xc0 | i); // PAND XMM0, XMMi
  a.bytes(0x66, 0x0f, 0xd7, 0xc0); // PMOVMSKB EAX, XMM0
  a.compare('rax', 0xffff);
  a.jump('differs', 'notEqual');
  a.label('nextBlock');
  a.add('r8', 64);
  a.add('r9', 64);
  a.compare('r8', 'rcx');
  a.jump('block', 'below');
  a.jump('page');
  a.label('differs');
  for (let i = 0; i < 8; i++) {
    a.load('rax', 'r8', 8 * i);
    a.load('r10', 'r9', 8 * i);
    a.compare('rax', 'r10');
    a.jump(`same${i}`, 'equal');
    a.store('r9', 8 * i, 'rax');
    a.store('rdi', 8, 'rax');
    a.store('rdi', 16, 'r10');
    a.move('rax', 'r8');
    a.subtract('rax', 'r11');
    a.add('rax', 8 * i);
    a.store('rdi', 0, 'rax', 4);
    a.set('r10', 8);
    a.store('rdi', 4, 'r10', 4);
    a.add('rdi', 24);
    a.add('r13', 1);
    a.move('rdx', 'rax');
    a.set('rax', 8);
    noteTouched(a, `word${i}`);
    a.label(`same${i}`);
  }
  a.jump('nextBlock');
  a.label('compared');
  a.store('r14', at.ranges, 'r13', 4);
  a.move('rax', 'rdi');
  a.subtract('rax', 'r14');
  a.store('r14', 4, 'rax', 4);
  a.store('r15', v.record, 'rdi');
  a.load('rsi', 'r15', v.request);
  a.jump('nextOp');
};
/** Pushes RDX (address) and RAX (length) on the log; their pages do not hold the fill byte alone any more. Uses RAX, RBP. R15: variables. */
const noteTouched = (a: Assembler, name: string): void => {
  a.load('rbp', 'r15', v.logged);
  a.store('rbp', 0, 'rdx', 4);
  a.store('rbp', 4, 'rax', 4);
  a.add('rbp', 8);
  a.store('r15', v.logged, 'rbp');
  a.add('rax', 'rdx');
  a.add('rax', 0xfff);
  a.bytes(0x48, 0xc1, 0xe8, 12); // SHR RAX, 12: behind the last page
  a.move('rbp', 'rdx');
  a.bytes(0x48, 0xc1, 0xed, 12); // SHR RBP, 12
  a.label(`${name}Page`);
  a.bytes(0x41, 0xc6, 0x84, 0x2f, ...dword(v.plain), 0); // MOV byte [R15 + RBP + plain], 0
  a.add('rbp', 1);
  a.compare('rbp', 'rax');
  a.jump(`${name}Page`, 'below');
};
/** Which pages hold the fill byte alone, as furnished. Clobbers RCX, RSI, RDI. */
const plainAgain = (a: Assembler): void => {
  a.set('rsi', place.sharedBase + BigInt(place.plainAt));
  a.move('rdi', 'r15');
  a.add('rdi', v.plain);
  a.set('rcx', place.plainBytes);
  copy(a);
};
const logStart = place.sharedBase + BigInt(place.logAt);
export const work = (a: Assembler): void => {
  a.label('nextOp'); // RSI: the request that is done
  a.load('rax', 'rsi', 4, 4);
  a.add('rsi', 'rax');
  a.label('op');
  a.store('r15', v.request, 'rsi');
  a.load('rax', 'rsi', 0, 4);
  for (const [name, value] of Object.entries(op)) {
    a.compare('rax', value);
    a.jump(name, 'equal');
  }
  a.label('machine'); // count u32 at 8, then from 16 on: address, length, protection, offset
  a.set('rdi', place.lowest);
  a.set('rsi', place.guestMax - place.lowest);
  a.syscall(sys.munmap);
  a.load('r12', 'r15', v.request);
  a.load('r13', 'r12', 8, 4);
  a.add('r12', 16);
  a.label('mapping');
  a.compare('r13', 0);
  a.jump('mapped', 'equal');
  for (const [i, r] of (['rdi', 'rsi', 'rdx', 'r9'] as const).entries()) a.load(r, 'r12', 8 * i);
  a.set('r10', 0x8011); // MAP_SHARED | MAP_FIXED | MAP_POPULATE
  a.set('r8', 3);
  a.syscall(sys.mmap);
  a.load('rdi', 'r12', 0);
  a.compare('rax', 'rdi');
  a.jump('fail', 'notEqual');
  a.add('r12', 32);
  a.add('r13', -1);
  a.jump('mapping');
  a.label('mapped');
  a.set('rax', logStart);
  a.store('r15', v.logged, 'rax');
  plainAgain(a);
  a.load('rsi', 'r15', v.request);
  a.jump('nextOp');

  a.label('program');
  a.load('rax', 'r15', v.record);
  a.set('rcx', place.sharedBase + BigInt(recordAt + recordBytes - recordRoom));
  a.compare('rcx', 'rax');
  a.jump('end', 'below');
  a.set('rcx', place.sharedBase);
  a.load('rax', 'rcx', control.programs, 4);
  a.add('rax', 1);
  a.store('rcx', control.programs, 'rax', 4);
  a.set('r11', place.sharedBase + BigInt(place.guestAt));
  a.set('r12', logStart);
  a.label('undo');
  a.load('rax', 'r15', v.logged);
  a.compare('r12', 'rax');
  a.jump('undone', 'equal');
  for (const to of [0, place.knownAt - place.guestAt]) {
    a.load('rdi', 'r12', 0, 4);
    a.add('rdi', 'r11');
    a.move('rsi', 'rdi');
    a.add('rsi', place.pristineAt - place.guestAt);
    a.add('rdi', to);
    a.load('rcx', 'r12', 4, 4);
    copy(a);
  }
  a.add('r12', 8);
  a.jump('undo');
  a.label('undone');
  a.set('rax', logStart);
  a.store('r15', v.logged, 'rax');
  plainAgain(a);
  a.load('rsi', 'r15', v.request);
  a.jump('nextOp');

  a.label('write');
  a.set('r11', place.sharedBase + BigInt(place.guestAt));
  for (const to of [0, place.knownAt - place.guestAt]) {
    a.load('rsi', 'r15', v.request);
    a.load('rdi', 'rsi', 8, 4);
    a.load('rcx', 'rsi', 12, 4);
    a.add('rdi', 'r11');
    a.add('rdi', to);
    a.add('rsi', 16);
    copy(a);
  }
  a.load('rsi', 'r15', v.request);
  a.load('rdx', 'rsi', 8, 4);
  a.load('rax', 'rsi', 12, 4);
  noteTouched(a, 'written');
  a.jump('nextOp');
};
