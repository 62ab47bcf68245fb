// Which states a user process of Linux can be put into, and why the others cannot.
// Linux, arch/x86/include/asm/segment.h: __USER32_CS 23H, __USER_DS 2BH, __USER_CS 33H, all flat.

import type { CpuState, Segment } from '../../../spec/instructions/vocabulary.ts';
import { low } from '../../numbers.ts';

const USER_CS32 = 0x23;
const USER_DS = 0x2b;
const USER_CS = 0x33;
const flat = 0xffff_ffff;
/** Access rights: S, P, DPL 3, G; L or D/B; types data read/write accessed and code read accessed. */
const dataRights = 0xc0f3;
const codeRights = { [USER_CS]: 0xa0fb, [USER_CS32]: 0xc0fb } as const;
const unusable = 1 << 16;

/** RFLAGS: what IRETQ in ring 3 loads as asked (CF PF AF ZF SF TF DF OF NT RF AC ID), and what must be as it is: bit 1 and IF set, all else clear. */
const loadable = 0x25_4dd5;
const fixed = 0x202;
/** CR0: PE, EM, TS, AM. CR4: VME, PVI. */
const PE = 1;
const EM_TS = 0xc;
const AM = 1 << 18;
const VME_PVI = 3;

const isFlat = (s: Segment, selector: number, rights: number): boolean =>
  s.selector === selector && s.base === 0n && s.limit === flat && s.access === rights;
const data = (s: Segment, based: boolean): boolean =>
  (based || s.base === 0n) &&
  ((s.selector === USER_DS && s.limit === flat && s.access === dataRights) || (s.selector < 4 && (s.access & unusable) !== 0));

/** 64 or 32 where the state is one of ring 3 of Linux, or why it is not. `bases`: FS and GS can have any base in 64-bit mode. */
export const bitnessOf = (s: CpuState, bases: boolean): 64 | 32 | string => {
  const wide = isFlat(s.cs, USER_CS, codeRights[USER_CS]);
  if (!wide && !isFlat(s.cs, USER_CS32, codeRights[USER_CS32])) return 'code segments other than 23H and 33H';
  if (wide && (low(s.efer) & 0x400) === 0) return '64-bit code outside IA-32e mode';
  if (!isFlat(s.ss, USER_DS, dataRights)) return 'stack segments other than 2BH';
  if (!data(s.ds, false) || !data(s.es, false)) return 'data segments other than 2BH and null';
  if (!data(s.fs, bases && wide) || !data(s.gs, bases && wide)) return 'FS or GS other than 2BH and null';
  if (s.rflags > 0xffff_ffffn || (low(s.rflags) & ~loadable) !== fixed) return 'RFLAGS that ring 3 cannot have (IF is 1 and IOPL 0)';
  const [cr0, cr4] = [low(s.cr0), low(s.cr4)];
  if ((cr0 & PE) === 0 || (cr0 & EM_TS) !== 0) return 'CR0.EM or CR0.TS';
  if ((cr0 & AM) === 0) return 'CR0.AM is 1 on the host';
  if ((cr4 & VME_PVI) !== 0) return 'CR4.VME or CR4.PVI';
  if ((low(s.dr7) & 0xff) !== 0) return 'breakpoints in DR7';
  if (s.shadow !== 'none') return 'an interrupt shadow';
  if (!wide && s.rip > 0xffff_ffffn) return 'a RIP beyond 32 bits';
  return wide ? 64 : 32;
};
