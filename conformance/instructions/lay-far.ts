// What far returns find on the stack: frames to the same level, to an outer one and to virtual-8086 mode.
// Intel SDM volume 2, RET and IRET/IRETD/IRETQ.

import type { Form } from '../../spec/instructions/index.ts';
import type { Case } from './choice.ts';
import { type Desk, fit, putWord } from './desk.ts';
import { chosenSelector, pick, plainCode, targets } from './lay-targets.ts';
import * as at from './layout.ts';

export const pushFrame = (d: Desk, words: readonly bigint[], size: number): void => {
  d.s.rsp = fit(d, d.s.rsp - BigInt(size * words.length));
  const top = d.s.ss.base + d.s.rsp;
  for (const [i, word] of words.entries()) putWord(d, top + BigInt(size * i), word, size);
};
export const outer = (d: Desk, c: Case): { readonly cs: number; readonly ss: number; readonly rsp: bigint } | undefined => {
  if (d.old || d.cpl !== 0 || c.rpl !== 3 || c.selector !== 0) return undefined;
  if (d.mode === 'prot16') return { cs: at.selectors.userCode16 | 3, ss: at.selectors.userData16 | 3, rsp: 0x7ff0n };
  return {
    cs: (d.mode === 'long64' ? at.selectors.userCode64 : at.selectors.userCode32) | 3,
    ss: at.selectors.userData | 3,
    rsp: BigInt(at.stackTops.user),
  };
};
/** None; DF, AC, ID, CF, OF, IF; then all arithmetic ones. */
export const flagToggles: readonly bigint[] = [0n, 0x400n, 0x40000n, 0x200000n, 1n, 0x800n, 0x200n, 0x8d5n];
/** For IRET at CPL 0 of protected mode: a frame with VM set in its flags, which leads to virtual-8086 mode. */
const to8086 = (d: Desk, c: Case): void => {
  const paragraph = (n: number): bigint => pick([0x1000n, 0x1400n, 0x1111n, 0x1234n, 0xffffn, 0x0n], n);
  const flags = pick([0x202n, 0x3202n, 0x2n, 0x7202n, 0x243202n, 0x80202n, 0x100202n, 0x13ed7n], c.imm);
  const offset = pick([0x200n, 0x201n, 0x200n, 0xff00n, 0x1fcn, 0x2ffn, 0x10200n], c.value2);
  const data = [c.value, c.value2 + 1, c.reg, c.rm].map(paragraph);
  pushFrame(
    d,
    [offset, 0x1000n, flags | 0x20000n, pick([0x7ff0n, 0x1_7ff0n, 0x8000n], c.value), pick([0x1000n, 0x1100n], c.reg), ...data],
    4,
  );
};
export const far = (d: Desk, form: Form, c: Case, size: 2 | 4 | 8): void => {
  if (form.mnemonic === 'IRET' && c.count === 7 && d.cpl === 0 && d.mode.startsWith('prot')) return to8086(d, c);
  const to = outer(d, c);
  const cs = BigInt(to?.cs ?? chosenSelector(d, c, plainCode(d)));
  if (form.mnemonic === 'RETF')
    pushFrame(d, [pick(targets(d), c.value2 > 20 ? c.value2 : 0), cs, ...(to === undefined ? [] : [to.rsp, BigInt(to.ss)])], size);
  if (form.mnemonic !== 'IRET') return;
  const flags = (d.s.rflags & ~0x20000n) ^ pick(flagToggles, c.imm);
  const pops5 = d.mode === 'long64' || to !== undefined;
  const rsp = to?.rsp ?? d.s.rsp;
  pushFrame(
    d,
    [pick(targets(d), c.value2 > 20 ? c.value2 : 0), cs, flags, ...(pops5 ? [rsp, BigInt(to?.ss ?? d.s.ss.selector)] : [])],
    size,
  );
};
