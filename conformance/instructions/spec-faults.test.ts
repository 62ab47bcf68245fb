// Each rule that demands a fault, told by hand: kept where the fault comes with its error code, broken where another event comes.
// One row a rule; the row says the case, and what the manual's exception list answers.

import { describe, expect, test } from 'vitest';
import { instructions } from '../../spec/instructions/index.ts';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import { unusable } from './descriptors.ts';
import { entryAt } from './furniture.ts';
import * as at from './layout.ts';
import { completes, delivers, type Event, faults } from './spec-answers.ts';
import { machineOf, type Setting, tell } from './spec-history.ts';
import { segmentOf } from './state.ts';

type Change = Partial<CpuState> | ((s: CpuState) => Partial<CpuState>);
type Patches = readonly (readonly [at: number, bytes: string])[];
type Row = readonly [
  rule: string,
  setting: Setting,
  code: string,
  change: Change,
  fault: readonly [vector: number, error?: number, cr2?: bigint],
  patches?: Patches,
];

const user: Setting = { level: 3, features: ['nx'] };
const kernel: Setting = { level: 0, features: ['nx'] };
const p32: Setting = { mode: 'prot32', paging: '32-bit', level: 0 };
const real: Setting = { mode: 'real', paging: 'none' };
const hole = 1n << 47n;
const d = at.data + 0x100;
const far = (selector: number, offset = at.code): Patches => [[d, littleHex(offset, 4) + littleHex(selector, 2)]];
const littleHex = (value: number, size: number): string =>
  Array.from({ length: size }, (_, k) => (Math.floor(value / 256 ** k) & 0xff).toString(16).padStart(2, '0')).join('');
const s = at.selectors;
const gateAt = (vector: number): number => at.idt + 16 * vector;
const withFeature = (base: Setting, ...features: NonNullable<Setting['features']>): Setting => ({ ...base, features: ['nx', ...features] });
const cr4 =
  (bit: number): Change =>
  (start) => ({ cr4: start.cr4 | (1n << BigInt(bit)) });

