// Cases to bytes and back, and what is refused before a machine is started for it.

import { describe, expect, test } from 'vitest';
import type { CpuMachine, CpuState } from '../../spec/instructions/vocabulary.ts';
import type { Gpa, MachineConfig } from '../../spec/units.ts';
import { machineFor } from '../instructions/furniture.ts';
import { code } from '../instructions/layout.ts';
import { startState } from '../instructions/state.ts';
import { type AgentCase, encodeCase } from './case.ts';
import { machineBytes, rom, romSize } from './image.ts';
import {
  alone,
  caseAt,
  caseHeader,
  caseWord,
  ends,
  everywhere,
  resultHeader,
  stateAt,
  stateIn,
  stateSize,
  vars,
  wholeTables,
} from './map.ts';
import { decodeResult, nextResult } from './result.ts';

const long = machineFor('long64', '4-level', []);
const encode = (machine: MachineConfig, bytes: readonly number[], edit: (s: CpuState) => CpuState = (s) => s) =>
  encodeCase(machine, machineBytes(machine), [
    { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.from(bytes) },
    { do: 'cpu.run', state: edit(startState(machine, 0)), limit: 10 },
  ]);
const given = (): AgentCase => {
  const made = encode(long, [0x90, 0xcc]);
  if ('unsupported' in made) throw new Error(made.unsupported);
  return made;
};
const why = (machine: MachineConfig, bytes: readonly number[], edit?: (s: CpuState) => CpuState): string | undefined => {
  const made = encode(machine, bytes, edit);
  return 'unsupported' in made ? made.unsupported : undefined;
};

