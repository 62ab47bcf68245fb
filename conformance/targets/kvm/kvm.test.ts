// Whether /dev/kvm answers cases truly: stops, memory, ports, hidden parts, no traces of one program in the next, and no processes left behind.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { CpuState, SeenState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa, MachineConfig, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { machineFor } from '../../instructions/furniture.ts';
import { startState } from '../../instructions/state.ts';
import { allOf } from '../answers.fixture.ts';
import { type Kvm, run } from '../host/kvm.ts';
import { programArguments } from '../host/program.ts';
import { createPatience } from './patience.ts';
import { undefinedEverywhere } from './emulated.ts';
import { kvmTarget, probeKvm } from './target.ts';

const probe = await probeKvm();
if (!probe.available) console.log(`kvm is not tested: ${probe.reason}`);
const target: Target | undefined = probe.available ? await kvmTarget() : undefined;
afterAll(async () => {
  await target?.close();
});
const here = describe.skipIf(!probe.available);

const real = machineFor('real', 'none', []);
const long = machineFor('long64', '4-level', ['nx', 'syscall']);
const at = (where: number): Gpa => BigInt(where) as Gpa;
const program = (state: CpuState, ...code: readonly number[]): readonly Stimulus[] => [
  { do: 'memory.write', at: at(0x10000), bytes: Uint8Array.from(code) },
  { do: 'cpu.run', state, limit: 100 },
];
const whole = async (machine: MachineConfig, ...programs: readonly (readonly Stimulus[])[]): Promise<readonly Answer[]> => {
  const run = await target?.runAll?.(machine, programs);
  if (run === undefined || !('answers' in run)) throw new Error(JSON.stringify(run));
  return allOf(run.answers, programs).map((a) => a[a.length - 1] as Answer);
};
const seen = (answer: Answer | undefined): readonly Extract<Answer, { saw: unknown }>['saw'][number][] => {
  if (answer === undefined || !('saw' in answer)) throw new Error(JSON.stringify(answer));
  return answer.saw;
};
const stopped = (answer: Answer | undefined): { by: string; stop?: number; state: SeenState } => {
  const last = seen(answer).at(-1);
  if (last?.saw !== 'cpu.stopped') throw new Error('it never stopped');
  return last;
};

here('a real-mode case', () => {
  test('ends in the stop of its vector, with the frame in memory', async () => {
    const [answer] = await whole(real, program({ ...startState(real, 0), rax: 5n, rcx: 7n }, 0x01, 0xc8, 0xcc));
    const { by, stop, state } = stopped(answer);
    expect([by, stop, state.rax, state.rip, state.cs]).toEqual([
      'stop',
      3,
      12n,
      0x4030n,
      { selector: 0, base: 0n, limit: 0xffff, access: 0x93 },
    ]);
    // IP, CS, FLAGS (parity of 12 is even)
    expect(seen(answer)[0]).toEqual({
      saw: 'memory.changed',
      writes: [{ at: at(0x17fea), bytes: Uint8Array.of(0x03, 0, 0, 0x10, 0x06, 0) }],
    });
  });
  test('leaves nothing to the next', async () => {
    const state = startState(real, 0);
    const store = program(state, 0xc6, 0x06, 0x00, 0x50, 0x99, 0xcc); // MOV byte [5000H], 99H
    const load = program(state, 0xa0, 0x00, 0x50, 0xcc); // MOV AL, [5000H]
    const answers = await whole(real, store, load, store);
    expect(seen(answers[0])[0]).toMatchObject({ writes: [{ at: 0x15000n, bytes: Uint8Array.of(0x99) }, {}] });
    expect(stopped(answers[1]).state.rax).toBe(0xccn);
    expect(answers[2]).toEqual(answers[0]);
  });
  test('sees ports, where reads give all ones', async () => {
    const [answer] = await whole(real, program({ ...startState(real, 0), rax: 0x1234n }, 0xef, 0xe4, 0x61, 0xcc)); // OUT DX, AX; IN AL, 61H
    expect(seen(answer).filter((o) => o.saw === 'cpu.port')).toEqual([
      { saw: 'cpu.port', port: 0x3f8, width: 2, direction: 'out', value: 0x1234 },
      { saw: 'cpu.port', port: 0x61, width: 1, direction: 'in', value: 0xff },
    ]);
    expect(stopped(answer).state.rax).toBe(0x12ffn);
  });
  test('leaves no debug register, flag or page to the next, whatever became of it', async () => {
    const state = startState(real, 0);
    const dr7 = { ...state, rax: 0x400n };
    // MOV DR6, EAX, then an instruction that KVM may or may not do, then INT3; the same with TF set by POPF; stores over three pages.
    const dirty = [
      program({ ...dr7, rax: 0xffff_0ff1n }, 0x0f, 0x23, 0xf0, 0xdb, 0xe3, 0xcc),
      program(state, 0x68, 0x00, 0x01, 0x9d, 0x90, 0x90, 0xcc),
      program({ ...state, rcx: 0x1800n, rdi: 0x5f00n, rax: 0x55n }, 0xf3, 0xaa, 0xcc),
      program({ ...state, dr6: 0xffff_4ff0n }, 0x0f, 0x01, 0xd0, 0xcc),
    ];
    // MOV EAX, DR6; MOV EBX, DR7; then bytes of each page that was stored to.
    const look = program(
      state,
      0x0f,
      0x21,
      0xf0,
      0x0f,
      0x21,
      0xfb,
      0x8b,
      0x16,
      0x00,
      0x5f,
      0x8b,
      0x36,
      0x00,
      0x70,
      0x8b,
      0x3e,
      0xfe,
      0x76,
      0xcc,
    );
    const [first, ...rest] = await whole(real, look, ...dirty.flatMap((d) => [d, look]));
    expect(stopped(first).state).toMatchObject({ rax: 0xffff_0ff0n, rbx: 0x400n, rdx: 0xccccn, rsi: 0xccccn, rdi: 0xccccn });
    for (let i = 1; i < rest.length; i += 2) expect(rest[i]).toEqual(first);
  });
  test('is not over before its limit, however long it takes', async () => {
    const state = startState(real, 0);
    const long = (...code: readonly number[]): readonly Stimulus[] => [
      { do: 'memory.write', at: at(0x10000), bytes: Uint8Array.from(code) },
      { do: 'cpu.run', state, limit: 2000 },
    ];
    const loop = long(0xb9, 0x6c, 0x07, 0xe2, 0xfe, 0xcc); // MOV CX, 1900; LOOP itself
    // MOV word [5000H], 900; L: DEC word [5000H]; JNZ L: only memory tells one turn from the next
    const counting = long(0xc7, 0x06, 0x00, 0x50, 0x84, 0x03, 0xff, 0x0e, 0x00, 0x50, 0x75, 0xfa, 0xcc);
    const answers = await whole(real, ...Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? loop : counting)));
    expect(answers.map((a) => stopped(a).stop)).toEqual(answers.map(() => 3));
  });
  test('that halts or never ends says so', async () => {
    const state = startState(real, 0);
    const [halt, loop, after] = await whole(real, program(state, 0xf4), program(state, 0xeb, 0xfe), program(state, 0xcc));
    expect([stopped(halt).by, stopped(halt).state.rip, stopped(loop).by, stopped(after).stop]).toEqual(['halt', 1n, 'limit', 3]);
  });
});

