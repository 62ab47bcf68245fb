// Hand-made histories for the tests of the spec: a case on the furniture, and the answer that somebody wrote down for it.
// What the answer says is written in the test; only what no test is about (registers that stay) is filled in here.

import { areas } from '../areas.ts';
import { createJudge, type Finding, type Tally } from '../judge.ts';
import type { CpuFeature, CpuMachine, CpuMode, CpuState, GrantedCpu, PagingMode } from '../../spec/instructions/vocabulary.ts';
import type { Capability, Gpa, Granted, MachineConfig } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { machineFor } from './furniture.ts';
import * as at from './layout.ts';
import { startState } from './state.ts';

export interface Setting {
  readonly mode?: CpuMode;
  readonly paging?: PagingMode;
  readonly features?: readonly CpuFeature[];
  readonly level?: number;
  readonly offers?: readonly Capability[];
  readonly vendor?: GrantedCpu['vendor'];
}
const offersAll: readonly Capability[] = ['cpu', 'cpu.system', 'cpu.step', 'cpu.hidden', 'cpu.interrupt', 'cpu.port', 'memory.seen'];
export const machineOf = ({ mode = 'long64', paging = '4-level', features = [] }: Setting): MachineConfig =>
  machineFor(mode, paging, features);
export const grantedOf = (
  machine: MachineConfig,
  offers: readonly Capability[] = offersAll,
  vendor: GrantedCpu['vendor'] = 'intel',
): Granted => ({
  memory: { size: machine.memory, fill: machine.fill, seen: 'compared' },
  level: 'agent',
  reset: 'snapshot',
  offers,
  cpu: { ...(machine.cpu as CpuMachine), has: (machine.cpu as CpuMachine).features, physicalBits: 40, vendor },
});
const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(text.replaceAll(' ', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
export const littleEndian = (value: bigint, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, k) => Number((value >> BigInt(8 * k)) & 0xffn));

/** What a target answered: the stop, what it changed of the state, and the bytes it changed. */
export interface Answered {
  readonly by?: 'stop' | 'shutdown' | 'halt' | 'limit';
  readonly stop?: number;
  readonly state?: Partial<CpuState>;
  readonly writes?: readonly (readonly [at: number, value: bigint, size: number])[];
  readonly ports?: readonly {
    readonly port: number;
    readonly width: 1 | 2 | 4;
    readonly direction: 'in' | 'out';
    readonly value: number;
  }[];
}
export interface Told {
  readonly findings: readonly Finding[];
  /** Clause ids that were kept, broken, unknown. */
  readonly kept: readonly string[];
  readonly broken: readonly string[];
  readonly unknown: readonly string[];
}
/** A case: code in hex where execution starts, changes of the start state, extra bytes of memory, and the answer. */
export const tell = (
  setting: Setting,
  code: string,
  change: Partial<CpuState> | ((start: CpuState) => Partial<CpuState>),
  answer: Answered | ((start: CpuState) => Answered),
  patches: readonly (readonly [at: number, bytes: string])[] = [],
  run: { readonly limit?: number; readonly interrupt?: { readonly vector: number; readonly after: number } } = {},
): Told => {
  const machine = machineOf(setting);
  const start = startState(machine, setting.level ?? 0);
  const state: CpuState = { ...start, ...(typeof change === 'function' ? change(start) : change) };
  const judge = createJudge(areas);
  judge.reset(grantedOf(machine, setting.offers, setting.vendor), machine.image);
  const findings: Finding[] = [];
  const see = (event: Event): void => {
    findings.push(...judge.see(event));
  };
  const write = (where: number, bytes: string): void => see({ do: 'memory.write', at: BigInt(where) as Gpa, bytes: bytesOf(bytes) });
  write(at.code, code);
  for (const [where, bytes] of patches) write(where, bytes);
  see({ do: 'cpu.run', state, limit: run.limit ?? 16, ...(run.interrupt === undefined ? {} : { interrupt: run.interrupt }) });
  const answered = typeof answer === 'function' ? answer(state) : answer;
  if (answered.writes !== undefined)
    see({
      saw: 'memory.changed',
      writes: answered.writes.map(([where, v, size]) => ({ at: BigInt(where) as Gpa, bytes: littleEndian(v, size) })),
    });
  for (const port of answered.ports ?? []) see({ saw: 'cpu.port', ...port });
  see({
    saw: 'cpu.stopped',
    by: answered.by ?? 'stop',
    ...(answered.stop === undefined ? {} : { stop: answered.stop }),
    state: { ...state, ...answered.state },
  });
  const ids = (pick: (t: Tally) => number): string[] => [...judge.tallies.values()].filter((t) => pick(t) > 0).map((t) => t.id);
  return { findings, kept: ids((t) => t.kept), broken: ids((t) => t.broken), unknown: ids((t) => t.unknown) };
};
