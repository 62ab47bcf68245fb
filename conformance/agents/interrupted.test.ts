import { expect, test } from 'vitest';
import { machines } from '../instructions/suite.ts';
import { startState } from '../instructions/state.ts';
import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import { interruptible } from './interrupted.ts';

const named = (mode: CpuMachine['mode']) => machines.find((m) => m.cpu?.mode === mode) as (typeof machines)[number];
test.each(['long64', 'prot32', 'compat', 'v86', 'prot16', 'real'] as const)('each furnished stack of %s takes an interrupt', (mode) => {
  const machine = named(mode);
  for (const cpl of mode === 'v86' ? [3] : mode === 'real' ? [0] : [0, 1, 2, 3])
    expect(interruptible(machine.cpu as CpuMachine, { state: startState(machine, cpl), patches: [] })).toBe(true);
});
test.each([2n, 0x1a800n, 0xd040n, 0xffff_ffffn])('a stack at %s may not', (rsp) => {
  const machine = named('prot32');
  const state = { ...startState(machine, 0), rsp };
  expect(interruptible(machine.cpu as CpuMachine, { state, patches: [] })).toBe(false);
  expect(interruptible(machine.cpu as CpuMachine, { state: { ...startState(machine, 3), rsp }, patches: [] })).toBe(true);
});
test('nor may any, where a program writes to gates, tasks or paging structures', () => {
  const machine = named('prot32');
  const state = startState(machine, 3);
  const wrote = (at: number): boolean => interruptible(machine.cpu as CpuMachine, { state, patches: [{ at, bytes: new Uint8Array(2) }] });
  expect([0x2010, 0x3004, 0xaffe, 0xb000, 0x10000].map(wrote)).toEqual([false, false, false, true, true]);
});
test('with SMAP no stack of 16-bit code does, which is in a page of the user’s', () => {
  const of = (mode: CpuMachine['mode'], cpl: number): boolean => {
    const machine = named(mode);
    const start = startState(machine, cpl);
    return interruptible(machine.cpu as CpuMachine, { state: { ...start, cr4: start.cr4 | (1n << 21n) }, patches: [] });
  };
  expect([of('prot16', 0), of('prot16', 3), of('prot32', 0), of('v86', 3)]).toEqual([false, true, true, true]);
});
