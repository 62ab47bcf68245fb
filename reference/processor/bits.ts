// Bits of RFLAGS, control registers, EFER and descriptors, and the vectors of exceptions, by their names in the manual.
// SDM volume 3, System Flags and Fields in the EFLAGS Register; Control Registers; Exception and Interrupt Vectors.

export const CF = 1;
export const PF: number = 1 << 2;
export const AF: number = 1 << 4;
export const ZF: number = 1 << 6;
export const SF: number = 1 << 7;
export const TF: number = 1 << 8;
export const IF: number = 1 << 9;
export const DF: number = 1 << 10;
export const OF: number = 1 << 11;
export const IOPL: number = 3 << 12;
export const NT: number = 1 << 14;
export const RF: number = 1 << 16;
export const VM: number = 1 << 17;
export const AC: number = 1 << 18;
export const VIF: number = 1 << 19;
export const VIP: number = 1 << 20;
export const ID: number = 1 << 21;
export const ARITHMETIC: number = CF | PF | AF | ZF | SF | OF;

export const CR0_PE = 1;
export const CR0_MP: number = 1 << 1;
export const CR0_EM: number = 1 << 2;
export const CR0_TS: number = 1 << 3;
export const CR0_ET: number = 1 << 4;
export const CR0_NE: number = 1 << 5;
export const CR0_WP: number = 1 << 16;
export const CR0_AM: number = 1 << 18;
export const CR0_NW: number = 1 << 29;
export const CR0_CD: number = 1 << 30;
export const CR0_PG: number = 1 << 31;

export const CR4_VME = 1;
export const CR4_PVI: number = 1 << 1;
export const CR4_TSD: number = 1 << 2;
export const CR4_DE: number = 1 << 3;
export const CR4_PSE: number = 1 << 4;
export const CR4_PAE: number = 1 << 5;
export const CR4_PGE: number = 1 << 7;
export const CR4_PCE: number = 1 << 8;
export const CR4_OSFXSR: number = 1 << 9;
export const CR4_OSXMMEXCPT: number = 1 << 10;
export const CR4_UMIP: number = 1 << 11;
export const CR4_LA57: number = 1 << 12;
export const CR4_FSGSBASE: number = 1 << 16;
export const CR4_PCIDE: number = 1 << 17;
export const CR4_OSXSAVE: number = 1 << 18;
export const CR4_SMEP: number = 1 << 20;
export const CR4_SMAP: number = 1 << 21;

export const EFER_SCE = 1;
export const EFER_LME: number = 1 << 8;
export const EFER_LMA: number = 1 << 10;
export const EFER_NXE: number = 1 << 11;

export const UNUSABLE: number = 1 << 16;
export const ACCESS_S: number = 1 << 4;
export const ACCESS_L: number = 1 << 13;
export const ACCESS_DB: number = 1 << 14;

export const DE = 0;
export const DB = 1;
export const NMI = 2;
export const BP = 3;
export const OF_TRAP = 4;
export const BR = 5;
export const UD = 6;
export const NM = 7;
export const DOUBLE_FAULT = 8;
export const TS = 10;
export const NP = 11;
export const SS_FAULT = 12;
export const GP = 13;
export const PAGE_FAULT = 14;
export const ALIGNMENT = 17;

/** DR6 bits. */
export const DR6_BD: number = 1 << 13;
export const DR6_BS: number = 1 << 14;
export const DR6_BT: number = 1 << 15;
