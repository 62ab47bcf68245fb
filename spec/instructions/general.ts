// General registers by number, 0 to 15. Said in full, as segments are: a name that changes from call to call is slow to look up, and most cases
// look a register up. SDM volume 2, Instruction Format (REX Prefixes).

import type { Draft } from './copy.ts';
import type { CpuState } from './vocabulary.ts';

export const general = (s: CpuState, n: number): bigint => {
  switch (n) {
    case 0:
      return s.rax;
    case 1:
      return s.rcx;
    case 2:
      return s.rdx;
    case 3:
      return s.rbx;
    case 4:
      return s.rsp;
    case 5:
      return s.rbp;
    case 6:
      return s.rsi;
    case 7:
      return s.rdi;
    case 8:
      return s.r8;
    case 9:
      return s.r9;
    case 10:
      return s.r10;
    case 11:
      return s.r11;
    case 12:
      return s.r12;
    case 13:
      return s.r13;
    case 14:
      return s.r14;
    default:
      return s.r15;
  }
};
export const setGeneral = (s: Draft, n: number, value: bigint): void => {
  switch (n) {
    case 0:
      s.rax = value;
      return;
    case 1:
      s.rcx = value;
      return;
    case 2:
      s.rdx = value;
      return;
    case 3:
      s.rbx = value;
      return;
    case 4:
      s.rsp = value;
      return;
    case 5:
      s.rbp = value;
      return;
    case 6:
      s.rsi = value;
      return;
    case 7:
      s.rdi = value;
      return;
    case 8:
      s.r8 = value;
      return;
    case 9:
      s.r9 = value;
      return;
    case 10:
      s.r10 = value;
      return;
    case 11:
      s.r11 = value;
      return;
    case 12:
      s.r12 = value;
      return;
    case 13:
      s.r13 = value;
      return;
    case 14:
      s.r14 = value;
      return;
    default:
      s.r15 = value;
  }
};