const rows: readonly Row[] = [
  ['privileged.gp', user, 'f4', {}, [13, 0]],
  ['privileged.monitor', withFeature(user, 'monitor'), '0f01c8', {}, [6]],
  ['ud.reserved', user, '0f0b', {}, [6]],
  ['ud.mode', user, '06', {}, [6]],
  ['ud.protected', real, '0f00c0', {}, [6]],
  ['ud.lock', user, 'f090', {}, [6]],
  ['ud.feature', kernel, '0f01ca', {}, [6]],
  ['ud.register', user, '8ec8', {}, [6]],
  ['fetch.limit', p32, '01d8', (b) => ({ cs: { ...b.cs, limit: at.code } }), [13, 0]],
  ['fetch.canonical', user, '90', { rip: hole }, [13, 0]],
  ['fetch.length', user, `${'66'.repeat(15)}90`, {}, [13, 0]],
  ['operand.limit', p32, 'a100010000', (b) => ({ ds: { ...b.ds, limit: 0xff } }), [13, 0]],
  ['operand.null', p32, 'a100010000', { ds: unusable(0) }, [13, 0]],
  ['operand.type', p32, `a1${littleHex(d, 4)}`, { ds: segmentOf(machineOf(p32), s.executeOnly) }, [13, 0]],
  ['operand.canonical', user, '8b00', { rax: hole }, [13, 0]],
  ['operand.alignment', user, '8b00', { rax: BigInt(d + 1), rflags: 0x40202n }, [17, 0]],
  ['page.present', user, '8b00', { rax: BigInt(at.pages.absent) }, [14, 4, BigInt(at.pages.absent)]],
  [
    'page.reserved',
    user,
    '8b00',
    { rax: BigInt(at.pages.spare) },
    [14, 0xd, BigInt(at.pages.spare)],
    [[entryAt(at.pages.spare, '4-level'), '07c0010000000800']],
  ],
  ['page.rights', user, '8b00', { rax: BigInt(at.pages.supervisor) }, [14, 5, BigInt(at.pages.supervisor)]],
  ['page.write', user, '8908', { rax: BigInt(at.pages.userReadOnly) }, [14, 7, BigInt(at.pages.userReadOnly)]],
  ['page.fetch', user, '90', { rip: BigInt(at.pages.supervisor) }, [14, 0x15, BigInt(at.pages.supervisor)]],
  ['page.smep', withFeature(kernel, 'smep'), '90', cr4(20), [14, 0x11, BigInt(at.code)]],
  ['page.smap', withFeature(kernel, 'smap'), '8b00', (b) => ({ cr4: b.cr4 | (1n << 21n), rax: BigInt(at.data) }), [14, 1, BigInt(at.data)]],
  ['page.nx', user, '90', { rip: BigInt(at.pages.noExecute) }, [14, 0x15, BigInt(at.pages.noExecute)]],
  ['divide.de', user, 'f7f1', { rcx: 0n }, [0]],
  ['branch.limit', p32, 'ffe3', (b) => ({ cs: { ...b.cs, limit: at.code + 0x100 } }), [13, 0]],
  ['branch.canonical', user, 'ffe3', { rbx: hole }, [13, 0]],
  ['branch.bound', p32, '6203', { rax: 5n }, [5], [[d, '0000000001000000']]],
  ['segment.null', p32, '8ed0', { rax: 0n }, [13, 0]],
  ['segment.limit', user, '8ed8', { rax: 0xfff8n }, [13, 0xfff8]],
  ['segment.type', user, '8ed8', { rax: BigInt(s.executeOnly | 3) }, [13, s.executeOnly]],
  ['segment.privilege', user, '8ed8', { rax: BigInt(s.kernelData) }, [13, s.kernelData]],
  ['segment.present', user, '8ed8', { rax: BigInt(s.absentData | 3) }, [11, s.absentData]],
  ['segment.base', withFeature(user, 'fsgsbase'), 'f3480faed0', (b) => ({ cr4: b.cr4 | (1n << 16n), rax: hole }), [13, 0]],
  ['far.null', user, 'ff2b', {}, [13, 0], far(0)],
  ['far.limit', user, 'ff2b', {}, [13, 0xfff8], far(0xfff8)],
  ['far.type', user, 'ff2b', {}, [13, s.userData], far(s.userData | 3)],
  ['far.privilege', user, 'ff2b', {}, [13, s.kernelCode64], far(s.kernelCode64)],
  ['far.present', user, 'ff2b', {}, [11, s.absentCode], far(s.absentCode | 3)],
  ['far.offset', real, '66ea000001000010', {}, [13]],
  ['gate.privilege', user, 'ff1b', {}, [13, s.callGate0], far(s.callGate0 | 3)],
  ['gate.present', user, 'ff1b', {}, [11, s.callGate3], [...far(s.callGate3 | 3), [at.gdt + s.callGate3 + 5, '6c']]],
  ['gate.target', user, 'ff1b', {}, [13, 0], [...far(s.callGate3 | 3), [at.gdt + s.callGate3 + 2, '0000']]],
  [
    'gate.stack',
    user,
    'ff1b',
    {},
    [12, 0],
    [...far(s.callGate3 | 3), [at.gdt + s.callGate3 + 2, 'c000'], [at.tss + 12, '0000000000800000']],
  ],
  ['return.privilege', user, 'cb', { rsp: BigInt(d) }, [13, s.kernelCode64], [[d, '0000010010000000']]],
  ['return.stack', kernel, 'cb', { rsp: BigInt(d) }, [13, s.kernelData], [[d, '00000100330000000001020018000000']]],
  ['return.nested', user, 'cf', { rflags: 0x4202n }, [13, 0]],
  ['interrupt.dpl', user, 'cd20', {}, [13, 0x102]],
  ['interrupt.iopl', { mode: 'v86', paging: '32-bit', level: 3 }, 'cd20', {}, [13, 0]],
  ['deliver.limit', kernel, 'cd2f', { idtr: { base: BigInt(at.idt), limit: 0x20 * 16 - 1 } }, [13, 0x2f * 8 + 2]],
  ['deliver.type', kernel, 'cd30', {}, [13, 0x30 * 8 + 2]],
  ['deliver.present', user, 'cd21', {}, [11, 0x21 * 8 + 2], [[gateAt(0x21) + 5, '6e']]],
  ['deliver.code', user, 'cd21', {}, [13, 0], [[gateAt(0x21) + 2, '0000']]],
  ['flag.iopl', user, 'fa', {}, [13, 0]],
  ['flag.smap', withFeature(user, 'smap'), '0f01ca', {}, [6]],
  ['umip.gp', withFeature(user, 'umip'), '0f0103', cr4(11), [13, 0]],
  ['time.tsd', withFeature(user, 'tsd'), '0f31', cr4(2), [13, 0]],
  ['time.pce', user, '0f33', {}, [13, 0]],
  ['io.bitmap', user, 'e420', {}, [13, 0]],
  ['table.null', kernel, '0f00d8', { rax: 0n }, [13, 0]],
  ['table.selector', kernel, '0f00d0', { rax: 4n }, [13, 4]],
  ['table.type', kernel, '0f00d0', { rax: BigInt(s.kernelData) }, [13, s.kernelData]],
  ['table.present', kernel, '0f00d0', { rax: BigInt(s.absentLdt) }, [11, s.absentLdt]],
  ['table.base', kernel, '0f0113', {}, [13, 0], [[d, 'ffff0000000000800000']]],
  ['control.reserved', kernel, '0f22e0', (b) => ({ rax: b.cr4 | 0x8000n }), [13, 0]],
  ['control.combination', kernel, '0f22c0', (b) => ({ rax: b.cr0 | 0x20000000n }), [13, 0]],
  [
    'control.pdpte',
    { mode: 'prot32', paging: 'pae', level: 0, features: ['nx'] },
    '0f22d8',
    { rax: BigInt(at.data) },
    [13, 0],
    [[at.data, '0300000000000000']],
  ],
  ['task.refused', p32, 'ff2b', {}, [10, s.otherTss], [...far(s.otherTss), [at.gdt + s.otherTss, '66']]],
  ['flag.virtual', { mode: 'v86', paging: '32-bit', level: 3 }, 'fb', (b) => ({ cr4: b.cr4 | 1n, rflags: b.rflags | 0x100000n }), [13, 0]],
  ['debug.de', withFeature(kernel, 'de'), '0f21e0', cr4(3), [6]],
  ['debug.reserved', kernel, '0f23f8', { rax: 1n << 32n }, [13, 0]],
  ['msr.reserved', kernel, '0f30', (b) => ({ rcx: 0xc0000080n, rax: b.efer | 2n, rdx: 0n }), [13, 0]],
  ['msr.canonical', withFeature(kernel, 'syscall'), '0f30', { rcx: 0xc0000082n, rax: 0n, rdx: 0x8000n }, [13, 0]],
  ['msr.lme', kernel, '0f30', (b) => ({ rcx: 0xc0000080n, rax: b.efer & ~0x100n, rdx: 0n }), [13, 0]],
  ['call.enabled', withFeature(user, 'syscall'), '0f05', (b) => ({ efer: b.efer & ~1n }), [6]],
  ['call.canonical', withFeature(kernel, 'syscall'), '480f07', { rcx: hole }, [13, 0]],
  ['call.sysenter', withFeature(kernel, 'sep'), '0f34', { sysenterCs: 0n }, [13, 0]],
  ['cache.invpcid', withFeature(kernel, 'invpcid'), '660f388203', { rax: 4n }, [13, 0]],
  ['cache.nm', kernel, '9b', (b) => ({ cr0: b.cr0 | 0xan }), [7]],
];

