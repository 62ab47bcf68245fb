// Control registers: what may be written into them, which combinations are refused, and what of CR0 is shown without privilege.
// Intel SDM volume 3, Control Registers; volume 2: MOV—Move to/from Control Registers, LMSW, SMSW, CLTS, HLT.

import { readTable } from '../access.ts';
import { cr0, cr4, efer, gpr, ones } from '../bits.ts';
import { assignWord, isMemory, value } from '../operands.ts';
import type { CpuFeature } from '../vocabulary.ts';
import { controlRegisterExists } from '../legal.ts';
import { gp, has, ia32e, in64, leave, low, register, setRegister, ud, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';
import { umip } from './table.ts';

const refuse = (): never => gp('control.reserved');
const combination = (): never => gp('control.combination');
/** Writable bits of CR0; the other low ones are ignored, the high half must be 0. */
const cr0Bits = cr0.PE | cr0.MP | cr0.EM | cr0.TS | cr0.NE | cr0.WP | cr0.AM | cr0.NW | cr0.CD | cr0.PG;
/** PDPTEs are loaded with CR3, CR0 or CR4: bits 2:1, 8:5 and those above the width are reserved. SDM volume 3, PDPTE Registers. A guest with nested
 *  paging on AMD's processors has them read, and refused, at each walk. AMD APM volume 2, Nested Paging: Legacy PAE Mode. */
const checkPdptes = (w: Work, base: bigint): void => {
  const at = base & 0xffffffe0n;
  const width = BigInt(w.cpu.physicalBits);
  const kept = w.s.cr0;
  for (let k = 0; k < 4; k++) {
    const entry = readPhysical(w, Number(at) + 8 * k);
    if ((entry & 1n) === 0n || (entry & (0x1e6n | (ones(8) & ~((1n << width) - 1n)))) === 0n) continue;
    if (w.cpu.vendor === 'intel') gp('control.pdpte');
    w.also.push({ vector: 13, error: 0, rule: 'control.pdpte' });
    break;
  }
  w.s.cr0 = kept;
};
const readPhysical = (w: Work, at: number): bigint => {
  const off = w.s.cr0;
  w.s.cr0 &= ~0x80000000n;
  try {
    return readTable(w, BigInt(at), 8);
  } finally {
    w.s.cr0 = off;
  }
};
const pae = (w: Work): boolean => (low(w.s.cr4) & cr4.PAE) !== 0 && !ia32e(w.s);
const paging = (c: number): boolean => (c & cr0.PG) !== 0;

const toCr0 = (w: Work, image: bigint): void => {
  const { s } = w;
  if (image >> 32n !== 0n) refuse();
  const now = low(s.cr0);
  const next = low(image);
  if (paging(next) && (next & cr0.PE) === 0) combination();
  if ((next & cr0.NW) !== 0 && (next & cr0.CD) === 0) combination();
  if (paging(now) && !paging(next)) {
    if (in64(s) || (low(s.cr4) & cr4.PCIDE) !== 0) combination();
  }
  const enters = !paging(now) && paging(next);
  if (enters && (low(s.efer) & efer.LME) !== 0 && ((low(s.cr4) & cr4.PAE) === 0 || (s.cs.access & 0x2000) !== 0)) combination();
  // SDM volume 3, Initializing IA-32e Mode: a TSS of 16 bits. Other vendors' manuals do not name it.
  if (enters && (low(s.efer) & efer.LME) !== 0 && (s.tr.access & 0xd) === 1) {
    if (w.cpu.vendor !== 'intel') undecided('activating IA-32e mode with a TSS of 16 bits');
    combination();
  }
  if ((low(s.cr4) & cr4.CET) !== 0 && (next & cr0.WP) === 0) combination();
  const value = (now & ~cr0Bits) | (next & cr0Bits) | cr0.ET;
  s.cr0 = BigInt(value >>> 0);
  leave(w, 'cr0', BigInt(~(cr0Bits | cr0.ET) >>> 0));
  if (enters && (low(s.efer) & efer.LME) !== 0) s.efer |= BigInt(efer.LMA);
  if (paging(now) && !paging(next)) s.efer &= ~BigInt(efer.LMA);
  w.walks.length = 0;
  if (paging(next) && pae(w) && ((now ^ next) & (cr0.PG | cr0.CD | cr0.NW)) !== 0) checkPdptes(w, s.cr3);
  // Leaving or entering protected mode with segments loaded in the other is not followed further than the segments say.
  if (((now ^ next) & cr0.PE) !== 0) undecided('the change between real-address and protected mode');
};
const toCr3 = (w: Work, image: bigint): void => {
  const { s } = w;
  const pcid = (low(s.cr4) & cr4.PCIDE) !== 0;
  let value = image;
  if (pcid) value &= ~(1n << 63n);
  if (w.i.code === 64 && value >> BigInt(w.cpu.physicalBits) !== 0n) {
    if (has(w, 'lam')) undecided('LAM bits of CR3');
    refuse();
  }
  s.cr3 = value;
  // Bits that mean nothing are not said to be kept. SDM volume 3, table Use of CR3.
  leave(w, 'cr3', pcid ? 0n : ia32e(s) ? 0xfe7n : pae(w) ? 0x1fn : 0xfe7n);
  w.walks.length = 0;
  if (paging(low(s.cr0)) && pae(w)) checkPdptes(w, value);
};
/** Bits of CR4 by the feature that makes them writable. */
const cr4Features: readonly (readonly [bit: number, feature: CpuFeature | undefined])[] = [
  [cr4.VME, 'vme'],
  [cr4.PVI, 'vme'],
  [cr4.TSD, 'tsd'],
  [cr4.DE, 'de'],
  [cr4.PSE, 'pse'],
  [cr4.PAE, 'pae'],
  [cr4.PGE, 'pge'],
  [cr4.UMIP, 'umip'],
  [cr4.LA57, 'la57'],
  [cr4.FSGSBASE, 'fsgsbase'],
  [cr4.PCIDE, 'pcid'],
  [cr4.OSXSAVE, 'xsave'],
  [cr4.SMEP, 'smep'],
  [cr4.SMAP, 'smap'],
  [cr4.PKE, 'pku'],
];
/** Reserved on every processor: 15, 26, 29 to 31, 33 to 63. Of 13, 14, 19, 23 to 25, 27, 28 and 32 the vocabulary does not tell. */
const cr4Reserved = 0xfffffffee4008000n & ~(1n << 32n);
const cr4Unknown = 0x11b886000n | 0x100000000n;
/** Bits that every processor with SSE2 has, and of which nothing is known on others. */
const cr4Older = cr4.MCE | cr4.PCE | cr4.OSFXSR | cr4.OSXMMEXCPT;
const toCr4 = (w: Work, image: bigint): void => {
  const { s } = w;
  const now = low(s.cr4);
  if ((image & cr4Reserved) !== 0n) refuse();
  if (((image ^ s.cr4) & cr4Unknown) !== 0n) undecided('bits of CR4 of which support is not known');
  const next = low(image);
  if ((next & ~now & cr4Older) !== 0 && !has(w, 'sse2')) undecided('bits of CR4 of which support is not known');
  for (const [bit, feature] of cr4Features)
    if ((next & bit) !== 0 && (now & bit) === 0 && feature !== undefined && !has(w, feature)) refuse();
  const long = ia32e(s);
  if (long && ((next & cr4.PAE) === 0 || ((now ^ next) & cr4.LA57) !== 0)) combination();
  if ((next & cr4.PCIDE) !== 0 && (now & cr4.PCIDE) === 0 && (!long || (s.cr3 & 0xfffn) !== 0n)) combination();
  s.cr4 = image;
  w.walks.length = 0;
  const watched = cr4.PAE | cr4.PSE | cr4.PGE | cr4.SMEP;
  if (paging(low(s.cr0)) && (now & cr4.PAE) !== (next & cr4.PAE)) undecided('a change of the paging mode under the program');
  if (paging(low(s.cr0)) && pae(w) && ((now ^ next) & watched) !== 0) checkPdptes(w, s.cr3);
};
const moveTo: Readonly<Record<number, (w: Work, image: bigint) => void>> = {
  0: toCr0,
  2: (w, image) => {
    w.s.cr2 = image;
  },
  3: toCr3,
  4: toCr4,
  8: (w, image) => {
    if (image >> 4n !== 0n) refuse();
    w.s.cr8 = image;
  },
};
const MOV: Meaning = (w) => {
  if (!controlRegisterExists(w)) ud('ud.register');
  const size = w.i.code === 64 ? 8 : 4;
  const n = w.i.reg;
  if (w.i.form.operands[0]?.at === 'C') {
    moveTo[n]?.(w, register(w, w.i.rm, size));
    return;
  }
  const name = (['cr0', '', 'cr2', 'cr3', 'cr4', '', '', '', 'cr8'] as const)[n] as 'cr0';
  setRegister(w, w.i.rm, size, w.s[name] & ones(size));
};
const SMSW: Meaning = (w) => {
  umip(w);
  const word = w.s.cr0 & 0xffffn;
  if (isMemory(w, 0)) {
    assignWord(w, word);
    return;
  }
  const size = w.i.operandSize;
  // The low 16 bits are said; above them CR0, or nothing defined.
  setRegister(w, w.i.rm, size, w.s.cr0 & ones(size));
  if (size !== 2) leave(w, gpr[w.i.rm] as string, 0xffffffffffff0000n & ones(size));
};
const LMSW: Meaning = (w) => {
  const image = Number(value(w, 0));
  const now = low(w.s.cr0);
  // PE may be set, not cleared.
  const next = (now & ~(cr0.MP | cr0.EM | cr0.TS)) | (image & (cr0.PE | cr0.MP | cr0.EM | cr0.TS));
  if (((now ^ next) & cr0.PE) !== 0) undecided('the change to protected mode');
  w.s.cr0 = BigInt(next >>> 0);
};
export const control: Meanings = {
  MOV,
  SMSW,
  LMSW,
  CLTS: (w) => {
    w.s.cr0 &= ~BigInt(cr0.TS);
  },
  HLT: (w) => {
    w.halted = true;
  },
};
