// The events and machines of the instructions area as they stand on the wire: one field table each, in wire order.
// The annotations tie each table to its type.

import type {
  CpuFeature,
  CpuMachine,
  CpuObservation,
  CpuState,
  CpuStimulus,
  GrantedCpu,
  SeenState,
} from '../../spec/instructions/vocabulary.ts';
import type { FieldsOf } from './fields.ts';
import type { Shapes } from './shapes.ts';

const features = {
  list: {
    words: {
      umip: true,
      smep: true,
      smap: true,
      nx: true,
      pcid: true,
      pge: true,
      pse: true,
      pae: true,
      la57: true,
      fsgsbase: true,
      syscall: true,
      sep: true,
      rdtscp: true,
      rdpid: true,
      invpcid: true,
      tsd: true,
      de: true,
      vme: true,
      monitor: true,
      xsave: true,
      sse2: true,
      gbpages: true,
      pku: true,
      lam: true,
      popcnt: true,
      lahf: true,
      cx8: true,
      cmov: true,
      clflush: true,
      sse: true,
      lzcnt: true,
      movbe: true,
      cx16: true,
      bmi1: true,
      bmi2: true,
      adx: true,
    } satisfies Record<CpuFeature, true>,
  },
} as const;

export const cpu: FieldsOf<CpuMachine> = {
  mode: { words: { real: true, v86: true, prot16: true, prot32: true, compat: true, long64: true } },
  paging: { words: { none: true, '32-bit': true, pae: true, '4-level': true, '5-level': true } },
  features,
  stops: { record: { at: 'u64', stride: 'u32', count: 'u32' } },
  monitor: {
    optional: { words: { none: true, 'trap-and-emulate': true, 'binary-translation': true, paravirtual: true, hardware: true } },
  },
};
export const grantedCpu: FieldsOf<GrantedCpu> = {
  ...cpu,
  has: features,
  physicalBits: 'u8',
  vendor: { words: { intel: true, amd: true, other: true } },
};

const segment = { record: { selector: 'u16', base: 'u64', limit: 'u32', access: 'u32' } } as const;
const table = { record: { base: 'u64', limit: 'u32' } } as const;
const shadow = { words: { none: true, sti: true, 'mov-ss': true } } as const;
const state: FieldsOf<CpuState> = {
  rax: 'u64',
  rcx: 'u64',
  rdx: 'u64',
  rbx: 'u64',
  rsp: 'u64',
  rbp: 'u64',
  rsi: 'u64',
  rdi: 'u64',
  r8: 'u64',
  r9: 'u64',
  r10: 'u64',
  r11: 'u64',
  r12: 'u64',
  r13: 'u64',
  r14: 'u64',
  r15: 'u64',
  rip: 'u64',
  rflags: 'u64',
  cs: segment,
  ss: segment,
  ds: segment,
  es: segment,
  fs: segment,
  gs: segment,
  ldtr: segment,
  tr: segment,
  gdtr: table,
  idtr: table,
  cr0: 'u64',
  cr2: 'u64',
  cr3: 'u64',
  cr4: 'u64',
  cr8: 'u64',
  efer: 'u64',
  dr0: 'u64',
  dr1: 'u64',
  dr2: 'u64',
  dr3: 'u64',
  dr6: 'u64',
  dr7: 'u64',
  star: 'u64',
  lstar: 'u64',
  cstar: 'u64',
  sfmask: 'u64',
  kernelGsBase: 'u64',
  sysenterCs: 'u64',
  sysenterEsp: 'u64',
  sysenterEip: 'u64',
  tscAux: 'u64',
  shadow,
};
const seenSegment = {
  record: { selector: 'u16', base: { optional: 'u64' }, limit: { optional: 'u32' }, access: { optional: 'u32' } },
} as const;
/** The same fields in the same order, each absent where it was not seen. */
const seen = Object.fromEntries(
  Object.entries(state).map(([name, field]) => [name, { optional: field === segment ? seenSegment : field }]),
) as unknown as FieldsOf<SeenState>;

export const cpuStimuli: Shapes<CpuStimulus, 'do'> = {
  'cpu.run': {
    state: { optional: { record: state } },
    limit: 'u32',
    interrupt: { optional: { record: { vector: 'u8', after: 'u32' } } },
  },
};
export const cpuObservations: Shapes<CpuObservation, 'saw'> = {
  'cpu.stopped': {
    by: { words: { stop: true, shutdown: true, halt: true, limit: true } },
    stop: { optional: 'u32' },
    state: { record: seen },
  },
  'cpu.exception': { vector: 'u8', error: { optional: 'u32' }, cr2: { optional: 'u64' } },
  'cpu.port': {
    port: 'u16',
    width: { numbers: { 1: true, 2: true, 4: true } },
    direction: { words: { in: true, out: true } },
    value: 'u32',
  },
};
