// Where code goes to and which selectors a case loads, as its choices say.

import type { Case } from './choice.ts';
import { codeWidth, type Desk } from './desk.ts';
import { loadable, oddSelectors } from './edges.ts';
import * as at from './layout.ts';
import { entryOf } from './state.ts';

export const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
/** Code to jump to: free memory, which is INT3s. As an offset from the code segment. */
const target = (d: Desk): bigint => entryOf(d.mode) + 0x200n;
const targetsBy: { [mode in Desk['mode']]?: readonly bigint[] } = {};
export const targets = (d: Desk): readonly bigint[] => (targetsBy[d.mode] ??= targetsOf(d));
const targetsOf = (d: Desk): readonly bigint[] => [
  target(d),
  target(d) + 1n,
  codeWidth(d) === 16 ? 0xffffn : BigInt(at.pages.supervisor),
  codeWidth(d) === 16 ? 0x9800n : BigInt(at.pages.absent),
  codeWidth(d) === 16 ? 0x10000n : codeWidth(d) === 32 ? 0xffff_ffffn : 1n << 47n,
  codeWidth(d) === 16 ? 0xb000n : BigInt(at.pages.noExecute),
];
/** The selector that the case loads: plain data for data registers, else as chosen. */
export const chosenSelector = (d: Desk, c: Case, plain: number): number => {
  if (c.selector === 0) return (plain & ~3) | (c.rpl === 0 ? plain & 3 : c.rpl);
  if (d.old) return pick([0x1000, 0x1400, 0x0, 0xffff, 0x1001], c.selector);
  const i = c.selector - 1;
  const base = i < loadable.length ? at.selectors[loadable[i] as at.SelectorName] : (oddSelectors[i - loadable.length] ?? 0);
  return (base | (c.rpl === 0 && (base & 3) === 0 ? d.cpl : c.rpl)) & 0xffff;
};
export const plainData = (d: Desk): number => (d.old ? 0x1400 : d.s.ds.selector);
export const plainCode = (d: Desk): number => d.s.cs.selector;
