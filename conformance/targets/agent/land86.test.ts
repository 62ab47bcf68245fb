// After a switch from virtual-8086 mode to a task of 16 bits, which leaves VM set in QEMU, the agent takes over and tells it, and goes on with other cases.

import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { Answer, Gpa, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { connect } from '../../connect.ts';
import { code, gdt, idt, selectors, tss2 } from '../../instructions/layout.ts';
import { startState } from '../../instructions/state.ts';
import { machines } from '../../instructions/suite.ts';
import { allOf } from '../answers.fixture.ts';

const has = (program: string): boolean => spawnSync(program, ['--help'], { timeout: 20_000 }).error === undefined;
const stopOf = (answers: readonly Answer[]): unknown => {
  const last = answers.at(-1);
  const stopped = last !== undefined && 'saw' in last ? last.saw.find((o) => o.saw === 'cpu.stopped') : undefined;
  return stopped?.saw === 'cpu.stopped' ? [stopped.by, stopped.stop] : last;
};

for (const [name, program] of [
  ['bochs', 'bochs-bin'],
  ['qemu-tcg', 'qemu-system-x86_64'],
] as const)
  test.runIf(has(program))(`${name}: the agent takes over, and tells VM`, { timeout: 60_000 }, async () => {
    const machine = machines.find((m) => m.cpu?.mode === 'v86') as MachineConfig;
    const target = await connect(name);
    const write = (at: number, ...bytes: readonly number[]): Stimulus => ({
      do: 'memory.write',
      at: BigInt(at) as Gpa,
      bytes: Uint8Array.from(bytes),
    });
    // INT 21H through a task gate, which sets NT; the second TSS is one of 16 bits: IP 4C00H, FLAGS 3202H, SP 7FF0H, CS 08H, SS 68H, DS 28H.
    const task = [
      ...new Uint8Array(14),
      0x00,
      0x4c,
      0x02,
      0x32,
      ...new Uint8Array(8),
      0xf0,
      0x7f,
      ...new Uint8Array(6),
      0x28,
      0,
      0x08,
      0,
      0x68,
      0,
      0x28,
    ];
    const state = { ...startState(machine, 3), rflags: 0x23202n };
    const run = (...code8086: readonly number[]): readonly Stimulus[] => [
      write(idt + 8 * 0x21, 0, 0, selectors.otherTss, 0x01, 0, 0xe5, 0, 0),
      write(gdt + selectors.otherTss, 0x2c, 0, tss2 & 0xff, tss2 >> 8, 0, 0x81, 0, 0),
      write(tss2, ...task, ...new Uint8Array(44 - task.length)),
      write(code, ...code8086, 0xcc),
      { do: 'cpu.run', state, limit: 10 },
    ];
    const given = [run(0xcd, 0x21), run(0x90), run(0xcd, 0x21)];
    const ran = await target.runAll?.(machine, given);
    await target.close();
    if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
    const [first, plain, again] = allOf(ran.answers, given);
    expect(stopOf(first ?? [])).toEqual(['stop', 0xc0]);
    expect(stopOf(plain ?? [])).toEqual(['stop', 3]);
    expect(again).toEqual(first);
    const last = first?.at(-1);
    const stopped = last !== undefined && 'saw' in last ? last.saw.find((o) => o.saw === 'cpu.stopped') : undefined;
    expect(stopped).toMatchObject({
      state: { rflags: name === 'bochs' ? 0x7202n : 0x27202n, cs: { selector: 8 }, ss: { selector: 0x68 } },
    });
  });