/** Debug exceptions: which of them are traps, what RF is saved as, what DR6 says, and that general detect is switched off for the handler. SDM volume
 *  3, Debug: Debug Exceptions; Debug Status Register (DR6); Instruction-Breakpoint Exception Condition. DR0 watches with these bits of DR7. */
const watch =
  (address: number, control: bigint, more: Partial<CpuState> = {}) =>
  (b: CpuState): Partial<CpuState> => ({ dr0: BigInt(address), dr7: b.dr7 | control, ...more });
const debugRows: readonly {
  readonly rule: string;
  readonly setting: Setting;
  readonly code: string;
  readonly change: (b: CpuState) => Partial<CpuState>;
  readonly event: (b: CpuState) => Omit<Event, 'vector'>;
  readonly patches?: Patches;
}[] = [
  {
    rule: 'debug.code',
    setting: user,
    code: '90',
    change: watch(at.code, 1n),
    event: (b) => ({ rip: b.rip, rflags: b.rflags, after: { dr6: b.dr6 | 1n } }),
  },
  {
    rule: 'debug.data',
    setting: user,
    code: '8b00',
    change: watch(d, 0xf0001n, { rax: BigInt(d) }),
    event: (b) => ({ rip: b.rip + 2n, rflags: b.rflags, after: { rax: 0x12345678n, dr6: b.dr6 | 1n } }),
    patches: [[d, '78563412']],
  },
  {
    rule: 'debug.port',
    setting: withFeature(kernel, 'de'),
    code: 'e460',
    change: (b) => watch(0x60, 0x20001n, { cr4: b.cr4 | 8n, rax: 0n })(b),
    event: (b) => ({
      rip: b.rip + 2n,
      rflags: b.rflags,
      after: { rax: 0xffn, dr6: b.dr6 | 1n },
      ports: [{ port: 0x60, width: 1, direction: 'in', value: 0xff }],
    }),
  },
  {
    rule: 'debug.detect',
    setting: kernel,
    code: '0f21f8',
    change: (b) => ({ dr7: b.dr7 | 0x2000n }),
    event: (b) => ({ rip: b.rip, rflags: b.rflags | 0x10000n, after: { dr6: b.dr6 | 0x2000n, dr7: b.dr7 & ~0x2000n } }),
  },
];
/** Rules that are told elsewhere: traps and interrupts, delivery that ends in #DF, and faults of a new task. */
const elsewhere = new Set(['debug.task', 'step.trap', 'interrupt.taken', 'deliver.stack', 'task.segments']);

