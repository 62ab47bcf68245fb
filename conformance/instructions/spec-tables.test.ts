// The tables of the spec: forms that decode to themselves, meanings for all, the classification, and every row's end.
// What a table says is checked against facts written here, not against the code that reads it.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decode } from '../../spec/instructions/decode.ts';
import { classOf, exists, forms, instructions, isHole, kindOf, robinIrvine, type Setting } from '../../spec/instructions/index.ts';
import { hasMeaning } from '../../spec/instructions/meaning/index.ts';

const of = (hex: string, code: 16 | 32 | 64 = 64): { id: string; length: number } | string => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const i = decode((k) => bytes[k] ?? 0xcc, { code, protected: true });
  return 'notCovered' in i ? i.notCovered : { id: i.form.id, length: i.length };
};
describe('decoder', () => {
  test.each([
    ['48 01 d8', 64, 'ADD Ev,Gv', 3],
    ['90', 64, 'NOP', 1],
    ['41 90', 64, 'XCHG Zv,rAX', 2],
    ['f3 90', 64, 'PAUSE', 2],
    ['48 b8 11 22 33 44 55 66 77 88', 64, 'MOV Zv,Iv', 10],
    ['63 c1', 32, 'ARPL Ew,Gw', 2],
    ['48 63 c1', 64, 'MOVSXD Gv,Ez', 3],
    ['c8 10 00 01', 32, 'ENTER Iw,Ib', 4],
    ['ea 11 22 33 44 10 00', 32, 'JMPF Ap', 7],
    ['66 ea 11 22 10 00', 32, 'JMPF Ap', 6],
    ['8b 04 25 00 00 00 00', 64, 'MOV Gv,Ev', 7],
    ['8b 05 00 00 00 00', 64, 'MOV Gv,Ev', 6],
    ['67 8b 07', 32, 'MOV Gv,Ev', 3],
    ['8b 06 34 12', 16, 'MOV Gv,Ev', 4],
    ['0f 01 f8', 64, 'SWAPGS', 3],
    ['0f 20 00', 64, 'MOV Rq,Cq', 3],
    ['f3 0f c7 f8', 64, 'RDPID Rq', 4],
    ['f0 0f b1 0b', 64, 'CMPXCHG Ev,Gv', 4],
    ['a1 00 00 00 00 00 00 00 00', 64, 'MOV rAX,Ov', 9],
    ['a1 00 00 00 00', 32, 'MOV rAX,Ov', 5],
  ] as const)('%s in %i-bit code', (hex, code, id, length) => {
    expect(of(hex, code)).toEqual({ id, length });
  });
  test('says what it does not know', () => {
    expect(of('d9 c0')).toBe('opcode 0:d9');
    expect(of('c5 f8 77')).toBe('VEX or EVEX prefix');
  });
});
describe('forms', () => {
  test('are told apart by their ids and have a meaning each', () => {
    expect(new Set(forms.map((f) => f.id)).size).toBe(forms.length);
    expect(forms.filter((f) => !hasMeaning(f)).map((f) => f.id)).toEqual([]);
  });
});
const classic: Setting = { mode: 'prot32', umip: false, tsd: false, pce: false, iopl: 0 };
const holes = (setting: Setting): string[] =>
  forms
    .filter((f) => {
      const c = classOf(f, setting);
      return c !== undefined && isHole(c);
    })
    .map((f) => f.mnemonic);
describe('classification', () => {
  test('names the seventeen, all of them holes in protected mode', () => {
    expect(robinIrvine).toHaveLength(17);
    for (const { name, forms: own } of robinIrvine) {
      expect(own.length, name).toBeGreaterThan(0);
      for (const form of own)
        expect(isHole(classOf(form, classic) ?? { privileged: true, control: false, behaviour: false }), form.id).toBe(true);
    }
  });
  test('UMIP closes five', () => {
    const open = new Set(holes({ ...classic, umip: true }));
    expect([...new Set(holes(classic))].filter((m) => !open.has(m)).sort()).toEqual(['SGDT', 'SIDT', 'SLDT', 'SMSW', 'STR']);
  });
  test('virtual-8086 mode below IOPL 3 closes the flag instructions, INT n and IRET', () => {
    const v86 = new Set(holes({ ...classic, mode: 'v86' }));
    for (const mnemonic of ['PUSHF', 'POPF', 'INT', 'IRET', 'CLI', 'POPSS']) expect(v86.has(mnemonic)).toBe(false);
    expect(v86.has('SGDT')).toBe(true);
    expect(new Set(holes({ ...classic, mode: 'v86', iopl: 3 })).has('POPF')).toBe(true);
  });
  test('TSD and PCE decide about time and counters', () => {
    const kind = (mnemonic: string, setting: Setting): string | undefined => {
      const form = forms.find((f) => f.mnemonic === mnemonic);
      const c = form === undefined ? undefined : classOf(form, setting);
      return c === undefined ? undefined : kindOf(c);
    };
    expect([kind('RDTSC', classic), kind('RDTSC', { ...classic, tsd: true })]).toEqual(['behaviour-sensitive', 'privileged']);
    expect([kind('RDPMC', classic), kind('RDPMC', { ...classic, pce: true })]).toEqual(['privileged', 'behaviour-sensitive']);
    expect([kind('LGDT', classic), kind('ADD', classic), kind('STI', { ...classic, iopl: 3 })]).toEqual([
      'privileged',
      'innocuous',
      'control-sensitive',
    ]);
    expect(kind('LGDT', { ...classic, mode: 'real' })).toBe('control-sensitive');
  });
  test('64-bit mode has lost LDS, POP ES and ARPL', () => {
    const gone = forms.filter((f) => exists(f, 'prot32') && !exists(f, 'long64')).map((f) => f.mnemonic);
    for (const mnemonic of ['LDS', 'POPES', 'ARPL', 'INTO', 'DAA']) expect(gone).toContain(mnemonic);
  });
});
describe('rows', () => {
  const rows = readFileSync(new URL('../../spec/instructions/rows.tsv', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  const ids = new Set(instructions.clauses.map((c) => c.id));
  test('have eight columns, unique ids and an end that exists', () => {
    expect(rows.filter((r) => r.length !== 8 || r.some((cell) => cell === ''))).toEqual([]);
    expect(new Set(rows.map((r) => r[0])).size).toBe(rows.length);
    const lost = rows
      .slice(1)
      .filter(([, , , , , , , ends = '']) =>
        ends.startsWith('clause ') ? !ids.has(ends.slice(7)) : !/^(generator|later): ?|^generator /.test(ends),
      );
    expect(lost).toEqual([]);
  });
  test('clause ids occur once and begin with the area', () => {
    expect(ids.size).toBe(instructions.clauses.length);
    expect([...ids].filter((id) => !/^instructions\.[a-z0-9-]+\.[a-z0-9-]+$/.test(id))).toEqual([]);
  });
});
