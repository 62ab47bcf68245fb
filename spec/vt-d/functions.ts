// Physical and virtual functions as their configuration space was seen: the SR-IOV capability, NumVFs, VF Enable, offset and stride.
// PCI Express Base, Single Root I/O Virtualization and Sharing.

import type { VtdCheck, VtdMachine, VtdObservation, VtdStimulus } from './vocabulary.ts';

type Read = Extract<VtdObservation, { readonly saw: 'function.config' }>;
type Write = Extract<VtdStimulus, { readonly do: 'function.config.write' }>;
/** SR-IOV registers of one physical function, as far as they were seen. */
interface Physical {
  /** Offset of the extended capability, once its header was read. */
  at: number | undefined;
  /** VF Enable as last written; undefined: not known. */
  enabled: boolean;
  total: number | undefined;
  /** NumVFs as last written or read. */
  count: number | undefined;
  offset: number | undefined;
  stride: number | undefined;
  /** Extended space was written before the capability was seen: virtual functions may be there or not. */
  unsure: boolean;
  /** The driver broke a rule of the capability: what exists is not known until the function is reset. */
  muddled: boolean;
}
export interface Functions {
  readonly physical: Map<number, Physical>;
  /** Bus Master Enable by requester, as last written; absent: not known. */
  readonly master: Map<number, boolean>;
}
export const newFunctions = (): Functions => ({ physical: new Map(), master: new Map() });
const physicalOf = (f: Functions, i: number): Physical => {
  let p = f.physical.get(i);
  if (p === undefined) {
    p = {
      at: undefined,
      enabled: false,
      total: undefined,
      count: undefined,
      offset: undefined,
      stride: undefined,
      unsure: false,
      muddled: false,
    };
    f.physical.set(i, p);
  }
  return p;
};
const CONTROL = 8;
const INITIAL = 0x0c;
const TOTAL = 0x0e;
const COUNT = 0x10;
const OFFSET = 0x14;
const STRIDE = 0x16;
/** Which of a physical function's virtual functions this requester is, from 0. */
export const ordinal = (machine: VtdMachine, i: number): number => {
  const physical = machine.requesters[i]?.physical;
  let n = 0;
  for (let k = 0; k < i; k++) if (machine.requesters[k]?.physical === physical) n++;
  return n;
};
/** Whether a virtual function is known not to exist; undefined: not known. Other functions always exist. */
export const absent = (f: Functions, machine: VtdMachine, i: number): boolean | undefined => {
  const physical = machine.requesters[i]?.physical;
  if (physical === undefined) return false;
  const p = f.physical.get(physical);
  // Without a look at the capability nobody knows where it stands and what reset left in it.
  if (p?.at === undefined || p.unsure || p.muddled) return undefined;
  if (!p.enabled) return true;
  return p.count === undefined ? undefined : ordinal(machine, i) >= p.count;
};
/** Virtual functions that the machine names. */
const present = (machine: VtdMachine, physical: number): number => machine.requesters.filter((r) => r.physical === physical).length;
/** Whether a function may make requests: those without a configuration space always may; undefined: not known. */
export const masters = (f: Functions, machine: VtdMachine, i: number): boolean | undefined =>
  machine.requesters[i]?.can.includes('config') === true ? f.master.get(i) : true;
export const configWritten = (f: Functions, machine: VtdMachine, e: Write): void => {
  // Command register, bit 2.
  if (e.at <= 4 && e.at + e.width > 4) f.master.set(e.requester, ((e.value >>> ((4 - e.at) * 8)) & 4) !== 0);
  const p = physicalOf(f, e.requester);
  if (p.at === undefined) {
    if (e.at >= 0x100) p.unsure = true;
    return;
  }
  const at = e.at - p.at;
  if (at < COUNT + 2 && at + e.width > COUNT) {
    // Forbidden while functions exist: what becomes of them is not known.
    if (p.enabled) p.muddled = true;
    else p.count = at === COUNT ? e.value & 0xffff : undefined;
  }
  if (at > CONTROL || at + e.width <= CONTROL) return;
  const on = ((e.value >>> ((CONTROL - at) * 8)) & 1) === 1;
  // TotalVFs that was never read may be less than what was asked for.
  if (on && p.count !== undefined && p.count > (p.total ?? present(machine, e.requester))) p.muddled = true;
  if (on === p.enabled) return;
  p.enabled = on;
  // Virtual functions come out of reset.
  machine.requesters.forEach((r, k) => {
    if (r.physical === e.requester) f.master.set(k, false);
  });
};
export const functionReset = (f: Functions, machine: VtdMachine, i: number): void => {
  f.master.set(i, false);
  machine.requesters.forEach((r, k) => {
    if (r.physical === i) f.master.delete(k);
  });
  const p = f.physical.get(i);
  if (p === undefined) return;
  p.enabled = false;
  p.count = 0;
  p.unsure = false;
  p.muddled = false;
};
const half = (e: Read, from: number, at: number): number | undefined => {
  const k = at - from;
  return k >= 0 && k + 2 <= e.width ? (e.value >>> (k * 8)) & 0xffff : undefined;
};
const check = (rule: string, expected: string, got: string, ok: boolean): VtdCheck => ({ rule, expected, got, ok });
const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;

