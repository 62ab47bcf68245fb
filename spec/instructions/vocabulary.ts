// A logical processor as a target: load a state, run, and see where and how it stopped. Types only.
// Intel SDM volume 1, Basic Execution Environment; volume 3, System Architecture Overview. Hidden parts of segments are explicit.

/** Mode of operation of the code a machine is furnished for. SDM volume 1, Modes of Operation. */
export type CpuMode = 'real' | 'v86' | 'prot16' | 'prot32' | 'compat' | 'long64';
/** Paging mode of the furniture. SDM volume 3, Paging Modes and Control Bits. */
export type PagingMode = 'none' | '32-bit' | 'pae' | '4-level' | '5-level';
/** Extensions that change what sensitive instructions do; by their CPUID names. */
export type CpuFeature =
  | 'umip'
  | 'smep'
  | 'smap'
  | 'nx'
  | 'pcid'
  | 'pge'
  | 'pse'
  | 'pae'
  | 'la57'
  | 'fsgsbase'
  | 'syscall'
  | 'sep'
  | 'rdtscp'
  | 'rdpid'
  | 'invpcid'
  | 'tsd'
  | 'de'
  | 'vme'
  | 'monitor'
  | 'xsave'
  | 'sse2'
  | 'gbpages'
  | 'pku'
  | 'lam'
  | 'popcnt'
  | 'lzcnt'
  | 'movbe'
  | 'cx16'
  | 'bmi1'
  | 'bmi2'
  | 'adx'
  | 'lahf'
  | 'cx8'
  | 'cmov'
  | 'clflush'
  | 'sse';
/** How the guest's sensitive instructions are handled: by the processor itself, or by a monitor over a processor. */
export type Monitor = 'none' | 'trap-and-emulate' | 'binary-translation' | 'paravirtual' | 'hardware';

/** A processor and what its memory is furnished for. Furniture (descriptor tables, page tables, stop code) stands in `MachineConfig.image`. */
export interface CpuMachine {
  readonly mode: CpuMode;
  readonly paging: PagingMode;
  /** Features that the machine must have; the target answers `unsupported` where one is missing. `granted.cpu.features` tells all it has. */
  readonly features: readonly CpuFeature[];
  /** Where execution comes back to the observer: code at `at + stride * i`, i < count, is the target's own. Linear addresses, identity-mapped.
   *  IDT gate (or IVT entry) i leads to stop i; stop `count - 1` is where a program ends of itself. */
  readonly stops: Stops;
  readonly monitor?: Monitor;
}
export interface Stops {
  readonly at: bigint;
  readonly stride: number;
  readonly count: number;
}

/** A segment register with its hidden part. `access` is laid out as the VMCS access-rights field: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14,
 *  G 15, unusable 16. `limit` in bytes, after scaling by G. SDM volume 3, Segment Registers; Guest Register State. */
export interface Segment {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
  readonly access: number;
}
export interface TableRegister {
  readonly base: bigint;
  readonly limit: number;
}
/** Everything an instruction can depend on in the processor, memory apart. 64-bit registers are unsigned bigints; outside 64-bit mode the high
 *  halves are 0. */
export interface CpuState {
  readonly rax: bigint;
  readonly rcx: bigint;
  readonly rdx: bigint;
  readonly rbx: bigint;
  readonly rsp: bigint;
  readonly rbp: bigint;
  readonly rsi: bigint;
  readonly rdi: bigint;
  readonly r8: bigint;
  readonly r9: bigint;
  readonly r10: bigint;
  readonly r11: bigint;
  readonly r12: bigint;
  readonly r13: bigint;
  readonly r14: bigint;
  readonly r15: bigint;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly cs: Segment;
  readonly ss: Segment;
  readonly ds: Segment;
  readonly es: Segment;
  readonly fs: Segment;
  readonly gs: Segment;
  readonly ldtr: Segment;
  readonly tr: Segment;
  readonly gdtr: TableRegister;
  readonly idtr: TableRegister;
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly cr8: bigint;
  readonly efer: bigint;
  readonly dr0: bigint;
  readonly dr1: bigint;
  readonly dr2: bigint;
  readonly dr3: bigint;
  readonly dr6: bigint;
  readonly dr7: bigint;
  readonly star: bigint;
  readonly lstar: bigint;
  readonly cstar: bigint;
  readonly sfmask: bigint;
  readonly kernelGsBase: bigint;
  readonly sysenterCs: bigint;
  readonly sysenterEsp: bigint;
  readonly sysenterEip: bigint;
  readonly tscAux: bigint;
  /** SDM volume 3, Guest Non-Register State, Interruptibility state: what the last instruction left. */
  readonly shadow: 'none' | 'sti' | 'mov-ss';
}
/** A segment as far as a target can see it: an agent inside the guest reads selectors only. */
export interface SeenSegment {
  readonly selector: number;
  readonly base?: bigint;
  readonly limit?: number;
  readonly access?: number;
}
type Seen<T> = T extends Segment ? SeenSegment : T;
/** A state as far as a target can see it; what is absent is unknown, never unchanged. */
export type SeenState = { readonly [K in keyof CpuState]?: Seen<CpuState[K]> };

/** CPU facts of a granted machine. */
export interface GrantedCpu extends CpuMachine {
  /** Every feature the processor has, enabled or not. */
  readonly has: readonly CpuFeature[];
  /** Physical-address width in bits, CPUID.80000008H:EAX[7:0]. */
  readonly physicalBits: number;
  readonly vendor: 'intel' | 'amd' | 'other';
}

export type CpuStimulus =
  /** Loads `state` (absent: go on from where it stopped) and runs until a stop address, shutdown or HLT, at most `limit` instructions.
   *  Interrupts are off unless `interrupt` asks: vector raised when that many instructions have completed. */
  {
    readonly do: 'cpu.run';
    readonly state?: CpuState;
    readonly limit: number;
    readonly interrupt?: { readonly vector: number; readonly after: number };
  };

export type CpuObservation =
  /** After the memory.changed of the same answer. `by`: reached stop number `stop`; triple fault; HLT outside the stops; the instruction or time limit;
   *  a port access (port I/O reaches no device: IN gives all ones) is not a stop. */
  | { readonly saw: 'cpu.stopped'; readonly by: 'stop' | 'shutdown' | 'halt' | 'limit'; readonly stop?: number; readonly state: SeenState }
  /** Where the IDT is not the guest's (ring 3 of a host): the exception that ended the run. `rip` and the rest of the state at the fault are in the
   *  `cpu.stopped` that follows, whose `by` is 'stop'. */
  | { readonly saw: 'cpu.exception'; readonly vector: number; readonly error?: number; readonly cr2?: bigint }
  /** Guest port I/O as it left the processor, in order. */
  | {
      readonly saw: 'cpu.port';
      readonly port: number;
      readonly width: 1 | 2 | 4;
      readonly direction: 'in' | 'out';
      readonly value: number;
    };

/** How one run ended, in one form whatever the target: an event delivered (with the frame it pushed), or the end of the program. */
export type CpuDerived = {
  readonly saw: 'cpu.outcome';
  /** Absent: no event was delivered. */
  readonly vector?: number;
  readonly error?: number;
  /** RIP at the fault or of the next instruction after a trap: saved in the frame. */
  readonly rip?: bigint;
  readonly by: 'event' | 'end' | 'shutdown' | 'halt' | 'limit';
  /** State when the run stopped: in the handler where an event was delivered. */
  readonly state: SeenState;
  /** State as it was before delivery, as far as frame and registers tell it. */
  readonly interrupted: SeenState;
};
