// Which far transfers surely end at once: at INT3, at a stop, in a fault; and which may go on.

import { expect, test } from 'vitest';
import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { code, data, gdt, selectors, stops } from '../instructions/layout.ts';
import { startState } from '../instructions/state.ts';
import { machines } from '../instructions/suite.ts';
import { endOfFar } from './far-target.ts';
import { machineBytes } from './image.ts';

const machineOf = (mode: string): MachineConfig => machines.find((m) => m.cpu?.mode === mode && m.cpu.paging === 'none') as MachineConfig;
const end = (mode: CpuMachine['mode'], offset: number, selector: number, width: 2 | 4): number | undefined => {
  const machine = machineOf(mode);
  const memory = machineBytes(machine).slice();
  // NOP where programs start: what goes on there is not known.
  memory[code] = 0x90;
  const view = new DataView(memory.buffer);
  if (width === 2) view.setUint16(data, offset, true);
  else view.setUint32(data, offset, true);
  view.setUint16(data + width, selector, true);
  return endOfFar(mode, startState(machine, 0), memory, data, width);
};
test.each<[string, number, number, 2 | 4, number | undefined]>([
  ['INT3', 0x200, code >> 4, 2, -1],
  ['a stop', Number(stops.at) + 0x30, 0, 2, -1],
  ['code', 0, code >> 4, 2, undefined],
  ['the agent', 0, 0x3000, 2, undefined],
  ['past the limit, to code', 0x10000, 0, 4, undefined],
])('real: %s', (_, offset, selector, width, expected) => {
  expect(end('real', offset, selector, width)).toBe(expected);
});
test.each<[string, number, number, number | undefined]>([
  ['INT3', code + 0x200, selectors.kernelCode32, gdt + selectors.kernelCode32],
  ['a stop', Number(stops.at) + 0x30, selectors.kernelCode32, gdt + selectors.kernelCode32],
  ['code', code, selectors.kernelCode32, undefined],
  ['no memory', 0x8000_0000, selectors.kernelCode32, undefined],
  ['a null selector', code, 3, -1],
  ['a data segment', code, selectors.kernelData, -1],
  ['past the table', code, 0xfff8, -1],
  ['a TSS', code, selectors.otherTss, undefined],
  ['a call gate', code, selectors.callGate0, undefined],
])('protected: %s', (_, offset, selector, expected) => {
  expect(end('prot32', offset, selector, 4)).toBe(expected);
});