/** Bus Master Enable, where it is known what was written. */
const commandRead = (f: Functions, e: Read): readonly VtdCheck[] => {
  const command = half(e, e.at, 4);
  const master = f.master.get(e.requester);
  if (command === undefined || master === undefined) return [];
  return [check('vt-d.function.command', `bit 2 ${master ? 'set' : 'clear'}`, hex(command), ((command & 4) !== 0) === master)];
};

/** What a read of configuration space shows, and what it must be. */
export const configRead = (f: Functions, machine: VtdMachine, e: Read): readonly VtdCheck[] => {
  const checks: VtdCheck[] = [];
  const requester = machine.requesters[e.requester];
  if (requester === undefined) return checks;
  if (requester.physical !== undefined) {
    const gone = absent(f, machine, e.requester);
    const all = e.width === 4 ? 0xffffffff : 2 ** (e.width * 8) - 1;
    if (gone === true) checks.push(check('vt-d.sriov.absent', hex(all), hex(e.value), e.value >>> 0 === all));
    if (gone !== false) return checks;
    const vendor = half(e, e.at, 0);
    if (vendor !== undefined) checks.push(check('vt-d.sriov.vendor', '0xffff', hex(vendor), vendor === 0xffff));
    const device = half(e, e.at, 2);
    if (device !== undefined) checks.push(check('vt-d.sriov.vendor', '0xffff', hex(device), device === 0xffff));
    checks.push(...commandRead(f, e));
    const command = half(e, e.at, 4);
    if (command !== undefined) checks.push(check('vt-d.sriov.command', 'memory space bit clear', hex(command), (command & 2) === 0));
    return checks;
  }
  const vendor = half(e, e.at, 0);
  if (vendor !== undefined) checks.push(check('vt-d.function.vendor', 'not 0xffff', hex(vendor), vendor !== 0xffff));
  checks.push(...commandRead(f, e));
  const p = physicalOf(f, e.requester);
  // An extended capability header: the identifier in the low half.
  if (e.at >= 0x100 && e.width === 4 && (e.value & 0xffff) === 0x0010 && ((e.value >>> 16) & 0xf) === 1 && p.at === undefined) p.at = e.at;
  // Extended capabilities begin at 100h: one that is another and the last leaves no place for it.
  if (e.at === 0x100 && e.width === 4 && present(machine, e.requester) > 0)
    checks.push(
      check(
        'vt-d.sriov.capability',
        'SR-IOV, or another and a next one',
        hex(e.value),
        (e.value & 0xffff) === 0x0010 || (e.value >>> 20 !== 0 && (e.value & 0xffff) !== 0xffff),
      ),
    );
  if (p.at === undefined) return checks;
  const base = e.at - p.at;
  const at = (n: number): number | undefined => half(e, base, n);
  const control = at(CONTROL);
  if (control !== undefined && p.unsure) p.enabled = (control & 1) === 1;
  else if (control !== undefined && !p.muddled)
    checks.push(check('vt-d.sriov.enable', `VF Enable ${p.enabled ? 1 : 0}`, hex(control), ((control & 1) === 1) === p.enabled));
  p.total = at(TOTAL) ?? p.total;
  const initial = at(INITIAL);
  if (initial !== undefined && p.total !== undefined)
    checks.push(check('vt-d.sriov.initial', hex(p.total), hex(initial), initial === p.total));
  const count = at(COUNT);
  if (count !== undefined) {
    if (p.count !== undefined && !p.unsure && !p.muddled && (p.total === undefined || p.count <= p.total))
      checks.push(check('vt-d.sriov.count', hex(p.count), hex(count), count === p.count));
    p.count = count;
  }
  if (control !== undefined && p.count !== undefined) p.unsure = false;
  p.offset = at(OFFSET) ?? p.offset;
  p.stride = at(STRIDE) ?? p.stride;
  if ((at(OFFSET) !== undefined || at(STRIDE) !== undefined) && p.enabled && p.offset !== undefined && p.stride !== undefined)
    machine.requesters.forEach((r, i) => {
      if (r.physical !== e.requester || ordinal(machine, i) >= (p.count ?? 0)) return;
      const id = (requester.sourceId + (p.offset as number) + ordinal(machine, i) * (p.stride as number)) & 0xffff;
      checks.push(check('vt-d.sriov.routing-id', hex(r.sourceId), hex(id), id === r.sourceId));
    });
  return checks;
};