describe('rules that demand a fault', () => {
  test.each(rows.map((r) => ({ rule: r[0], row: r })))('$rule', ({ row }) => {
    const [rule, setting, code, change, [vector, error, cr2], patches = []] = row;
    const id = `instructions.${rule}`;
    const kept = tell(setting, code, change, (b) => faults(setting, b, vector, error, cr2), patches);
    expect(kept.findings).toEqual([]);
    expect(kept.kept).toContain(id);
    // Another event: the end of the program, or #UD where that is close.
    const broken = tell(
      setting,
      code,
      change,
      (b) => (rule === 'far.privilege' ? faults(setting, b, 6) : completes(setting, b, b.rip + BigInt(code.length / 2))),
      patches,
    );
    expect(broken.broken).toContain(id);
    if (error !== undefined && setting.mode !== 'real') {
      const wrong = tell(setting, code, change, (b) => faults(setting, b, vector, error ^ 8, cr2), patches);
      expect(wrong.findings.filter((f) => f.clause === id).map((f) => f.kind)).toEqual([
        vector === 14 ? 'error code RSVD' : 'error code index',
      ]);
    }
  });
  test.each(debugRows)('$rule', ({ rule, setting, code, change, event, patches }) => {
    const id = `instructions.${rule}`;
    const kept = tell(setting, code, change, (b) => delivers(setting, b, { vector: 1, ...event(b) }), patches);
    expect(kept.findings).toEqual([]);
    expect(kept.kept).toContain(id);
    // As if nothing were watched; then with nothing said in DR6.
    const missed = tell(
      setting,
      code,
      change,
      (b) => completes(setting, b, b.rip + BigInt(code.length / 2), { ports: event(b).ports ?? [] }),
      patches,
    );
    expect(missed.broken).toContain(id);
    const silent = tell(
      setting,
      code,
      change,
      (b) => delivers(setting, b, { vector: 1, ...event(b), after: { ...event(b).after, dr6: b.dr6 } }),
      patches,
    );
    expect(silent.broken).toEqual(['instructions.step.dr6']);
  });
  test('has a row for every rule', () => {
    const told = new Set([...rows.map((r) => r[0]), ...debugRows.map((r) => r.rule)].map((rule) => `instructions.${rule}`));
    const owned = instructions.clauses.filter((c) => c.says.includes('#') && !c.id.endsWith('.completes') && !told.has(c.id));
    expect(
      owned
        .map((c) => c.id.replace('instructions.', ''))
        .filter((id) => !elsewhere.has(id) && !['priority.permitted', 'step.dr6'].includes(id)),
    ).toEqual([]);
  });
  test('a stack of the TSS that cannot be used ends in #DF on its own stack', () => {
    const bad: Patches = [[at.tss + 4, '0000000000800000']];
    const told = tell(user, '90', {}, (b) => delivers(user, b, { vector: 8, error: 0, rip: 0n, rflags: 0n, after: {} }), bad);
    expect(told.broken).toEqual(['instructions.deliver.handler']);
    expect(told.kept).toContain('instructions.deliver.stack');
    expect(tell(user, '90', {}, (b) => completes(user, b, b.rip + 1n), bad).broken).toContain('instructions.deliver.stack');
  });
});