here('64-bit cases', () => {
  test('run in ring 0 and ring 3 and tell model-specific registers that they change', async () => {
    // MOV ECX, C0000102H; XOR EDX, EDX; MOV EAX, 5000H; WRMSR
    const code = [0xb9, 0x02, 0x01, 0x00, 0xc0, 0x31, 0xd2, 0xb8, 0x00, 0x50, 0x00, 0x00, 0x0f, 0x30, 0xcc];
    const answers = await whole(
      long,
      program(startState(long, 0), ...code),
      program(startState(long, 3), ...code),
      program(startState(long, 0), 0xcc),
    );
    expect([stopped(answers[0]).stop, stopped(answers[0]).state.kernelGsBase]).toEqual([3, 0x5000n]);
    expect(stopped(answers[1])).toMatchObject({ stop: 13, state: { rip: 0x40d0n, kernelGsBase: 0x14000n } });
    expect(stopped(answers[2]).state.kernelGsBase).toBe(0x14000n);
  });
  test('see the accessed and dirty flags of a fresh page, each time', async () => {
    const store = program(startState(long, 3), 0xc6, 0x04, 0x25, 0x00, 0xd0, 0x01, 0x00, 0x77, 0xcc); // MOV byte [1D000H], 77H
    const answers = await whole(long, store, store, store);
    expect(seen(answers[0])[0]).toMatchObject({ writes: [{ at: 0xa0e8n, bytes: Uint8Array.of(0x67) }, {}, { at: 0x1d000n }] });
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });
});

here('a run that is refused', () => {
  test('leaves nothing to the next', async () => {
    const unpaged = machineFor('prot32', 'none', []);
    const state = startState(unpaged, 0);
    // With paging on and no tables: a module without such paging does not run it, others find nothing mapped.
    const refused = [
      program({ ...state, cr0: state.cr0 | 0x8000_0000n, dr6: 0xffff_4ff0n, star: 0x77n, rax: 9n }, 0xa3, 0x00, 0x50, 0x01, 0x00, 0xcc), // MOV [15000H], EAX
      program({ ...state, dr7: 0x402n }, 0xcc),
    ];
    // MOV EAX, [15000H]; MOV EBX, DR6
    const look = program(state, 0xa1, 0x00, 0x50, 0x01, 0x00, 0x0f, 0x21, 0xf3, 0xcc);
    const [first, ...rest] = await whole(unpaged, look, ...refused.flatMap((r) => [r, look]));
    expect(stopped(first).state).toMatchObject({ rax: 0xcccc_ccccn, rbx: 0xffff_0ff0n, star: state.star });
    expect([rest[1], rest[3]]).toEqual([first, first]);
  });
});

