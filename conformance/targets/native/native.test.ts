// Whether ring 3 of the host answers cases truly, refuses those it would answer for the host instead of the processor, and leaves nothing behind.

import { afterAll, describe, expect, test } from 'vitest';
import type { CpuState, SeenState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa, MachineConfig, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { machineFor } from '../../instructions/furniture.ts';
import { startState } from '../../instructions/state.ts';
import { instructionsSuite, machines } from '../../instructions/suite.ts';
import type { Suite } from '../../program.ts';
import { programsOf } from '../../sample.ts';
import { allOf } from '../answers.fixture.ts';
import { assembler } from './assembler.ts';
import { rightsAt } from './rights.ts';
import { nativeTarget, probeNative } from './target.ts';

const probe = await probeNative();
if (!probe.available) console.log(`native is not tested: ${probe.reason}`);
const target: Target | undefined = probe.available ? await nativeTarget() : undefined;
afterAll(async () => {
  await target?.close();
});
const here = describe.skipIf(!probe.available);

const long = machineFor('long64', '4-level', ['nx', 'syscall']);
const compat = machineFor('compat', '4-level', ['nx', 'syscall']);
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
const on = (machine: MachineConfig, ...codes: readonly (readonly number[])[]): Promise<readonly Answer[]> =>
  whole(machine, ...codes.map((code) => program(startState(machine, 3), ...code)));
const seen = (answer: Answer | undefined): Extract<Answer, { saw: unknown }>['saw'] => {
  if (answer === undefined || !('saw' in answer)) throw new Error(JSON.stringify(answer));
  return answer.saw;
};
const stopped = (answer: Answer | undefined): { by: string; stop?: number; state: SeenState } => {
  const last = seen(answer).at(-1);
  if (last?.saw !== 'cpu.stopped') throw new Error('it never stopped');
  return last;
};

/** Stimuli of a block of the suite's programs, drawn for this target. */
const lowered = async (
  suite: Suite,
  machine: MachineConfig,
): Promise<{ granted: boolean; lowerings: readonly (readonly Stimulus[])[] }> => {
  const granting = await target?.reset(machine);
  if (granting === undefined || !('granted' in granting)) return { granted: false, lowerings: [] };
  const programs = programsOf(suite, machine, 1, 0, target?.hello.offers);
  const played = programs.map((p) => suite.play(p.choices, granting.granted, machine).next([]));
  return { granted: true, lowerings: played.map((step) => (step.done === true ? [] : step.value.do)) };
};

here.each([
  ['64-bit code', long, 8],
  ['compatibility-mode code', compat, 4],
] as const)('%s', (_, machine, word) => {
  test('runs to its end, #BP, and is seen storing', async () => {
    const [add, push] = await on(machine, [0x01, 0xc8, 0xcc], [0x50, 0xcc]);
    expect(seen(add)).toMatchObject([
      { saw: 'cpu.exception', vector: 3 },
      { saw: 'cpu.stopped', by: 'stop', stop: 3, state: { rax: 0x13n, rip: 0x10003n, ss: { selector: 0x2b } } },
    ]);
    const pushed = new Uint8Array(word).fill(0);
    pushed[0] = 0x11;
    expect(seen(push)[0]).toEqual({ saw: 'memory.changed', writes: [{ at: at(0x21ff0 - word), bytes: pushed }] });
  });
  test('is seen storing to any page: among fill bytes, fill bytes over something else, and back in a second run', async () => {
    const state = { ...startState(machine, 3), rax: 0xcccc_1122n };
    // MOV [rbx], EAX; INT3
    const store = (where: number, eax: bigint, ...before: readonly Stimulus[]): readonly Stimulus[] => [
      { do: 'memory.write', at: at(0x10000), bytes: Uint8Array.of(0x89, 0x03, 0xcc) },
      ...before,
      { do: 'cpu.run', state: { ...state, rax: eax, rbx: BigInt(where) }, limit: 100 },
    ];
    const written = (where: number): Stimulus => ({ do: 'memory.write', at: at(where), bytes: Uint8Array.of(0x33) });
    const fill = 0xcccc_ccccn;
    for (const where of [0x14000, 0x20ffc, 0x25004, 0x2fffc]) {
      const programs = [
        store(where, 0xcccc_1122n),
        store(where, fill),
        store(where, fill, written(where + 1)),
        // A page is furnished as it was again.
        store(where, 0xcc44_ccccn),
        [...store(where, 0xcccc_1122n), ...store(where, fill).slice(1)],
        store(where, fill),
      ];
      const changed = (await whole(machine, ...programs)).map((answer) =>
        seen(answer).flatMap((o) => (o.saw === 'memory.changed' ? o.writes.map((w) => [Number(w.at) - where, ...w.bytes]) : [])),
      );
      expect(changed).toEqual([[[0, 0x22, 0x11]], [], [[1, 0xcc]], [[2, 0x44]], [[0, 0xcc, 0xcc]], []]);
    }
  });
  test('faults with vector, error code and address', async () => {
    const load = (page: number): readonly number[] => [0x8a, 0x04, 0x25, 0, page, 1, 0, 0xcc]; // MOV AL, [1xx00H]
    const store = (page: number): readonly number[] => [0x88, 0x04, 0x25, 0, page, 1, 0, 0xcc];
    const answers = await on(
      machine,
      [0x0f, 0x0b],
      [0xf4],
      [0xcd, 0x30],
      [0x31, 0xc9, 0xf7, 0xf1],
      load(0xa0),
      store(0x80),
      [0xe9, 0xfb, 0xaf, 0, 0],
    );
    expect(answers.map((a) => seen(a)[0])).toEqual([
      { saw: 'cpu.exception', vector: 6 },
      { saw: 'cpu.exception', vector: 13, error: 0 },
      { saw: 'cpu.exception', vector: 13, error: 0x182 },
      { saw: 'cpu.exception', vector: 0 },
      { saw: 'cpu.exception', vector: 14, error: 4, cr2: 0x1a000n },
      { saw: 'cpu.exception', vector: 14, error: 7, cr2: 0x18000n },
      { saw: 'cpu.exception', vector: 14, error: 0x15, cr2: 0x1b000n },
    ]);
  });
  test('that steps, checks alignment or never ends comes back', async () => {
    // PUSHF; OR byte [RSP+1], 1; POPF; NOP; then the same with AC and an unaligned load
    const answers = await on(
      machine,
      [0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d, 0x90, 0xcc],
      [0x9c, 0x80, 0x4c, 0x24, 2, 4, 0x9d, 0x8b, 0x43, 1, 0xcc],
      [0xeb, 0xfe],
      [0xcc],
    );
    expect(answers.map((a) => stopped(a).stop ?? stopped(a).by)).toEqual([1, 17, 'limit', 3]);
    expect(stopped(answers[0]).state.rip).toBe(0x10008n);
  });
  test('leaves nothing to the next program', async () => {
    const store = [0xc6, 0x03, 0x99, 0xcc]; // MOV byte [RBX], 99H
    const load = [0x8a, 0x03, 0xcc]; // MOV AL, [RBX]
    const [first, second, third] = await on(machine, store, load, store);
    expect([seen(first)[0], stopped(second).state.rax]).toEqual([
      { saw: 'memory.changed', writes: [{ at: at(0x14100), bytes: Uint8Array.of(0x99) }] },
      0xccn,
    ]);
    expect(third).toEqual(first);
  });
  test('is refused where the host would answer for the processor', async () => {
    const refused = {
      sgdt: [0x0f, 0x01, 0x03],
      syscall: [0x0f, 0x05],
      int80: [0xcd, 0x80],
      hiddenSyscall: [0xeb, 0x01, 0xb8, 0x0f, 0x05, 0, 0, 0],
      openPort: [0xe4, 0x60],
      supervisorPage: [0x8a, 0x04, 0x25, 0, 0x90, 1, 0],
      freshPage: [0x8a, 0x04, 0x25, 0, 0xd0, 1, 0],
      rdtscp: [0x0f, 0x01, 0xf9],
      selector: [0xb8, 0x60, 0, 0, 0, 0x8e, 0xd8],
      selectorInMemory: [0x66, 0xc7, 0x03, 0x60, 0, 0x8e, 0x1b],
      laterSelector: [0x90, 0x8e, 0x1b],
    };
    const answers = await on(machine, ...Object.values(refused));
    expect(Object.keys(refused).filter((_name, i) => !('unsupported' in (answers[i] as Answer)))).toEqual([]);
  });
});

here('selectors that guest and host both have', () => {
  test('are loaded from memory, from the stack and by far transfers between 64-bit and 32-bit code', async () => {
    const state = startState(long, 3);
    const [word, stack] = [(selector: number): Stimulus => wordAt(0x14100, selector), 0x21000];
    const wordAt = (where: number, selector: number): Stimulus => ({
      do: 'memory.write',
      at: at(where),
      bytes: Uint8Array.of(0x00, 0x04, 1, 0, selector, 0, 0, 0),
    });
    const selectorFirst: Stimulus = { do: 'memory.write', at: at(0x14100), bytes: Uint8Array.of(0x2b, 0) };
    const popped = { ...state, rsp: BigInt(stack) };
    const answers = await whole(
      long,
      [selectorFirst, ...program(state, 0x8e, 0x03, 0xcc)], // MOV ES, [RBX]
      [word(0x2b), ...program(state, 0x0f, 0xb4, 0x03, 0xcc)], // LFS EAX, [RBX]
      [word(0x23), ...program(state, 0xff, 0x2b, 0xcc)], // JMP m16:32 to compatibility mode
      [wordAt(stack, 0x23), ...program(popped, 0xcb)], // RETF
      [word(0x10), ...program(state, 0xff, 0x2b, 0xcc)], // to code of ring 0
      [word(0x60), ...program(state, 0xff, 0x2b, 0xcc)],
    );
    expect(stopped(answers[0]).state.es).toEqual({ selector: 0x2b });
    expect(stopped(answers[1]).state).toMatchObject({ fs: { selector: 0x2b }, rax: 0x10400n });
    for (const answer of answers.slice(2, 4))
      expect(stopped(answer)).toMatchObject({ stop: 3, state: { cs: { selector: 0x23 }, rip: 0x10401n } });
    expect(seen(answers[4])[0]).toEqual({ saw: 'cpu.exception', vector: 13, error: 0x10 });
    expect(answers[5]).toHaveProperty('unsupported');
  });
});

here('programs drawn for ring 3', () => {
  test.each(machines.filter((m) => ['long64', 'compat'].includes(m.cpu?.mode ?? '') && m.cpu?.paging === '4-level'))(
    'run, nearly all, in $cpu.mode',
    async (machine) => {
      const suite = instructionsSuite as unknown as Suite;
      const { granted, lowerings } = await lowered(suite, machine);
      expect(granted).toBe(true);
      const run = await target?.runAll?.(machine, lowerings);
      if (run === undefined || !('answers' in run)) throw new Error(JSON.stringify(run));
      const answers = allOf(run.answers, lowerings);
      const ran = answers.filter((a) => 'saw' in (a.at(-1) as Answer));
      expect(ran.length / answers.length).toBeGreaterThan(0.96);
    },
  );
});

here('states and machines', () => {
  test('that ring 3 cannot have are refused in words', async () => {
    const state = startState(long, 3);
    const others: readonly CpuState[] = [
      startState(long, 0),
      { ...state, rflags: 2n },
      { ...state, ds: { ...state.ds, limit: 0xffff } },
      { ...state, cr0: state.cr0 | 8n },
      { ...state, shadow: 'sti' },
    ];
    const answers = await whole(long, program(state, 0xcc), ...others.map((s) => program(s, 0xcc)));
    expect(answers.map((a) => 'saw' in a)).toEqual([true, false, false, false, false, false]);
    expect(await target?.reset(machineFor('real', 'none', []))).toHaveProperty('unsupported');
  });
  test('stay alive through writes that would end another process', async () => {
    // MOV RAX, imm64; MOV [RAX], AL at 60H, at the canonical border's lower side, and past it
    const stores = [0x60n, 0x7fff_ffff_e000n, 0x8000_0000_0000n, 0x40_0000n].map((address) => {
      const bytes = Array.from({ length: 8 }, (_, i) => Number((address >> BigInt(8 * i)) & 0xffn));
      return [0x48, 0xb8, ...bytes, 0x88, 0x00, 0xcc];
    });
    const answers = await on(long, ...stores, [0xcc]);
    expect(answers.map((a) => ('saw' in a ? stopped(a).stop : 'unsupported'))).toEqual(['unsupported', 14, 13, 14, 3]);
  });
  test('can be asked one stimulus at a time', async () => {
    const stimuli = program(startState(long, 3), 0x50, 0xcc);
    const [batch] = await whole(long, stimuli);
    await target?.reset(long);
    let last: Answer | undefined;
    for (const stimulus of stimuli) last = await target?.apply(stimulus);
    expect(last).toEqual(batch);
  });
});

test('rights are those of all levels together', () => {
  const memory = Buffer.alloc(0xb000);
  memory.writeBigUInt64LE(0x8027n, 0x7000);
  memory.writeBigUInt64LE(0x9027n, 0x8000);
  memory.writeBigUInt64LE(0xa025n, 0x9000); // read-only below here
  memory.writeBigUInt64LE((1n << 63n) | 0x3027n, 0xa008);
  expect(rightsAt(memory, '4-level', 0x7000n, true, 0x1000n)).toEqual({
    present: true,
    user: true,
    write: false,
    execute: false,
    settled: true,
    physical: 0x3000,
  });
  expect(rightsAt(memory, '4-level', 0x7000n, true, 0x2000n).present).toBe(false);
});

test('the assembler encodes high registers, SIB bytes and jumps', () => {
  const a = assembler(0x1000n);
  a.label('here');
  a.load('r12', 'rsp', 8);
  a.store('r12', -8, 'rax', 2);
  a.set('r15', 'here');
  a.jump('here', 'equal');
  expect(a.assembled().toString('hex')).toBe('4c8ba42408000000' + '6641898424f8ffffff' + '49bf0010000000000000' + '0f84dfffffff');
});
