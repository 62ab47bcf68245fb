// The same program on the bare reference processor and under a monitor, and where they differ: what a guest can tell, in one line.
// Compared are how the run ended, every register, port accesses and all of guest memory at the end.

import { createMachine, type Machine } from '../../reference/machine.ts';
import type { CpuState, Monitor } from '../../spec/instructions/vocabulary.ts';
import type { Answer, Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';

export interface Pair {
  readonly config: MachineConfig;
  readonly granted: Granted;
  readonly bare: Machine;
  readonly monitored: Machine;
}
export const monitored = (config: MachineConfig, monitor: Monitor, umip = false): MachineConfig => {
  const { cpu } = config;
  if (cpu === undefined) throw new Error('a monitor needs a processor');
  const features = umip ? [...cpu.features, 'umip' as const] : cpu.features;
  return { ...config, cpu: { ...cpu, features, monitor } };
};
/** `create`: of the reference that runs the monitor, where that is an edited one. */
export const pairOf = (config: MachineConfig, monitor: Monitor, umip = false, create: typeof createMachine = createMachine): Pair => {
  const bare = createMachine(config);
  return { config, granted: bare.granted, bare, monitored: create(monitored(config, monitor, umip)) };
};

/** Bytes as they are at the end, of those that were stored to. */
const stored = (seen: readonly Observation[]): Map<number, number> => {
  const bytes = new Map<number, number>();
  for (const o of seen)
    if (o.saw === 'memory.changed') for (const w of o.writes) for (const [i, byte] of w.bytes.entries()) bytes.set(Number(w.at) + i, byte);
  return bytes;
};
/** Bytes as they were at the start. */
const initially = (config: MachineConfig, stimuli: readonly Stimulus[], where: number): number => {
  let byte = config.fill;
  for (const { at, bytes } of config.image ?? []) byte = bytes[where - Number(at)] ?? byte;
  for (const s of stimuli) if (s.do === 'memory.write') byte = s.bytes[where - Number(s.at)] ?? byte;
  return byte;
};
const shown = (x: unknown): string =>
  JSON.stringify(x, (_, value: unknown) => (typeof value === 'bigint' ? `${value.toString(16)}H` : value)) ?? 'nothing';
const stopOf = (seen: readonly Observation[]): Extract<Observation, { saw: 'cpu.stopped' }> | undefined => {
  const last = seen.at(-1);
  return last?.saw === 'cpu.stopped' ? last : undefined;
};

export const play = (machine: Machine, stimuli: readonly Stimulus[]): Answer => {
  machine.reset();
  let answer: Answer = { saw: [] };
  for (const s of stimuli) answer = machine.apply(s);
  return answer;
};
/** What tells the two apart; nothing where nothing does. Both are reset first. */
export const differences = (pair: Pair, stimuli: readonly Stimulus[]): readonly string[] => {
  const [a, b] = [play(pair.bare, stimuli), play(pair.monitored, stimuli)];
  if (!('saw' in a) || !('saw' in b)) return shown(a) === shown(b) ? [] : [`answer: ${shown(a).slice(0, 200)} / ${shown(b).slice(0, 200)}`];
  const [x, y] = [stopOf(a.saw), stopOf(b.saw)];
  const found: string[] = [];
  if (x?.by !== y?.by || x?.stop !== y?.stop) found.push(`stopped by ${x?.by} ${x?.stop} / ${y?.by} ${y?.stop}`);
  const [s, t] = [x?.state as CpuState | undefined, y?.state as CpuState | undefined];
  for (const [name, value] of Object.entries(s ?? {})) {
    const other = t?.[name as keyof CpuState];
    if (value !== other && shown(value) !== shown(other)) found.push(`${name} ${shown(value)} / ${shown(other)}`);
  }
  const ports = (seen: readonly Observation[]): string => shown(seen.filter((o) => o.saw === 'cpu.port'));
  if (ports(a.saw) !== ports(b.saw)) found.push(`ports ${ports(a.saw)} / ${ports(b.saw)}`);
  const [m, n] = [stored(a.saw), stored(b.saw)];
  for (const at of new Set([...m.keys(), ...n.keys()])) {
    const [left, right] = [m, n].map((bytes) => bytes.get(at) ?? initially(pair.config, stimuli, at));
    if (left === right) continue;
    found.push(`memory at ${at.toString(16)}H: ${left?.toString(16)} / ${right?.toString(16)}`);
    break;
  }
  return found;
};
