// The agent in each machine that boots it: one set of cases in every mode, the same answers everywhere, and nothing left behind.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import type { Answer, Gpa, MachineConfig, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { connect } from '../../connect.ts';
import { code } from '../../instructions/layout.ts';
import { startState } from '../../instructions/state.ts';
import { machines, instructionsSuite } from '../../instructions/suite.ts';
import { programsOf } from '../../sample.ts';
import { allOf } from '../answers.fixture.ts';

const has = (program: string, argument: string): boolean => spawnSync(program, [argument], { timeout: 20_000 }).error === undefined;
const qemu = 'qemu-system-x86_64';
const installed: Readonly<Record<string, boolean>> = {
  bochs: has('bochs-bin', '--help'),
  'qemu-tcg': has(qemu, '--version'),
  [`guest:${qemu} -nodefaults -display none -no-reboot -serial stdio -kernel {image} -m 64M -accel tcg -cpu max -device isa-debug-exit,iobase=0x8900,iosize=4`]:
    has(qemu, '--version'),
  [`guest:${qemu} -nodefaults -display none -no-reboot -serial stdio -kernel {image64} -m 64M -accel tcg -cpu max -device isa-debug-exit,iobase=0x8900,iosize=4`]:
    has(qemu, '--version'),
};
const left = (): readonly string[] =>
  [existsSync('/dev/shm') ? '/dev/shm' : tmpdir()].flatMap((d) =>
    readdirSync(d).filter((f) => /^vmmc-(bochs|tcg|guest)-/.test(f) && f.includes(`-${process.pid}-`)),
  );

const long = machines[0] as MachineConfig;
/** Programs of the suite laid out for a processor with few features, so that all can have them. */
const programs = async (machine: MachineConfig, count: number): Promise<readonly (readonly Stimulus[])[]> => {
  const target = await connect('ref');
  const reset = await target.reset(machine);
  await target.close();
  if (!('granted' in reset)) throw new Error('the reference refuses its own machine');
  const granted = { ...reset.granted, cpu: { ...reset.granted.cpu!, has: [] } };
  return programsOf(instructionsSuite as never, machine, 7, 0)
    .slice(0, count)
    .map((p) => {
      const play = instructionsSuite.play(p.choices as never, granted, machine);
      const stimuli: Stimulus[] = [];
      for (let step = play.next(); step.done !== true; step = play.next([])) stimuli.push(...step.value.do);
      return stimuli;
    });
};
const stopOf = (answers: readonly Answer[]): unknown => {
  const last = answers.at(-1);
  if (last === undefined || !('saw' in last)) return undefined;
  const stopped = last.saw.find((o) => o.saw === 'cpu.stopped');
  return stopped?.saw === 'cpu.stopped' ? [stopped.by, stopped.stop] : undefined;
};
const stops = async (target: Target, machine: MachineConfig, given: readonly (readonly Stimulus[])[]): Promise<readonly unknown[]> => {
  const ran = await target.runAll?.(machine, given);
  if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
  return allOf(ran.answers, given).map(stopOf);
};

