// The reference processor's local APIC: what it holds back, what it delivers, and its timer. Worked out by hand from SDM volume 3,
// Advanced Programmable Interrupt Controller: Interrupt Acceptance for Fixed Interrupts; Task Priority; APIC Timer; Interrupt Command Register.

import { expect, test } from 'vitest';
import { plugApic } from '../../reference/processor/apic.ts';
import { type Cpu, createCpu } from '../../reference/processor/cpu.ts';
import { newBlocks } from '../../reference/processor/decode.ts';
import { createRam, poke } from '../../reference/processor/ram.ts';
import { type End, run } from '../../reference/processor/run.ts';
import { loadState } from '../../reference/processor/state.ts';
import { machineFor } from './furniture.ts';
import * as at from './layout.ts';
import { startState } from './state.ts';

/** 32-bit code without paging at CPL 0; EBX points to the APIC, which `setup` has enabled. */
const apicRun = (code: string, rflags: bigint): { readonly cpu: Cpu; readonly end: End; readonly top: (n: number) => number } => {
  const config = machineFor('prot32', 'none', []);
  const ram = createRam(config.memory);
  ram.bytes.fill(config.fill);
  for (const { at: where, bytes } of config.image ?? []) poke(ram, Number(where), bytes);
  const enable = 'c783f0000000ff010000';
  poke(ram, at.code, Uint8Array.from(Buffer.from((enable + code).replaceAll(' ', ''), 'hex')));
  const cpu = createCpu(ram, () => 0);
  plugApic(cpu, ram);
  loadState(cpu, { ...startState(config, 0), rbx: 0xfee0_0000n, rflags });
  const stops = { lo: Number(at.stops.at), hi: 0, stride: at.stops.stride, count: at.stops.count };
  const end = run(cpu, newBlocks(), stops, 1000);
  return { cpu, end, top: (n) => ram.view.getUint32(Number(cpu.r64[4]) + 4 * n, true) };
};
/** MOV DWORD [EBX + offset], value. */
const store = (offset: number, value: number): string => {
  const word = (n: number): string => Buffer.from(Uint32Array.of(n).buffer).toString('hex');
  return `c783${word(offset)}${word(value)}`;
};
const STI = 'fb';
const NOP = '90';

test('an interrupt to itself arrives at the next boundary', () => {
  const { end, top } = apicRun(`${store(0x300, 0x4_0024)} ${NOP}`, 0x202n);
  expect([end.by, end.stop, top(0)]).toEqual(['stop', 0x24, 0x10014]);
});
test('the task priority holds its class and those below it back', () => {
  const { end } = apicRun(`${store(0x80, 0x20)} ${store(0x300, 0x4_002f)} ${NOP}`, 0x202n);
  expect(end).toEqual({ by: 'stop', stop: 3 });
  const above = apicRun(`${store(0x80, 0x10)} ${store(0x300, 0x4_0024)} ${NOP}`, 0x202n);
  expect(above.end.stop).toBe(0x24);
});
test('IF holds it back until STI and one more instruction', () => {
  const { end, top } = apicRun(`${store(0x300, 0x4_0024)} ${NOP} ${STI} ${NOP} ${NOP}`, 2n);
  expect([end.stop, top(0)]).toEqual([0x24, 0x10017]);
});
test('a one-shot timer wakes a halted processor', () => {
  const { end, top } = apicRun(`${store(0x3e0, 0xb)} ${store(0x320, 0x25)} ${store(0x380, 500)} f4`, 0x202n);
  expect([end.stop, top(0)]).toEqual([0x25, 0x10029]);
});
test('a masked timer does not', () => {
  const { end } = apicRun(`${store(0x3e0, 0xb)} ${store(0x320, 0x1_0025)} ${store(0x380, 500)} f4`, 0x202n);
  expect(end.by).toBe('halt');
});
test('a timer interrupts after as many instructions as it counts', () => {
  // The store that starts it is the last before; each NOP is one.
  const { end, top } = apicRun(`${store(0x3e0, 0xb)} ${store(0x320, 0x25)} ${store(0x380, 5)} ${NOP.repeat(12)}`, 0x202n);
  expect(end.stop).toBe(0x25);
  expect(top(0)).toBe(0x10028 + 5);
});
test('in service it holds its class back until EOI', () => {
  const again = `${store(0x300, 0x4_0024)} ${NOP}`;
  const held = apicRun(again, 0x202n);
  // The handler runs with 24H in service; another of its class only waits.
  poke(
    held.cpu.ram,
    Number(at.stops.at) + at.stops.stride * 0x24,
    Uint8Array.from(Buffer.from(`${store(0x300, 0x4_0025)}${STI}${NOP}cc`.replaceAll(' ', ''), 'hex')),
  );
  expect([run(held.cpu, newBlocks(), { lo: 0x4030, hi: 0, stride: 16, count: 1 }, 100).by, held.cpu.apic?.waiting()]).toEqual(['stop', -1]);
});
