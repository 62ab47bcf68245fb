// What a processor is that is reached through an agent inside the guest: it finds out what the processor has by asking CPUID through the agent,
// builds machines without devices, and sees memory, registers and selectors, not hidden parts.

import type { CpuMachine, SeenState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Awaitable, Capability, Gpa, Granted, Hello, MachineConfig, Target, WholeRun } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { machineFor } from '../../instructions/furniture.ts';
import { code } from '../../instructions/layout.ts';
import { startState } from '../../instructions/state.ts';
import { factsOf, type Leaf, nameLeaves, nameOf } from '../kvm/features.ts';
import { granting, refusal } from '../kvm/session.ts';
import { type Runner, runPrograms } from './batch.ts';

const offers: readonly Capability[] = ['memory.seen', 'cpu', 'cpu.system'];
const leaves: readonly (readonly [leaf: number, subleaf: number])[] = [
  [0, 0],
  [1, 0],
  [7, 0],
  [7, 1],
  [0x8000_0000, 0],
  [0x8000_0001, 0],
  ...nameLeaves.map((leaf) => [leaf, 0] as const),
  [0x8000_0008, 0],
];

/** Where each program stopped. Throws where one does not: the agent does not come to an end. */
const asked = async (runner: Runner, machine: MachineConfig, programs: readonly (readonly Stimulus[])[]): Promise<readonly SeenState[]> => {
  const answers = await runPrograms(runner, machine, programs);
  return programs.map((_, i) => {
    const last = answers.at(i)?.at(-1);
    const stopped = last !== undefined && 'saw' in last ? last.saw.find((o) => o.saw === 'cpu.stopped') : undefined;
    if (stopped?.by === 'stop') return stopped.state;
    const said = JSON.stringify(last, (_name, v: unknown) => (typeof v === 'bigint' ? String(v) : v));
    throw new Error(`the agent, which needs a processor with 64-bit mode, did not run: ${said}`);
  });
};
/** CPUID at CPL 0 through the agent. */
const askLeaves = async (runner: Runner): Promise<readonly Leaf[]> => {
  const machine = machineFor('long64', '4-level', []);
  const state = startState(machine, 0);
  const programs = leaves.map(([leaf, subleaf]): readonly Stimulus[] => [
    { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.of(0x0f, 0xa2, 0xcc) },
    { do: 'cpu.run', state: { ...state, rax: BigInt(leaf), rcx: BigInt(subleaf) }, limit: 10 },
  ]);
  // One alone first: a processor on which the agent does not get anywhere costs a deadline for each case.
  const answers = [...(await asked(runner, machine, programs.slice(0, 1))), ...(await asked(runner, machine, programs.slice(1)))];
  return leaves.map(([leaf, subleaf], i): Leaf => {
    const { rax = 0n, rbx = 0n, rcx = 0n, rdx = 0n } = answers[i] ?? {};
    return [leaf, subleaf, 0, Number(rax), Number(rbx), Number(rcx), Number(rdx)];
  });
};

export interface AgentTarget {
  readonly name: string;
  readonly version: string;
  readonly runner: Runner;
  /** Programs that are worth one start. */
  readonly atOnce?: number;
  /** Starts need nobody to listen while they run. */
  readonly overlaps?: true;
  /** No start is under way any more. */
  readonly close: () => Awaitable<void>;
}
const closed = 'the connection is closed';
/** Starts one after the other, whoever asks; none once it is stopped. */
const inTurn = (runner: Runner): Runner & { readonly stop: () => Promise<void> } => {
  let last: Promise<unknown> = Promise.resolve();
  let stopped = false;
  return {
    ...runner,
    run: (...given) => {
      const next = last.then(async () => {
        if (stopped) throw new Error(closed);
        const ran = await runner.run(...given);
        // What it was ended with says nothing of the cases.
        if (stopped) throw new Error(closed);
        return ran;
      });
      last = next.catch(() => undefined);
      return next;
    },
    stop: async () => {
      stopped = true;
      runner.abort?.();
      await last;
    },
  };
};
/** Connects: the first start of the machine asks CPUID. */
export const agentTarget = async ({ name, version, runner: own, atOnce, overlaps, close }: AgentTarget): Promise<Target> => {
  const runner = inTurn(own);
  const told = await askLeaves(runner);
  const facts = factsOf(told);
  const model = nameOf(told);
  const hello: Hello = { protocol: 1, name, version: model === undefined ? version : `${version}, ${model}`, offers };
  let machine: MachineConfig | undefined;
  let written: Stimulus[] = [];
  const grant = (config: MachineConfig): { readonly granted: Granted } | { readonly unsupported: string } => {
    const why = refusal(config, facts) ?? (config.cpu?.paging === '5-level' ? '5-level paging: the agent has 4 levels' : undefined);
    return why === undefined ? { granted: granting(config, config.cpu as CpuMachine, facts, offers) } : { unsupported: why };
  };
  const reset = (config: MachineConfig): ReturnType<typeof grant> => {
    const granting = grant(config);
    machine = 'granted' in granting ? config : undefined;
    written = [];
    return granting;
  };
  const apply = async (stimulus: Stimulus): Promise<Answer> => {
    if (machine === undefined) return { broke: 'no machine: reset comes first' };
    if (stimulus.do !== 'cpu.run') {
      if (stimulus.do !== 'memory.write') return { unsupported: stimulus.do };
      written.push(stimulus);
      return { saw: [] };
    }
    const answers = await runPrograms(runner, machine, [[...written, stimulus]]);
    return answers.at(0)?.at(-1) ?? { broke: 'no answer' };
  };
  const runAll = async (config: MachineConfig, programs: readonly (readonly Stimulus[])[]): Promise<WholeRun> => {
    const granting = grant(config);
    return 'granted' in granting ? { granted: granting.granted, answers: await runPrograms(runner, config, programs) } : granting;
  };
  return {
    hello,
    reset,
    apply,
    runAll,
    close: async () => {
      await runner.stop();
      await close();
    },
    ...(atOnce === undefined ? {} : { atOnce }),
    ...(overlaps === undefined ? {} : { overlaps }),
  };
};
