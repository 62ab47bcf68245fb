// What is read from CPUID, by leaves as processors give them.

import { expect, test } from 'vitest';
import { factsOf, type Leaf, nameOf } from './features.ts';

const all = 0xffff_ffff;
const top = (leaf: number, last: number): Leaf => [leaf, 0, 0, last, 0, 0, 0];
const full = (leaf: number, subleaf = 0): Leaf => [leaf, subleaf, 0, all, all, all, all];
const words = (leaf: number, text: string): Leaf => [
  leaf,
  0,
  0,
  ...[0, 4, 8, 12].map((at) => Buffer.from(text.padEnd(16, '\0')).readUInt32LE(at)),
];

test('a leaf past the last tells of no feature: some processors answer with what another leaf holds', () => {
  expect(factsOf([top(0, 5), full(7)]).has).not.toContain('smap');
  expect(factsOf([top(0, 7), full(7)]).has).toContain('smap');
  expect(factsOf([top(0x8000_0000, 0x8000_0000), full(0x8000_0001), full(0x8000_0008)])).toMatchObject({ has: [], physicalBits: 36 });
  expect(factsOf([top(0x8000_0000, 0x8000_0001), full(0x8000_0001)]).has).toContain('lahf');
});
test('a list without the number of the last leaf is taken as it is', () => {
  expect(factsOf([full(7), full(0x8000_0001)]).has).toEqual(expect.arrayContaining(['smap', 'nx']));
});
test('the name is text without commas, and absent where CPUID has none', () => {
  const named = (last: number): string | undefined =>
    nameOf([top(0x8000_0000, last), words(0x8000_0002, 'Some  CPU, of a\n'), words(0x8000_0003, 'kind'), words(0x8000_0004, 'hidden')]);
  expect(named(0x8000_0004)).toBe('Some CPU of a kind');
  expect(named(0x8000_0001)).toBeUndefined();
  expect(nameOf([top(0x8000_0000, 0x8000_0008)])).toBeUndefined();
});
