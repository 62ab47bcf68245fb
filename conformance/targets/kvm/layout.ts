// Where everything stands in the memory that a processor target shares with its child: requests in, records out, 8-byte aligned.
// Registers lie as KVM has them (struct kvm_regs, kvm_sregs of asm/kvm.h), so that the child copies and never converts.

/** Control page: progress that survives the child, and what it says about itself. */
export const control = { programs: 0, runs: 4, error: 8, greeting: 12, text: 64 } as const;
const controlBytes = 16384;
export const requestAt: number = controlBytes;
export const requestBytes: number = 4 << 20;
export const recordAt: number = requestAt + requestBytes;
export const recordBytes: number = 8 << 20;
export const sharedBytes: number = recordAt + recordBytes;

/** First word of a request; the second is its length in bytes, itself included. */
export const op = { end: 0, machine: 1, program: 2, write: 3, run: 4 } as const;
/** First word of a record of a run, from a child that ran it; the second is its length. */
export const kind = { stop: 1, shutdown: 2, halt: 3, limit: 4, unsupported: 5, exception: 6 } as const;

/** Byte offsets in a run request and in its record. */
export const at = {
  regs: 8,
  sregs: 152,
  debug: 464,
  msrs: 512,
  shadow: 584,
  /** In a request: instructions at most. In a record: the number of the stop. */
  limit: 588,
  stop: 588,
  /** In a record: number of port accesses and of changed ranges, error code and number of the exception. */
  ports: 592,
  ranges: 596,
  errorCode: 600,
  vector: 604,
  end: 608,
} as const;
export const regsWords = 36;
export const sregsWords = 78;
/** In sregs: segments of 24 bytes cs ds es fs gs ss tr ldt, then as named. */
export const sregs = {
  gdt: 192,
  idt: 208,
  cr0: 224,
  cr2: 232,
  cr3: 240,
  cr4: 248,
  cr8: 256,
  efer: 264,
  apicBase: 272,
  bitmap: 280,
} as const;
/** IA32_STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE, SYSENTER_CS, ESP, EIP, TSC_AUX: SDM volume 4, Architectural MSRs. */
export const msrs: readonly number[] = [0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102, 0x174, 0x175, 0x176, 0xc000_0103];
