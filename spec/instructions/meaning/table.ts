// Descriptor-table and task registers, stored and loaded. Storing reveals the real ones unless UMIP forbids it.
// Intel SDM volume 2: SGDT, SIDT, SLDT, STR, LGDT, LIDT, LLDT, LTR; volume 3, Control Registers (CR4.UMIP).

import { alignmentChecked, faultsOf, load, save } from '../access.ts';
import { cr4, ones } from '../bits.ts';
import { baseOf, type Descriptor, isNull, loaded, lookup, named, unusable, upperOf } from '../descriptors.ts';
import { writeTable } from '../access.ts';
import { assignWord, isMemory, memoryPlace, setSelector, value } from '../operands.ts';
import { withBase } from '../segments.ts';
import { canonical, canonicalBase, cpl, gp, ia32e, low, ofSystem, raise, setRegister, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

export const umip = (w: Work): void => {
  if (cpl(w.s) === 0) return;
  ofSystem(w, 'CR4.UMIP');
  // Among faults of executing it no page gives an order: the operand's may come first.
  if ((low(w.s.cr4) & cr4.UMIP) !== 0)
    raise({ vector: 13, error: 0, rule: 'umip.gp' }, ...(isMemory(w, 0) ? faultsOf(() => memoryPlace(w, 2, 'write', 0n, 1)) : []));
};
const store =
  (name: 'gdtr' | 'idtr'): Meaning =>
  (w) => {
    umip(w);
    if (alignmentChecked(w)) undecided('how wide the accesses of SGDT and SIDT are');
    const size = w.i.code === 64 ? 8 : 4;
    const { base, limit } = w.s[name];
    // Limit and base may be stored apart: where one faults, the other may stand.
    const parts = [
      { at: 0n, size: 2, value: BigInt(limit & 0xffff) },
      { at: 2n, size, value: base & ones(size) },
    ];
    const faults = parts.flatMap((part) => faultsOf(() => memoryPlace(w, part.size, 'write', part.at, 1)));
    for (const part of parts) {
      if (faults.length > 0 && faultsOf(() => memoryPlace(w, part.size, 'write', part.at, 1)).length > 0) continue;
      // With a 16-bit operand the top byte of the base is 0 or stored: the page leaves both.
      const loose = part.size === 4 && w.i.operandSize === 2 ? 0xff000000n : 0n;
      save(w, memoryPlace(w, part.size, 'write', part.at, 1), part.size, part.value, loose);
    }
    if (faults.length > 0) raise(...faults);
  };
const take =
  (name: 'gdtr' | 'idtr'): Meaning =>
  (w) => {
    const size = w.i.code === 64 ? 8 : 4;
    const whole = faultsOf(() => memoryPlace(w, 2 + size, 'read', 0n, 1));
    // No page says which of limit and base is read first.
    if (whole.length > 0) raise(...whole, ...faultsOf(() => memoryPlace(w, size, 'read', 2n, 1)).filter((f) => f.cr2 !== whole[0]?.cr2));
    const image = load(w, memoryPlace(w, 2 + size, 'read', 0n, 1), 2 + size);
    let base = image >> 16n;
    if (size === 4 && w.i.operandSize === 2) base &= 0xffffffn;
    if (size === 8 && !canonicalBase(w, base)) gp('table.base');
    w.s[name] = { base, limit: Number(image & 0xffffn) };
  };
const storeSelector =
  (name: 'ldtr' | 'tr'): Meaning =>
  (w) => {
    umip(w);
    const selector = BigInt(w.s[name].selector);
    if (!isMemory(w, 0)) {
      if (name === 'ldtr') setSelector(w, selector);
      else setRegister(w, w.i.rm, w.i.operandSize, selector);
      return;
    }
    assignWord(w, selector);
  };
/** A system descriptor of the GDT: 16 bytes in IA-32e mode. */
const systemDescriptor = (
  w: Work,
  selector: number,
  fits: (type: number) => boolean,
): { readonly d: Descriptor; readonly base: bigint } => {
  if ((selector & 4) !== 0) gp('table.selector', named(selector));
  const wide = ia32e(w.s);
  const d = lookup(w, selector, wide ? 16 : 8) ?? gp('table.selector', named(selector));
  if (d.s || !fits(d.type)) gp('table.type', named(selector));
  const second = (): bigint => {
    const upper = upperOf(w, d);
    return ((upper >> 40n) & 0x1fn) === 0n ? upper : gp('table.type', named(selector));
  };
  // Whether the second half is looked at before the presence of the first no page says.
  if (!d.present) raise({ vector: 11, error: named(selector), rule: 'table.present' }, ...(w.i.code === 64 ? faultsOf(second) : []));
  let base = baseOf(d.raw);
  if (wide) {
    if (w.i.code !== 64 && upperOf(w, d) !== 0n) undecided('the second half of a system descriptor in compatibility mode');
    const upper = second();
    base |= (upper & 0xffffffffn) << 32n;
    if (!canonical(w.s, base)) undecided('a system segment with a base that is not canonical');
  }
  return { d, base };
};
const LLDT: Meaning = (w) => {
  const selector = Number(value(w, 0));
  if (isNull(selector)) {
    w.s.ldtr = unusable(selector);
    return;
  }
  const { d, base } = systemDescriptor(w, selector, (type) => type === 2);
  w.s.ldtr = withBase(loaded(d, selector), base);
};
const LTR: Meaning = (w) => {
  const selector = Number(value(w, 0));
  if (isNull(selector)) gp('table.null');
  const wide = ia32e(w.s);
  const { d, base } = systemDescriptor(w, selector, (type) => type === 9 || (!wide && type === 1));
  // The descriptor becomes busy.
  writeTable(w, d.at + 5n, 1, BigInt((d.access & 0xff) | 2), 'descriptor');
  const { limit } = loaded(d, selector);
  w.s.tr = { selector, base, limit, access: d.access | 2 };
};
export const table: Meanings = {
  SGDT: store('gdtr'),
  SIDT: store('idtr'),
  LGDT: take('gdtr'),
  LIDT: take('idtr'),
  SLDT: storeSelector('ldtr'),
  STR: storeSelector('tr'),
  LLDT,
  LTR,
};
