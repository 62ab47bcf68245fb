// What goes on where no memory is, surely, is not given to an agent; what faults, or may, runs, and so does all that stays in memory. And which cases need
// little of the watchdog's time.

import { describe, expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import type { Gpa, MachineConfig } from '../../spec/units.ts';
import { machineFor } from '../instructions/furniture.ts';
import { code } from '../instructions/layout.ts';
import { startState } from '../instructions/state.ts';
import { machines } from '../instructions/suite.ts';
import { encodeCase } from './case.ts';
import { machineBytes } from './image.ts';
import { brief, caseAt } from './map.ts';

const real = machines.find((m) => m.cpu?.mode === 'real') as MachineConfig;
const flat = machines.find((m) => m.cpu?.mode === 'prot32' && m.cpu.paging === 'none') as MachineConfig;
const astray = 'a program that goes on where no memory is';
interface Given {
  readonly bytes: readonly number[];
  readonly edit?: Partial<CpuState>;
  readonly stack?: readonly number[];
}
const encode = (machine: MachineConfig, { bytes, edit = {}, stack = [] }: Given) => {
  const state = { ...startState(machine, 0), ...edit };
  const top = (state.ss.base + state.rsp) as Gpa;
  return encodeCase(machine, machineBytes(machine), [
    { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.from(bytes) },
    { do: 'memory.write', at: top, bytes: Uint8Array.from(stack) },
    { do: 'cpu.run', state, limit: 10 },
  ]);
};
const why = (machine: MachineConfig, given: Given): string | undefined => {
  const made = encode(machine, given);
  return 'unsupported' in made ? made.unsupported : undefined;
};
const le32 = (value: number): readonly number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
const [ZF, TF] = [0x42n, 0x102n];

describe('is refused', () => {
  test.each<[string, Given]>([
    ['JMP', { bytes: [0xe9, ...le32(0x80000000), 0xcc] }],
    ['CALL', { bytes: [0xe8, ...le32(0x80000000), 0xcc] }],
    ['JZ that is taken', { bytes: [0x0f, 0x84, ...le32(0x80000000), 0xcc], edit: { rflags: ZF } }],
    ['RET', { bytes: [0xc3, 0xcc], stack: le32(0xcccccccc) }],
    ['JMP by a register', { bytes: [0xff, 0xe0, 0xcc], edit: { rax: 0x40000n } }],
  ])('flat: %s', (_, given) => {
    expect(why(flat, given)).toBe(astray);
  });
  test.each<[string, Given]>([
    ['RETF', { bytes: [0xcb, 0xcc], stack: [0xcc, 0xcc, 0xcc, 0xcc] }],
    ['JMP far', { bytes: [0xea, 0, 0, 0, 0xd0, 0xcc] }],
    ['IRETD', { bytes: [0x66, 0xcf, 0xcc], stack: [...le32(0x1000), ...le32(0xe000), ...le32(2)] }],
  ])('real: %s', (_, given) => {
    expect(why(real, given)).toBe(astray);
  });
});
describe('is run', () => {
  test.each<[string, Given]>([
    ['JMP into memory', { bytes: [0xe9, ...le32(0x100), 0xcc] }],
    ['LOCK before it', { bytes: [0xf0, 0xe9, ...le32(0x80000000), 0xcc] }],
    ['JZ that is not taken', { bytes: [0x0f, 0x84, ...le32(0x80000000), 0xcc] }],
    ['JMP of 16 bits', { bytes: [0x66, 0xe9, 0x00, 0x80, 0xcc] }],
    ['a trap before the next instruction', { bytes: [0xe9, ...le32(0x80000000), 0xcc], edit: { rflags: TF } }],
    ['CALL whose stack is not where it seems', { bytes: [0xe8, ...le32(0x80000000), 0xcc], edit: { rsp: 2n } }],
    ['RET into memory', { bytes: [0xc3, 0xcc], stack: le32(code) }],
  ])('flat: %s', (_, given) => {
    // A program at an outer level may be stepped.
    const outer = given.edit?.rflags === TF ? { ...given, edit: { ...startState(flat, 3), rflags: TF } } : given;
    expect(why(flat, outer)).toBeUndefined();
  });
  test.each<[string, Given]>([
    ['RETF past the limit', { bytes: [0x66, 0xcb, 0xcc], stack: [...le32(0x80000000), 0, 0xe0, 0, 0] }],
    ['JMP past the limit', { bytes: [0x66, 0xe9, ...le32(0x80000000), 0xcc] }],
    ['RETF whose words wrap', { bytes: [0xcb, 0xcc], edit: { rsp: 0xfffen }, stack: [0xcc, 0xcc] }],
    ['INT', { bytes: [0xcd, 0x81, 0xcc] }],
  ])('real: %s', (_, given) => {
    expect(why(real, given)).toBeUndefined();
  });
});
test.each<[boolean, readonly number[]]>([
  [true, [0xe9, 0xfb, 0xff, 0xff, 0xff]],
  [true, [0xf4, 0xcc]],
  [true, [0x0f, 0x01, 0xc9, 0xcc]],
  [false, [0x01, 0xc8, 0xcc]],
  [false, [0xc3, 0xcc, 0xf3, 0xaa, 0xcc]],
  [false, [0x0f, 0x22, 0xe0, 0xcc]],
  [false, [0x66, 0x9a, 0, 0, 1, 0, 0, 0, 0xcc]],
])('brief: %s, %j', (expected, bytes) => {
  const made = encode(machineFor('long64', '4-level', []), { bytes });
  if ('unsupported' in made) throw new Error(made.unsupported);
  expect(((made.bytes[caseAt.flags] ?? 0) & brief) !== 0).toBe(expected);
});
test('brief: in real-address mode what 66H leads past the limit is, where it leads to nothing', () => {
  const flags = (stack: readonly number[]): number => {
    const made = encode(real, { bytes: [0x66, 0xcf, 0xcc], stack });
    if ('unsupported' in made) throw new Error(made.unsupported);
    return (made.bytes[caseAt.flags] ?? 0) & brief;
  };
  expect(flags([...le32(0x8000_0000), ...le32(0), ...le32(2)])).toBe(brief);
  expect(flags([...le32(0x0100_0000), ...le32(0), ...le32(2)])).toBe(brief);
  expect(flags([...le32(0x000b_0000), ...le32(0), ...le32(2)])).toBe(brief);
  // To memory of the machine, to the agent's copies, to its results.
  for (const at of [0x0002_0000, 0x000f_0000, 0x0020_0000, 0x0200_0000]) expect(flags([...le32(at), ...le32(0), ...le32(2)])).toBe(0);
});