describe('ref-rom', () => {
  test.each(machines.slice(0, 8).map((m) => [`${m.cpu?.mode} ${m.cpu?.paging}`, m] as const))(
    'ends each program as the reference does: %s',
    async (_, machine) => {
      const given = await programs(machine, 40);
      const [rom, ref] = [await connect('ref-rom'), await connect('ref')];
      const seen = await stops(rom, machine, given);
      const expected: unknown[] = [];
      for (const stimuli of given) {
        await ref.reset(machine);
        expected.push(stopOf((await ref.applyAll?.(stimuli)) ?? []));
      }
      await Promise.all([rom.close(), ref.close()]);
      // What the agent cannot load or see is undefined in what is seen.
      expect(seen.filter((s) => s !== undefined).length).toBeGreaterThan(20);
      expect(seen).toEqual(expected.map((e, i) => (seen[i] === undefined ? undefined : e)));
    },
  );
});
describe.each(Object.entries(installed))('%s', (name, here) => {
  test.skipIf(!here)(here ? 'boots, answers, and leaves nothing behind' : 'not installed: skipped', { timeout: 60_000 }, async () => {
    const target = await connect(name);
    try {
      const seen = await stops(target, long, await programs(long, 24));
      expect(seen.filter((s) => Array.isArray(s) && s[0] === 'stop').length).toBeGreaterThan(12);
    } finally {
      await target.close();
    }
    expect(left()).toEqual([]);
  });
});
describe('guest:COMMAND', () => {
  test('says what is missing in a command', async () => {
    await expect(connect('guest:')).rejects.toThrow('the command is missing');
    await expect(connect('guest:my-vmm')).rejects.toThrow('write {image}');
  });
  test('says what it heard instead of the agent', async () => {
    await expect(connect('guest:echo SeaBIOS; true {image}')).rejects.toThrow('never spoke');
    expect(left()).toEqual([]);
  });
});
test('a session that is killed leaves no folder behind', { timeout: 30_000 }, async () => {
  const script = `import { workFolder } from '${new URL('./process.ts', import.meta.url).href}'; console.log(workFolder('guest').path); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const path = await new Promise<string>((resolve) => child.stdout.once('data', (b: Buffer) => resolve(b.toString().trim())));
  expect(existsSync(path)).toBe(true);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  await expect.poll(() => existsSync(path), { timeout: 10_000 }).toBe(false);
});

const prot = machines.find((m) => m.cpu?.mode === 'prot32') as MachineConfig;
test.runIf(installed['qemu-tcg'])(
  'what a return to virtual-8086 mode leaves in EFLAGS of QEMU is not there in the next case',
  { timeout: 60_000 },
  async () => {
    const target = await connect('qemu-tcg');
    const state = startState(prot, 0);
    const VIP = 1n << 20n;
    const words = [0n, 0x1000n, (1n << 17n) | VIP | 2n, 0xff0n, 0x1000n, 0x1000n, 0x1000n, 0x1000n, 0x1000n];
    const stack = Uint8Array.from(words.flatMap((word) => [0n, 8n, 16n, 24n].map((by) => Number((word >> by) & 0xffn))));
    const write = (at: bigint, bytes: Uint8Array): Stimulus => ({ do: 'memory.write', at: at as Gpa, bytes });
    const run = (...bytes: readonly number[]): readonly Stimulus[] => [
      write(BigInt(code), Uint8Array.from(bytes)),
      write(state.rsp, stack),
      { do: 'cpu.run', state, limit: 10 },
    ];
    // IRET to 1000H:0, where it stands itself, and is #GP there; then INT3 alone, twice.
    const given = [run(0xcf), run(0xcc), run(0xcc)];
    const ran = await target.runAll?.(prot, given);
    await target.close();
    if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
    const flags = allOf(ran.answers, given).map((answers) => {
      const last = answers.at(-1);
      const stopped = last !== undefined && 'saw' in last ? last.saw.find((o) => o.saw === 'cpu.stopped') : undefined;
      return stopped?.saw === 'cpu.stopped' ? [stopped.by, ((stopped.state.rflags ?? 0n) & VIP) !== 0n] : undefined;
    });
    expect(flags).toEqual([
      ['stop', true],
      ['stop', false],
      ['stop', false],
    ]);
  },
);

describe.skipIf(!installed['qemu-tcg'])('a MOV to CR4 with a reserved bit, at which QEMU takes a #VMEXIT of no guest', () => {
  test.each(['real', 'prot32', 'v86', 'long64'] as const)(
    'is told as a hang, and the next case is as before: %s',
    { timeout: 60_000 },
    async (mode) => {
      const machine = machines.find((m) => m.cpu?.mode === mode) as MachineConfig;
      const target = await connect('qemu-tcg');
      const state = startState(machine, 0);
      const run = (...bytes: readonly number[]): readonly Stimulus[] => [
        { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.from(bytes) },
        { do: 'cpu.run', state: { ...state, rax: 0x8000_0000n }, limit: 10 },
      ];
      const [plain, reserved] = [run(0x01, 0xc8, 0x50, 0xcc), run(0x0f, 0x22, 0xe0, 0xcc)];
      const given = [plain, reserved, plain, reserved, reserved, plain];
      const ran = await target.runAll?.(machine, given);
      await target.close();
      if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
      const [first, hung, second, again, alike, last] = allOf(ran.answers, given);
      expect(stopOf(first ?? [])).toEqual(['stop', 3]);
      expect([second, last]).toEqual([first, first]);
      // At CPL 3 of virtual-8086 mode it is #GP(0), as everywhere.
      const told = mode === 'v86' ? { saw: expect.anything() } : { broke: expect.stringContaining('hangs') };
      expect([hung, again, alike].map((answers) => answers?.at(-1))).toEqual([told, told, told]);
    },
  );
});

describe.each(['ref-rom', 'bochs', 'qemu-tcg'])('%s, where a program writes', (name) => {
  const modes = ['real', 'prot32', 'long64', 'compat'] as const;
  test.skipIf(installed[name] === false).each(modes)('tells that and nothing else, of any page: %s', { timeout: 60_000 }, async (mode) => {
    const machine = machines.find((m) => m.cpu?.mode === mode) as MachineConfig;
    const target = await connect(name);
    const state = startState(machine, 0);
    // MOV [moffs], EAX by 32-bit addresses. Furnished pages, pages that only hold the fill byte, one whose bytes the case itself puts, the page table.
    const wide = mode === 'real' ? [0x66] : mode === 'long64' ? [0x67] : [];
    const value = [0xcc, 0xcc, 0xcc, 0x5a];
    const write = (at: number, ...bytes: readonly number[]): Stimulus => ({
      do: 'memory.write',
      at: BigInt(at) as Gpa,
      bytes: Uint8Array.from(bytes),
    });
    const offset = (at: number): readonly number[] => {
      const to = mode === 'real' ? at - Number(state.ds.base) : at;
      return mode === 'real' ? [to, to >> 8] : [to, to >> 8, to >> 16, to >> 24];
    };
    const run = (at: number, ...before: readonly Stimulus[]): readonly Stimulus[] => [
      ...before,
      write(code, ...wide, 0xa3, ...offset(at), 0xcc),
      { do: 'cpu.run', state: { ...state, rax: 0x5acc_ccccn }, limit: 10 },
    ];
    const places =
      mode === 'real' ? [0x14000, 0x17ffc, 0x1c004, 0x14fff] : [0x3ff0, 0xa01c, 0xa1f8, 0x14000, 0x17ffc, 0x1c004, 0x14fff, 0x2fffc];
    const given = [
      ...places.map((at) => run(at)),
      run(0x14800, write(0x14800, 1, 2, 3, 4)),
      run(0x14800, write(0x14800, ...value)),
      run(0x14800, write(0x14790, ...new Uint8Array(200))),
      run(0x14800),
    ];
    const ran = await target.runAll?.(machine, given);
    await target.close();
    if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
    const seen = allOf(ran.answers, given).map((answers) => {
      const last = answers.at(-1);
      if (last === undefined || !('saw' in last)) return last;
      expect(stopOf(answers)).toEqual(['stop', 3]);
      const changed = last.saw.find((o) => o.saw === 'memory.changed');
      const writes = changed?.saw === 'memory.changed' ? changed.writes : [];
      // The frame of the breakpoint stands on the stack, apart from all this.
      return writes
        .filter((w) => w.at < state.rsp - 0x40n || w.at > state.rsp)
        .filter((w) => mode !== 'real' || w.at < 0x17f00n || w.at >= 0x17ff8n)
        .map((w) => [Number(w.at), ...w.bytes]);
    });
    const told = (at: number): unknown => [[at + 3, 0x5a]];
    expect(seen.slice(places.length)).toEqual([[[0x14800, ...value]], [], [[0x14800, ...value]], told(0x14800)]);
    for (const [i, at] of places.entries()) {
      // Of the page table nothing is told: the agent has cleared dirty flags there.
      if (at >= 0xa000 && at < 0xb000) expect(seen[i]).toEqual({ unsupported: expect.stringContaining('page table') });
      else expect(seen[i]).toEqual(told(at));
    }
  });
});

describe.each(['ref-rom', 'bochs', 'qemu-tcg'])('%s, where a program reads the entry of a page', (name) => {
  const paged = machines.filter(
    (m) => m.cpu?.paging !== 'none' && m.cpu?.paging !== '5-level' && m.cpu?.mode !== 'v86' && m.cpu?.mode !== 'prot16',
  );
  test.skipIf(installed[name] === false).each(paged.map((m) => [`${m.cpu?.mode} ${m.cpu?.paging}`, m] as const))(
    'tells nothing, and all of the program after it: %s',
    { timeout: 60_000 },
    async (_, machine) => {
      const target = await connect(name);
      const state = startState(machine, 0);
      const load = (at: number): readonly Stimulus[] => [
        { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.of(0x8a, 0x06, 0xcc) },
        { do: 'cpu.run', state: { ...state, rsi: BigInt(at) }, limit: 10 },
      ];
      const given = [load(0xa0a0), load(0x14200), load(0xaff0), load(0x9000), load(0xb000), load(0x28100)];
      const ran = await target.runAll?.(machine, given);
      await target.close();
      if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
      const [entry = [], plain = [], end = [], above = [], behind = [], far = []] = allOf(ran.answers, given);
      for (const answers of [entry, end]) expect(answers.at(-1)).toEqual({ unsupported: expect.stringContaining('page table') });
      for (const answers of [plain, above, behind, far]) expect(stopOf(answers)).toEqual(['stop', 3]);
    },
  );
});

describe.each(['bochs', 'qemu-tcg'])('%s, after a case that its watchdog ends', (name) => {
  const real = machines.find((m) => m.cpu?.mode === 'real') as MachineConfig;
  test.runIf(installed[name]).each([
    ['real', real],
    ['long64', long],
  ] as const)('goes on as before: %s', { timeout: 60_000 }, async (mode, machine) => {
    const target = await connect(name);
    const state = startState(machine, 0);
    const run = (bytes: readonly number[], edit: Partial<typeof state> = {}): readonly Stimulus[] => [
      { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.from(bytes) },
      { do: 'cpu.run', state: { ...state, ...edit }, limit: 2000 },
    ];
    const plain = run([0x01, 0xc8, 0xcc]);
    // JMP itself; then REP STOSD or STOSQ over 32 or 8 KiB: in real-address mode the agent has more to put back than a case may take.
    const loop = run([0xeb, 0xfe]);
    const stores = mode === 'real' ? [0x66, 0xf3, 0xab, 0xcc] : [0xf3, 0x48, 0xab, 0xcc];
    const much = run(stores, { rcx: mode === 'real' ? 0x2000n : 0x400n, rdi: state.rbx, rax: 0x5aa5_a55an });
    const given = [plain, loop, plain, much, loop, much, plain];
    const ran = await target.runAll?.(machine, given);
    await target.close();
    if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
    const [first, endless, second, large, again, alike, last] = allOf(ran.answers, given);
    expect([first, large].map((a) => stopOf(a ?? []))).toEqual([
      ['stop', 3],
      ['stop', 3],
    ]);
    expect([endless, again].map((a) => stopOf(a ?? []))).toEqual([
      ['limit', undefined],
      ['limit', undefined],
    ]);
    expect([second, alike, last]).toEqual([first, large, first]);
  });
});