here('a machine with paging outside IA-32e mode', () => {
  test.each(['32-bit', 'pae'] as const)('%s: runs, or is refused with the reason', async (paging) => {
    const machine = machineFor('prot32', paging, []);
    const granting = await target?.reset(machine);
    if (granting !== undefined && 'unsupported' in granting) expect(granting.unsupported).toContain(`${paging} paging: kvm`);
    else expect(stopped((await whole(machine, program(startState(machine, 0), 0x90, 0xcc)))[0])).toMatchObject({ stop: 3 });
  });
});

here('one stimulus at a time', () => {
  test('is the same as a batch', async () => {
    const stimuli = program(startState(long, 0), 0x01, 0xc8, 0xcc);
    const [batch] = await whole(long, stimuli);
    expect(await target?.reset(long)).toHaveProperty('granted');
    let last: Answer | undefined;
    for (const stimulus of stimuli) last = await target?.apply(stimulus);
    expect(last).toEqual(batch);
  });
  test('refuses what it cannot do in words', async () => {
    expect(await target?.reset({ memory: 8192, fill: 0, bus: 'none' })).toHaveProperty('unsupported');
    await target?.reset(real);
    expect(await target?.apply({ do: 'cpu.run', limit: 1 })).toHaveProperty('unsupported');
    const bad = { ...startState(long, 0), cr0: 0x8000_0000n }; // PG without PE
    await target?.reset(long);
    expect(await target?.apply({ do: 'cpu.run', state: bad, limit: 1 })).toHaveProperty('unsupported');
  });
});

describe('patience', () => {
  /** A vCPU whose emulator has taken on `step` more instructions at each look, and that writes what `write` does. */
  const looks = (step: number, write: (memory: Buffer, page: Buffer, look: number) => void, count: number): readonly boolean[] => {
    const [memory, page] = [Buffer.alloc(0x10000), Buffer.alloc(4096)];
    let emulated = 7;
    const kvm = { memory, page, emulated: () => (emulated += step) } as unknown as Kvm;
    const patience = createPatience(kvm, () => Uint32Array.of(0b100));
    patience.begin(2000);
    return Array.from({ length: count }, (_, i) => {
      write(memory, page, i);
      return patience.over();
    });
  };
  test('ends a run that goes round, or has had its instructions', () => {
    expect(looks(500, (memory) => memory.fill(3, 0x2000, 0x2010), 2)).toEqual([false, true]);
    expect(looks(500, (memory, _, i) => memory.writeUInt32LE(i, 0x2000), 5)).toEqual([false, false, false, false, true]);
  });
  test('takes standing still, memory that differs and a register that differs for no such thing', () => {
    expect(looks(1, () => undefined, 6)).toEqual(Array(6).fill(false));
    expect(looks(100, (memory, _, i) => memory.writeUInt32LE(i, 0x2ffc), 6)).toEqual(Array(6).fill(false));
    expect(looks(100, (_, page, i) => page.writeUInt32LE(i, run.regs + 128), 6)).toEqual(Array(6).fill(false));
  });
});

test('only opcodes that no processor has are believed from an emulator', () => {
  const believed = (...bytes: readonly number[]): boolean => undefinedEverywhere(Uint8Array.from(bytes), 'long', true);
  expect([believed(0x0f, 0x0b), believed(0x66, 0x48, 0x0f, 0xb9), believed(0xf0, 0x90), believed(0x06)]).toEqual([true, true, true, true]);
  expect([believed(0x0f, 0x02, 0xc0), believed(0xcc), believed(0x0f, 0x10, 0xc0), believed(0xc4, 0xe2)]).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

here('processes', () => {
  const children = (of: number): number[] =>
    readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[1] === String(of);
        } catch {
          return false; // it ended meanwhile
        }
      })
      .map(Number);
  const alive = (pid: number): boolean => {
    try {
      return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  };
  const script = fileURLToPath(new URL('./hold.fixture.ts', import.meta.url));
  test.each(['SIGKILL', 'SIGINT'] as const)('end with a parent that ends by %s', async (signal) => {
    const args = [...programArguments(import.meta.url, './child').slice(0, -1), script];
    const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(parent.stdout, 'data');
      const started = children(parent.pid ?? -1);
      expect(started.length).toBeGreaterThan(0);
      parent.kill(signal);
      await once(parent, 'exit');
      for (let i = 0; i < 100 && started.some(alive); i++) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(started.filter(alive)).toEqual([]);
    } finally {
      parent.kill('SIGKILL');
    }
  });
  test('that die are an answer, and the next machine works', async () => {
    const own = await kvmTarget();
    try {
      await own.reset(real);
      const stimuli = program(startState(real, 0), 0xcc);
      await own.applyAll?.(stimuli);
      for (const pid of children(process.pid))
        if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('kvm/child')) lastBorn = Math.max(lastBorn, pid);
      process.kill(lastBorn, 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect((await own.applyAll?.(stimuli))?.at(-1)).toHaveProperty('broke');
      await own.reset(real);
      expect(stopped((await own.applyAll?.(stimuli))?.at(-1)).stop).toBe(3);
    } finally {
      await own.close();
    }
    expect(alive(lastBorn)).toBe(false);
  });
  let lastBorn = 0;
});