describe('a case', () => {
  test('carries its state and its patches', () => {
    const made = encode(long, [0x90, 0xcc], (s) => ({ ...s, rax: 0x1122_3344_5566_7788n, tscAux: 5n }));
    if ('unsupported' in made) throw new Error(made.unsupported);
    const { bytes } = made;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    expect([caseAt.stateWords, caseAt.words].map((at) => view.getUint8(at))).toEqual([2, 1]);
    // The words of the state that are not as usual, each with its place, then the word of memory that the patch stands in.
    const word = (i: number): readonly [number, bigint] => {
      const at = caseHeader + caseWord * i;
      return [8 * view.getUint16(at, true), view.getBigUint64(at + 2, true)];
    };
    expect([word(0), word(1)]).toEqual([
      [stateIn + stateAt.rax, 0x1122_3344_5566_7788n],
      [stateIn + stateAt.tscAux, 5n],
    ]);
    expect(word(2)).toEqual([code, 0xcccc_cccc_cccc_cc90n]);
    expect(bytes.length).toBe(caseHeader + 3 * caseWord);
  });
  test('is refused where the agent could not load, outlive or see it', () => {
    const shadowed = (s: CpuState): CpuState => ({ ...s, shadow: 'sti' });
    expect(why(long, [0x90, 0xcc])).toBeUndefined();
    expect(why(long, [0x90], shadowed)).toContain('shadow');
    expect(why(long, [0x90], (s) => ({ ...s, dr7: 0x402n }))).toContain('debug registers');
    expect(why(long, [0x90], (s) => ({ ...s, ss: { ...s.ss, limit: 5 } }))).toContain('hidden part of ss');
    expect(why(machineFor('compat', '4-level', []), [0x0f, 0x22, 0xc0], (s) => ({ ...s, rax: 0x10n }))).toContain('leaves the mode');
    // Paging without protection is an exception, which the agent does see.
    expect(why(long, [0x0f, 0x22, 0xc0], (s) => ({ ...s, rax: 0x8000_0010n }))).toBeUndefined();
  });
  test('is refused where it would take control into the agent in real-address mode, or away from its watchdog', () => {
    const real = machineFor('real', 'none', []);
    const [into, away] = ['agent’s own memory', 'watchdog’s entry'];
    expect(why(real, [0xea, 0x00, 0x02, 0x02, 0x32])).toContain(into);
    expect(why(real, [0xea, 0x00, 0x02, 0x02, 0x12])).toBeUndefined();
    // Above 1 MiB too, but not where the offset is past the limit: that is an exception.
    expect(why(real, [0xea, 0x01, 0x02, 0xff, 0xff])).toContain(into);
    expect(why(real, [0xea, 0x00, 0x00, 0xff, 0xff])).toContain(into);
    expect(why(real, [0xea, 0x0f, 0x00, 0xfe, 0xff])).toContain('where no memory is');
    expect(why(real, [0x66, 0xea, 0x00, 0x01, 0x10, 0x00, 0x00, 0x00])).toBeUndefined();
    // The same, popped, called through memory, and with a 32-bit offset.
    const stacked = (bytes: readonly number[]): CpuState => ({ ...startState(real, 0), rsp: BigInt(bytes.length) });
    for (const first of [[0xcf], [0xcb], [0xca, 2, 0]]) {
      const frame = [0x00, 0x02, 0x02, 0x32];
      expect(why(real, [...first, ...frame], () => stacked(first))).toContain(into);
    }
    expect(why(real, [0xff, 0x1e, 0x04, 0x00, 0x00, 0x02, 0x02, 0x32])).toContain(into);
    expect(why(real, [0x67, 0xff, 0x2c, 0x24, 0x00, 0x02, 0x02, 0x32], (s) => ({ ...s, rsp: 4n }))).toContain(into);
    expect(why(real, [0x66, 0xea, 0x00, 0x02, 0x00, 0x00, 0x02, 0x32])).toContain(into);
    // LIDT of a base beyond memory, of one within, and of a table too short.
    expect(why(real, [0x66, 0x0f, 0x01, 0x1e, 0x06, 0x00, 0x03, 0x02, 0x00, 0x00, 0x00, 0x80])).toContain(away);
    expect(why(real, [0x66, 0x0f, 0x01, 0x1e, 0x06, 0x00, 0x03, 0x02, 0x00, 0x00, 0x00, 0x00])).toBeUndefined();
    expect(why(real, [0x0f, 0x01, 0x1e, 0x05, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00])).toContain(away);
  });
});
describe('what is looked at', () => {
  const flags = (at: number, entry: bigint): number => {
    const word = new Uint8Array(8);
    new DataView(word.buffer).setBigUint64(0, entry, true);
    const made = encodeCase(long, machineBytes(long), [
      { do: 'memory.write', at: BigInt(at) as Gpa, bytes: word },
      { do: 'cpu.run', state: startState(long, 0), limit: 10 },
    ]);
    if ('unsupported' in made) throw new Error(made.unsupported);
    return new DataView(made.bytes.buffer, made.bytes.byteOffset).getUint8(caseAt.flags);
  };
  test.each([
    ['another entry to the same table', 0x77f8, 0x8007n, wholeTables | alone],
    ['an upper entry that is not present', 0x9010, 0x0006n, wholeTables | alone],
    ['a large page over the machine', 0x9010, 0x0087n, everywhere | alone],
    ['a page table elsewhere', 0x9010, 0xb007n, everywhere | alone],
    ['the next level skipped', 0x7008, 0x9007n, everywhere | alone],
    ['a page of another entry', 0xa088, 0x12067n, alone],
    ['another right to its own page', 0xa088, 0x11065n, alone],
    ['a page that is not present', 0xa088, 0x12066n, alone],
    ['one entry beyond the machine to a page inside', 0xa000 + 8 * 0x40, 0x12067n, alone],
  ])('%s', (_, at, entry, expected) => {
    expect(flags(at, entry)).toBe(expected);
  });
});
describe('without paging, a MOV to a control register', () => {
  const flat = machineFor('prot32', 'none', []);
  test.each([
    ['CR3', [0x0f, 0x22, 0xd8], 0xffff_ffffn, everywhere],
    ['CR0, with PE and without PG as before', [0x0f, 0x22, 0xc0], 0x1n, everywhere],
    ['CR0, with PG', [0x0f, 0x22, 0xc0], 0x8000_0001n, everywhere | alone],
    ['CR4, of what all have', [0x0f, 0x22, 0xe0], 0x6f0n, everywhere],
    ['CR4, of what some have', [0x0f, 0x22, 0xe0], 0x8000_0000n, everywhere | alone],
  ])('%s', (_, bytes, rax, expected) => {
    const made = encode(flat, [...bytes, 0xcc], (s) => ({ ...s, rax }));
    if ('unsupported' in made) throw new Error(made.unsupported);
    expect(made.bytes[caseAt.flags]).toBe(expected);
  });
});
test('a page that another entry leads to is looked at too', () => {
  const made = encodeCase(long, machineBytes(long), [
    { do: 'memory.write', at: 0xa088n as Gpa, bytes: Uint8Array.of(0x67, 0x20, 0x01) },
    { do: 'cpu.run', state: startState(long, 0), limit: 10 },
  ]);
  if ('unsupported' in made) throw new Error(made.unsupported);
  const view = new DataView(made.bytes.buffer, made.bytes.byteOffset, made.bytes.byteLength);
  expect(view.getUint8(caseAt.stateWords)).toBe(1);
  expect([8 * view.getUint16(caseHeader, true), view.getBigUint64(caseHeader + 2, true)]).toEqual([vars.also, 1n << 0x12n]);
});
describe('a result', () => {
  const record = (stop: number, changed: readonly (readonly [at: number, word: bigint])[]): Uint8Array => {
    const bytes = new Uint8Array(resultHeader + stateSize + 16 * changed.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, bytes.length, true);
    view.setUint16(4, stop, true);
    for (const [i, [at, word]] of changed.entries()) {
      view.setUint32(resultHeader + stateSize + 16 * i, at, true);
      view.setBigUint64(resultHeader + stateSize + 16 * i + 8, word, true);
    }
    return bytes;
  };
  test('names the stop and only the bytes that differ', () => {
    const results = record(3, [[0x14100, 0xcccc_cccc_cc11_22ccn]]);
    const answer = decodeResult(long, given(), results, 0);
    expect(nextResult(results, 0)).toBe(resultHeader + stateSize + 16);
    expect(answer).toMatchObject({
      saw: [
        { saw: 'memory.changed', writes: [{ at: 0x14101n, bytes: Uint8Array.of(0x22, 0x11) }] },
        { saw: 'cpu.stopped', by: 'stop', stop: 3, state: { rip: (long.cpu as CpuMachine).stops.at + 48n } },
      ],
    });
  });
  test('tells shutdown and the watchdog from events', () => {
    expect(decodeResult(long, given(), record(ends.shutdown << 8, []), 0)).toMatchObject({ saw: [{ by: 'shutdown' }] });
    expect(decodeResult(long, given(), record((ends.late << 8) | 2, []), 0)).toMatchObject({ saw: [{ by: 'limit' }] });
  });
  test('tells nothing of a shutdown with which a HLT ended: nothing but the watchdog ends it', () => {
    const ended = (bytes: readonly number[], level: number): unknown => {
      const made = encodeCase(long, machineBytes(long), [
        { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.from(bytes) },
        { do: 'cpu.run', state: startState(long, level), limit: 10 },
      ]);
      if ('unsupported' in made) throw new Error(made.unsupported);
      return decodeResult(long, made, record(ends.shutdown << 8, []), 0);
    };
    expect(ended([0xf4, 0xcc], 0)).toEqual({ unsupported: expect.stringContaining('HLT') });
    for (const told of [ended([0xf4, 0xcc], 3), ended([0x90, 0xcc], 0)]) expect(told).toMatchObject({ saw: [{ by: 'shutdown' }] });
  });
  test('tells nothing of a stop at an outer level, whose own #GP leads to it again until the watchdog or the stack ends it', () => {
    const there = (long.cpu as CpuMachine).stops.at + 13n * 16n;
    const from = [
      [0, there],
      [8, 0x10n],
    ] as const;
    expect(decodeResult(long, given(), record((ends.late << 8) | 2, from), 0)).toEqual({
      unsupported: expect.stringContaining('outer level'),
    });
    // Behind an error code.
    const frame = [
      [8, there],
      [16, 0x10n],
    ] as const;
    for (const stop of [8, 13]) expect(decodeResult(long, given(), record(stop, frame), 0)).toHaveProperty('unsupported');
    expect(decodeResult(long, given(), record(14, frame), 0)).toHaveProperty('saw');
  });
});
test('a ROM fills its size and starts at the reset vector', () => {
  const bytes = rom(long, [given().bytes]);
  expect(bytes.length).toBe(romSize);
  expect(bytes[romSize - 16]).toBe(0xe9);
  expect(() => rom(long, [new Uint8Array(romSize)])).toThrow('room for');
});
