// Where the agent keeps things: its code and variables inside the machine's memory above what programs name, everything bulky above 1 MiB.
// One block of 64-bit words carries a processor state in and out; `stateAt` says where each register stands in it.

/** Inside the machine's memory: identity-mapped, supervisor, in every program's own page tables. */
export const agentCode = 0x30000;
export const agentCodeEnd = 0x38000;
/** State to load, and state as it was found. */
export const stateIn = 0x38000;
export const stateOut = 0x38200;
export const vars = {
  ownGdtr: 0x38406,
  ownIdtr: 0x38416,
  /** Far pointers: offset 8 bytes, selector 2. */
  enter: 0x38420,
  stack: 0x38430,
  nextCase: 0x38440,
  nextResult: 0x38448,
  casesLeft: 0x38450,
  index: 0x38458,
  /** Low byte: vector; high byte: which end, as in `ends`. */
  stop: 0x38460,
  /** The header of the case that runs, and where its words are. */
  thisCase: 0x38468,
  wordsAt: 0x38478,
  /** How memory is compared, as in `ways`. */
  way: 0x38480,
  /** A bit for each page that may hold something else than the fill byte before the case that runs. */
  furnished: 0x38488,
  /** The fill byte, eight times, and the dirty flags of the page-table entries that a quadword holds. */
  fillWord: 0x38490,
  dirtyFlags: 0x38498,
  /** Next case, next result, cases left and index as they were when the group began, in the order of those above. */
  group: 0x384a0,
  /** Pages that are hot in the group, and those of them that its cases may have written to. */
  hot: 0x384c0,
  pending: 0x384c8,
  /** Cases of the group so far; flags of its first. */
  grouped: 0x384d0,
  groupFlags: 0x384d4,
  /** 1: nothing is hot in this group. */
  exact: 0x384d5,
  /** Lines beside the hot ones that are compared after each case of this group: how many, and their addresses. */
  extra: 0x384d8,
  extras: 0x38500,
  /** 0; what a segment of 8086 addresses that has the selector of flat data finds in its place is not. */
  flat: 0x38580,
  /** Pages that the case that runs may write to by way of another's entry; a word of its state, as it were. */
  also: 0x38588,
} as const;
/** Base of a segment of 8086 addresses whose selector is that of flat data, 18H. */
export const base8086 = 0x180;
export const maxExtras = 16;
/** By repeated CMPSQ, by AVX-512, or word by word. */
export const ways = { repeated: 0, vectors: 1, unrolled: 2 } as const;
export const ownGdt = 0x38800;
export const ownGdtLimit = 0x15f;
/** In it: the agent's stack, with a base of the case's. */
export const ownStackSelector = 0x70;
export const agentStack = 0x3f000;
/** Bytes of the machine that are compared and put back: all below the agent. */
export const compared = 0x30000;

/** The agent's own page tables: 4 GiB, identity. */
export const ownPml4 = 0x100000;
/** What the host says, and how far the agent is. */
export const control = 0x180000;
export const controlAt = {
  magic: 0x00,
  cases: 0x04,
  /** Where the cases begin. */
  casesAt: 0x14,
  /** 1: send results over the serial port when done. */
  serial: 0x18,
  resultsEnd: 0x1c,
  /** Index of the case that is being run, and whether all are done. */
  progress: 0x20,
  done: 0x24,
  /** 1: a reset in the middle of a case is the end of that case only; the agent goes on with the next. */
  resume: 0x28,
  /** High byte of the count of the interval timer that a case may take; 0: no watchdog. */
  watchdog: 0x2c,
  /** How many cases are a group, after which hot pages are compared whole; 0: all is compared after each case. */
  group: 0x30,
  /** Cases whose groups are closed: their results stand. */
  verified: 0x34,
} as const;
export const controlSize = 0x40;
/** What a #VMEXIT takes for the host's state. */
export const hostSave = 0x190000;
export const magic = 0x564d4d43;
/** The machine as it is before any case, and as it is before the case that runs. */
export const pristine = 0x200000;
export const before = 0x240000;
/** The machine's usual state, where undoing a case's words finds it. */
export const usual: number = pristine + stateIn;
export const results = 0x2000000;
/** RAM that the agent needs, bytes. */
export const ramSize: number = 64 << 20;

/** Offsets in a state block. Table registers: limit in the two bytes before the base, as LGDT reads them. */
export const stateAt = {
  rax: 0x00,
  rcx: 0x08,
  rdx: 0x10,
  rbx: 0x18,
  rsp: 0x20,
  rbp: 0x28,
  rsi: 0x30,
  rdi: 0x38,
  r8: 0x40,
  r9: 0x48,
  r10: 0x50,
  r11: 0x58,
  r12: 0x60,
  r13: 0x68,
  r14: 0x70,
  r15: 0x78,
  rip: 0x80,
  rflags: 0x88,
  es: 0x90,
  cs: 0x92,
  ss: 0x94,
  ds: 0x96,
  fs: 0x98,
  gs: 0x9a,
  ldtr: 0x9c,
  tr: 0x9e,
  gdtrLimit: 0xa6,
  gdtrBase: 0xa8,
  idtrLimit: 0xb6,
  idtrBase: 0xb8,
  cr0: 0xc0,
  cr2: 0xc8,
  cr3: 0xd0,
  cr4: 0xd8,
  efer: 0xe0,
  dr6: 0xe8,
  dr7: 0xf0,
  cr8: 0xf8,
  fsBase: 0x100,
  gsBase: 0x108,
  kernelGsBase: 0x110,
  star: 0x118,
  lstar: 0x120,
  cstar: 0x128,
  sfmask: 0x130,
  sysenterCs: 0x138,
  sysenterEsp: 0x140,
  sysenterEip: 0x148,
  tscAux: 0x150,
} as const;
export const stateSize = 0x158;

/** A case: header, then words of {address / 8 u16, value u64}: those of its state that differ from the usual one, then those of memory that its bytes
 *  stand in. */
export const caseAt = { kind: 0, flags: 1, stateWords: 2, words: 4, furnished: 6 } as const;
export const caseHeader = 14;
export const caseWord = 10;
/** How to reach the mode: IA-32e; legacy protected at an outer level or virtual-8086; protected at CPL 0; real-address. */
export const kinds = { ia32e: 0, outer: 1, inner: 2, real: 3 } as const;
/** Flag of a case: MSRs beside EFER are loaded and read. */
export const withMsrs = 1;
/** The page table of the machines' first pages, as their furniture lays it. */
export const pageTable = 0xa000;
/** Flag of a case: dirty flags do not tell what is written, since upper-level entries are the program's; everything is compared. */
export const everywhere = 2;
/** Flag of a case: upper-level entries are the program's, but lead where all do; the paging structures are compared whole. */
export const wholeTables = 4;
/** Flag of a case: it writes to more than what is looked at in a group. */
export const alone = 8;
/** Flag of a case: a twentieth of the watchdog's time is enough. */
export const brief = 16;
/** High byte of how a case ended: an event, the last stop, a reset that followed shutdown, the watchdog, a #VMEXIT of no guest. */
export const ends = { event: 0, last: 1, shutdown: 2, late: 3, exited: 4 } as const;
/** In the same byte: the program has read or written the page table as memory, where dirty flags are the agent's doing. */
export const touched = 0x80;
/** A result: header, state, then {at u32, 0 u32, bytes u64} for each 8 bytes that changed. */
export const resultAt = { size: 0, stop: 4, index: 8 } as const;
export const resultHeader = 16;
