// What completed instructions leave, and what must stay, told by hand: kept with the right answer, broken with one thing spoilt.
// The rows are in spec-results.ts, spec-results-system.ts, spec-results-tasks.ts, spec-results-redirected.ts and spec-stays.ts.

import { describe, expect, test } from 'vitest';
import { instructions } from '../../spec/instructions/index.ts';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import { completes, delivers, faults } from './spec-answers.ts';
import { pageTable } from './layout.ts';
import { type Answered, type Setting, tell } from './spec-history.ts';
import { courses } from './spec-courses.ts';
import { results } from './spec-results.ts';
import { redirectedResults } from './spec-results-redirected.ts';
import { systemResults } from './spec-results-system.ts';
import { taskResults } from './spec-results-tasks.ts';
import { type Change, type Patches, type Row, user, kernel, sys, d } from './spec-row.ts';
import { stays } from './spec-stays.ts';

const simple: readonly (readonly [topic: string, setting: Setting, code: string])[] = [
  ['alu', user, '01d8'],
  ['shift', user, 'd1e0'],
  ['multiply', user, 'f7e1'],
  ['bit', user, '0fabc8'],
  ['move', user, '89d8'],
  ['string', user, 'a4'],
  ['stack', user, '58'],
  ['branch', user, 'eb00'],
  ['far', user, 'ff2b'],
  ['flag', user, 'f9'],
  ['segment', user, '8cd8'],
  ['table', user, '0f00c8'],
  ['probe', user, '0f02c1'],
  ['io', kernel, 'e460'],
  ['control', kernel, '0f20c0'],
  ['debug', kernel, '0f21c0'],
  ['msr', { ...kernel, features: ['nx', 'syscall'] }, '0f30'],
  ['time', user, '0fa2'],
  ['call', sys, '0f05'],
  ['cache', user, '90'],
];
const rows: readonly Row[] = [...results, ...systemResults, ...taskResults, ...redirectedResults, ...stays, ...courses];
const told = new Set([...rows.map((r) => r.clause), ...simple.map(([topic]) => `${topic}.completes`)].map((c) => `instructions.${c}`));
describe('results and what stays', () => {
  test.each(rows)('$clause', ({ clause, setting = user, code, change = {}, patches = [], good, spoil, run = {} }) => {
    const id = `instructions.${clause}`;
    const kept = tell(setting, code, change, (b) => good(b, setting), patches, run);
    expect(kept.findings).toEqual([]);
    expect(kept.kept).toContain(id);
    expect(tell(setting, code, change, (b) => spoil(good(b, setting), b, setting), patches, run).broken).toContain(id);
  });
  test.each(simple)('%s.completes', (topic, setting, code) => {
    const change: Change = topic === 'far' ? {} : topic === 'msr' ? { rcx: 0xc0000082n, rdx: 0n } : {};
    const patches: Patches = topic === 'far' ? [[d, '000101003300']] : [];
    expect(tell(setting, code, change, (b) => faults(setting, b, 6), patches).broken).toContain(`instructions.${topic}.completes`);
    const row = rows.find((r) => r.clause.startsWith(`${topic}.`) && r.run === undefined);
    if (row !== undefined)
      expect(
        tell(row.setting ?? user, row.code, row.change ?? {}, (b) => row.good(b, row.setting ?? user), row.patches ?? []).kept,
      ).toContain(`instructions.${topic}.completes`);
  });
  test('an unknown instruction is undecided, neither kept nor broken', () => {
    const { findings, unknown } = tell(user, 'd9c0', {}, (b) => completes(user, b, b.rip + 2n));
    expect(findings).toEqual([]);
    expect(unknown).toEqual(['instructions.priority.permitted']);
  });
  test('a program that reads an entry whose accessed flag may be set ahead of need is not judged', () => {
    const entry = pageTable + 8 * 0x13;
    const read = (before: string, rax: bigint): ReturnType<typeof tell> =>
      tell(kernel, '8a06', { rax: 0n, rsi: BigInt(entry) }, (b) => completes(kernel, b, b.rip + 2n, { after: { rax } }), [[entry, before]]);
    // Accessed already, or not present: it stays what it is.
    expect(read('23', 0x23n).kept).toContain('instructions.move.registers');
    expect(read('23', 0x03n).broken).toContain('instructions.move.registers');
    expect(read('02', 0x22n).broken).toContain('instructions.move.registers');
    for (const rax of [0x03n, 0x23n]) {
      const told = read('03', rax);
      expect(told.findings).toEqual([]);
      expect(told.kept).not.toContain('instructions.move.registers');
    }
  });
  test.each([
    ['of the stop', 0x04, '63', 0x80n],
    ['of its own code', 0x10, '67', 0x62n],
  ])(
    'a program that changes the entry of a page that is needed then is not judged: %s; the old one may be cached',
    (_, page, stands, al) => {
      const entry = pageTable + 8 * page;
      const store = (value: bigint, answer: (b: CpuState) => Answered): ReturnType<typeof tell> =>
        tell(kernel, '8806', { rax: value, rsi: BigInt(entry) }, answer, [[entry, stands]]);
      const ends = (b: CpuState): Answered => completes(kernel, b, b.rip + 2n, { writes: [[entry, al, 1]] });
      for (const answer of [ends, (): Answered => ({ by: 'shutdown', writes: [[entry, al, 1]], state: {} })]) {
        const told = store(al, answer);
        expect(told.findings).toEqual([]);
        expect(told.kept).not.toContain('instructions.move.completes');
      }
      // What stands there is stored once more: nothing changes.
      expect(store(BigInt(`0x${stands}`), (b) => completes(kernel, b, b.rip + 2n)).kept).toContain('instructions.move.completes');
    },
  );
  test('whether a trap follows an STI that sets IF is open but on Intel processors', () => {
    const sti = (vendor: 'intel' | 'amd'): ReturnType<typeof tell> =>
      tell({ ...kernel, vendor }, 'fb', { rflags: 0x102n }, (b) =>
        completes(kernel, b, b.rip + 1n, { after: { rflags: b.rflags | 0x200n } }),
      );
    expect(sti('intel').broken).toContain('instructions.step.trap');
    expect(sti('amd').broken).toEqual([]);
  });
  test('whether an interrupt is still delivered where the run ends at a stop is open', () => {
    // JMP to the stop of vector 3.
    const jump = (answer: (b: CpuState) => Answered): ReturnType<typeof tell> =>
      tell(kernel, 'e92b40ffff', { rflags: 0x202n }, answer, [], { interrupt: { vector: 0x21, after: 1 } });
    for (const answer of [
      ({ rflags }: CpuState): Answered => ({ stop: 3, state: { rip: 0x4030n, rflags } }),
      (b: CpuState): Answered => delivers(kernel, b, { vector: 0x21, rip: 0x4030n, rflags: b.rflags }),
    ])
      expect(jump(answer)).toMatchObject({ findings: [], broken: [] });
  });
  test('segments are kept only by targets that answer for what ring 3 meets', () => {
    for (const [offers, kept] of [
      [['cpu', 'memory.seen'], false],
      [['cpu', 'cpu.ring3', 'memory.seen'], true],
    ] as const) {
      const told = tell({ ...user, offers }, '90', {}, ({ rip, rflags }) => ({ stop: 3, state: { rip: rip + 2n, rflags } }));
      expect(told.findings).toEqual([]);
      expect(told.kept).toContain('instructions.unchanged.registers');
      expect(told.kept.includes('instructions.unchanged.segments')).toBe(kept);
    }
  });
  test('a longer program that cannot be followed is judged only by what holds of any', () => {
    const { findings, kept, unknown } = tell(user, '90d9c0', {}, (b) => faults(user, b, 6));
    expect([findings, unknown]).toEqual([[], []]);
    expect(kept.filter((id) => id !== 'machine.alive')).toEqual(['instructions.memory.contained']);
  });
  test('every clause without a fault of its own has a row here', () => {
    const here = instructions.clauses.map((c) => c.id).filter((id) => !told.has(id));
    expect(here.filter((id) => !instructions.clauses.find((c) => c.id === id)?.says.includes('#'))).toEqual([]);
  });
});
