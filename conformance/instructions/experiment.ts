// What one run of one instruction shows, what of it is the machine's own, and when two runs tell two machines apart.
// Popek and Goldberg 1974: control-sensitive changes resources or mode; behaviour-sensitive depends on mode, location or real resources.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import * as at from './layout.ts';

export interface Outcome {
  readonly before: CpuState;
  readonly after: CpuState;
  readonly by: string;
  readonly stop: number | undefined;
  /** An exception stands before the instruction: it has not completed. */
  readonly fault: boolean;
  readonly memory: ReadonlyMap<number, number>;
  readonly ports: number;
  readonly unsupported?: string;
}
const FAULTS: readonly number[] = [0, 5, 6, 7, 8, 10, 11, 12, 13, 14, 17];
const stored = (seen: readonly Observation[]): Map<number, number> => {
  const bytes = new Map<number, number>();
  for (const o of seen)
    if (o.saw === 'memory.changed') for (const w of o.writes) for (const [i, byte] of w.bytes.entries()) bytes.set(Number(w.at) + i, byte);
  return bytes;
};
export const outcomeOf = (before: CpuState, answer: Answer): Outcome => {
  const seen = 'saw' in answer ? answer.saw : [];
  const last = seen.at(-1);
  const none = { before, after: before, by: 'nothing', stop: undefined, fault: false, memory: new Map<number, number>(), ports: 0 };
  if (last?.saw !== 'cpu.stopped') return { ...none, unsupported: 'unsupported' in answer ? answer.unsupported : 'no answer' };
  const after = last.state as CpuState;
  const memory = stored(seen);
  // The saved instruction pointer is on top of the handler's stack, or above an error code.
  const long = (before.efer & 0x400n) !== 0n;
  const word = (n: number): number => {
    const where = Number(after.ss.base + after.rsp) + n * (long ? 8 : 4);
    return [3, 2, 1, 0].reduce((value, i) => value * 256 + (memory.get(where + i) ?? 0), 0);
  };
  const start = Number(before.rip & 0xffff_ffffn);
  const fault = last.by === 'stop' && FAULTS.includes(last.stop ?? -1) && (word(0) === start || word(1) === start);
  return { before, after, by: last.by, stop: last.stop, fault, memory, ports: seen.filter((o) => o.saw === 'cpu.port').length };
};

const IF_IOPL = 0x3200n;
const machineFields = [
  'cr0',
  'cr3',
  'cr4',
  'cr8',
  'efer',
  'dr7',
  'star',
  'lstar',
  'sfmask',
  'kernelGsBase',
  'sysenterCs',
  'tscAux',
] as const;
const tables = ['gdtr', 'idtr', 'ldtr', 'tr'] as const;
const text = (x: unknown): string => JSON.stringify(x, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v)) ?? '';
const same = (x: unknown, y: unknown): boolean => x === y || (typeof x === 'object' && text(x) === text(y));
const levelOf = (s: CpuState): number => (s.ss.access >>> 5) & 3;
/** Whether the instruction has changed what is the machine's: level, size of addresses, IF, IOPL, system registers, ports, or has halted it. */
export const changes = ({ before, after, by, fault, ports }: Outcome): boolean => {
  if (fault) return false;
  return (
    ports > 0 ||
    by === 'halt' ||
    by === 'shutdown' ||
    levelOf(before) !== levelOf(after) ||
    ((before.cs.access ^ after.cs.access) & 0x2000) !== 0 ||
    ((before.rflags ^ after.rflags) & IF_IOPL) !== 0n ||
    machineFields.some((f) => before[f] !== after[f]) ||
    tables.some((t) => !same(before[t], after[t]))
  );
};

/** Whether a field came out alike: left as it was in both, or the same value in both. */
const alike = (a: Outcome, b: Outcome, field: keyof CpuState): boolean => {
  if (same(a.after[field], b.after[field])) return true;
  return same(a.before[field], a.after[field]) && same(b.before[field], b.after[field]);
};
/** Whether two runs from states that differ only in what is the machine's come out differently for the program: results, stores, faults. */
export const tells = (a: Outcome, b: Outcome): boolean => {
  if (a.fault || b.fault) return a.fault !== b.fault || a.stop !== b.stop;
  if (a.by !== b.by || a.stop !== b.stop || a.memory.size !== b.memory.size) return true;
  for (const [where, byte] of a.memory) if (b.memory.get(where) !== byte) return true;
  const varied = a.before.rflags ^ b.before.rflags;
  if (((a.after.rflags ^ b.after.rflags) & ~varied) !== 0n) return true;
  return (Object.keys(a.after) as (keyof CpuState)[]).some((f) => f !== 'rflags' && !alike(a, b, f));
};

/** One thing of the machine's that a program is not to notice. `before`: stimuli that make it so. */
export interface Context {
  readonly level: 0 | 3;
  readonly change: (s: CpuState) => Partial<CpuState>;
  readonly before: (s: CpuState) => readonly Stimulus[];
}
const copies = { gdt: at.agent, idt: at.agent + 0x1000 } as const;
const IF = 0x200n;
const IOPL = 0x3000n;
const MP_TS = 0xan;
const OSXSAVE = 1n << 18n;
/** NOPs at the end of the code page. */
const later: Context['before'] = (s) => [
  { do: 'memory.write', at: BigInt(at.code + 0xff0) as Gpa, bytes: new Uint8Array(8).fill(0x90) },
  { do: 'cpu.run', state: { ...s, rip: BigInt(at.code + 0xff0) }, limit: 5 },
];
const once = new WeakMap<MachineConfig, readonly Context[]>();
/** Elsewhere and otherwise: interrupts off, another IOPL, tables moved, other selectors for LDT and TSS, task switched, another CR4, another processor's
 *  number, later. */
export const contexts = (config: MachineConfig): readonly Context[] => {
  const known = once.get(config);
  if (known !== undefined) return known;
  const image = new Uint8Array(config.memory).fill(config.fill);
  for (const { at: where, bytes } of config.image ?? []) image.set(bytes, Number(where));
  const copy = (from: number, length: number, to: number): Stimulus => ({
    do: 'memory.write',
    at: BigInt(to) as Gpa,
    bytes: image.slice(from, from + length),
  });
  const both = (change: Context['change'], ...before: readonly Stimulus[]): readonly Context[] =>
    ([0, 3] as const).map((level) => ({ level, change, before: () => before }));
  const made: readonly Context[] = [
    ...both((s) => ({ rflags: s.rflags ^ IF })),
    { level: 0, change: (s) => ({ rflags: s.rflags ^ IOPL }), before: () => [] },
    ...both((s) => ({ gdtr: { ...s.gdtr, base: BigInt(copies.gdt) } }), copy(at.gdt, at.gdtLimit + 1, copies.gdt)),
    ...both((s) => ({ idtr: { ...s.idtr, base: BigInt(copies.idt) } }), copy(at.idt, 0x1000, copies.idt)),
    ...both((s) => ({ ldtr: { ...s.ldtr, selector: s.ldtr.selector ^ 8 } })),
    ...both((s) => ({ tr: { ...s.tr, selector: s.tr.selector ^ 8 } })),
    ...both((s) => ({ cr0: s.cr0 ^ MP_TS })),
    ...both((s) => ({ cr4: s.cr4 ^ OSXSAVE })),
    ...both((s) => ({ tscAux: s.tscAux ^ 1n })),
    ...([0, 3] as const).map((level) => ({ level, change: () => ({}), before: later })),
  ];
  once.set(config, made);
  return made;
};
