// Transfers of control on the reference processor: stacks, frames, gates, returns, system calls and tasks, worked out by hand.
// SDM volume 3, Protection; Interrupt and Exception Handling; Task Management; volume 2, CALL JMP RET IRET INT SYSCALL SYSENTER.

import { describe, expect, test } from 'vitest';
import * as at from './layout.ts';
import { play } from './reference-play.ts';

const le = (value: number | bigint, bytes: number): string => {
  let text = '';
  for (let i = 0; i < bytes; i++) text += ((BigInt(value) >> BigInt(8 * i)) & 0xffn).toString(16).padStart(2, '0');
  return text;
};
const words = (bytes: number, ...values: readonly (number | bigint)[]): string => values.map((v) => le(v, bytes)).join('');

describe('near', () => {
  test('CALL pushes the next instruction, RET takes it back and releases', () => {
    const p = play({ mode: 'long64', code: 'e801000000 cc c20800' });
    expect([p.vector, p.frame.rip, p.state.rsp]).toEqual([3, 0x10006n, BigInt(at.stackTops.ring0 - 0x800 + 8 - 8) - 40n]);
  });
  test('JMP to no canonical address is #GP(0) of the jump', () => {
    const p = play({ mode: 'long64', code: 'ffe0', state: { rax: 1n << 47n } });
    expect([p.vector, p.error, p.frame.rip]).toEqual([13, 0, 0x10000n]);
  });
  test('RET to no canonical address leaves RSP', () => {
    const p = play({ mode: 'long64', cpl: 3, code: 'c3', memory: { 0x21ff0: words(8, 1n << 63n) } });
    expect([p.vector, p.frame.rip, p.read(Number(p.state.rsp) + 32, 8)]).toEqual([13, 0x10000n, 0x21ff0n]);
  });
  test('ENTER 16, 2 copies one frame pointer', () => {
    const p = play({ mode: 'prot32', code: 'c8100002', memory: { 0x147fc: '78563412' } });
    const top = at.stackTops.ring0 - 0x800;
    expect([p.state.rbp, p.read(top - 4, 4), p.read(top - 8, 4), p.read(top - 12, 4)]).toEqual([
      BigInt(top - 4),
      0x14800n,
      0x1234_5678n,
      BigInt(top - 4),
    ]);
    expect(p.state.rsp).toBe(BigInt(top - 12 - 16 - 12));
  });
});

describe('through the IDT', () => {
  test('from CPL 3 in 64-bit mode: RSP0, a null SS, five words and the error code', () => {
    const p = play({ mode: 'long64', cpl: 3, code: 'f4' });
    expect([p.vector, p.error, p.state.rsp]).toEqual([13, 0, BigInt(at.stackTops.ring0 - 48)]);
    expect(p.state.ss.selector).toBe(0);
    expect(p.frame).toEqual({ rip: 0x10000n, cs: 0x33, flags: 0x1_0202 });
  });
  test('INT n through a gate of DPL 0 at CPL 3 is #GP(8n+2)', () => {
    expect(play({ mode: 'long64', cpl: 3, code: 'cd0d' })).toMatchObject({ vector: 13, error: 0x6a });
  });
  test('INT 80H through a gate of DPL 3', () => {
    const p = play({ mode: 'long64', cpl: 3, code: 'cd80' });
    expect([p.vector, p.frame.rip, p.frame.flags]).toEqual([0x80, 0x10002n, 0x202]);
  });
  test('a gate beyond the IDT limit is #GP(8n+2)', () => {
    expect(play({ mode: 'prot32', code: 'cdff' })).toMatchObject({ vector: 13, error: 0x7fa });
  });
  test('a gate that is not present is #NP(8n+2)', () => {
    const gate = `${le(0x4210, 2)}${le(8, 2)}000e0000`;
    expect(play({ mode: 'prot32', code: 'cd21', memory: { [at.idt + 8 * 0x21]: gate } })).toMatchObject({ vector: 11, error: 0x10a });
  });
  test('an IST stack is aligned to 16', () => {
    const p = play({
      mode: 'long64',
      code: '0f0b',
      memory: { [at.idt + 16 * 6 + 4]: '01', [at.tss + 0x24]: words(8, at.stackTops.ist + 9) },
    });
    expect([p.vector, p.state.rsp]).toEqual([6, BigInt(at.stackTops.ist - 40 + 0)]);
  });
  test('a page fault while delivering a page fault is a double fault, error code 0', () => {
    // The stack of CPL 0 is on the absent page.
    const p = play({
      mode: 'long64',
      cpl: 3,
      code: '8b03',
      state: { rbx: 0x1a000n },
      memory: { [at.tss + 4]: words(8, 0x1b000), [at.idt + 16 * 8 + 4]: '01' },
    });
    expect([p.vector, p.error]).toEqual([8, 0]);
  });
  test('a third fault is shutdown', () => {
    const p = play({
      mode: 'long64',
      cpl: 3,
      code: '8b03',
      state: { rbx: 0x1a000n },
      memory: { [at.idt + 16 * 8 + 4]: '00', [at.tss + 4]: words(8, 0x1b000) },
    });
    expect(p.by).toBe('shutdown');
  });
  test('virtual-8086 mode pushes its data segments, and they become null', () => {
    const p = play({ mode: 'v86', code: '0f0b' });
    expect([p.vector, p.state.ds.selector, p.state.gs.selector, p.state.cs.selector]).toEqual([6, 0, 0, 8]);
    expect(p.frame.flags & 0x2_0000).not.toBe(0);
    expect(p.read(Number(p.state.rsp) + 20, 2)).toBe(0x1000n);
  });
  test('an interrupt waits until STI and one more instruction are done', () => {
    const p = play({ mode: 'long64', code: '90 fb 90 90', interrupt: { vector: 0x21, after: 1 } });
    expect([p.vector, p.frame.rip]).toEqual([0x21, 0x10003n]);
  });
  test('an interrupt waits while MOV SS shields the next instruction', () => {
    const p = play({ mode: 'prot32', code: '8ed0 40 40', state: { rax: 0x18n, rflags: 0x202n }, interrupt: { vector: 0x21, after: 1 } });
    expect([p.vector, p.frame.rip]).toEqual([0x21, 0x10003n]);
  });
  test('INT n in virtual-8086 mode with IOPL below 3 is #GP(0)', () => {
    expect(play({ mode: 'v86', code: 'cd21' })).toMatchObject({ vector: 13, error: 0 });
  });
  test('INT n in real-address mode pushes three words and clears IF', () => {
    const p = play({ mode: 'real', code: 'cd21', state: { rflags: 0x202n } });
    expect([p.vector, p.frame.rip, p.frame.flags, p.state.rflags]).toEqual([0x21, 2n, 0x202, 2n]);
  });
});

describe('far', () => {
  test('a jump to conforming code keeps CPL and RPL', () => {
    const p = play({ mode: 'prot32', cpl: 3, code: `ea ${le(0x10010, 4)} ${le(0x83, 2)}` });
    expect([p.vector, p.frame.cs, p.frame.rip]).toEqual([3, 0x83, 0x10011n]);
  });
  test.each([
    ['a null selector', 0, 13, 0],
    ['data', 0x2b, 13, 0x28],
    ['code of another DPL', 0x08, 13, 8],
    ['code that is not present', 0xb3, 11, 0xb0],
    ['beyond the table', 0x163, 13, 0x160],
    ['a gate of DPL 0', 0xfb, 13, 0xf8],
  ])('a jump to %s', (_name, selector, vector, error) => {
    const p = play({ mode: 'prot32', cpl: 3, code: `ea ${le(0x10010, 4)} ${le(selector, 2)}` });
    expect([p.vector, p.error, p.frame.rip]).toEqual([vector, error, 0x10000n]);
  });
  test('a call through a gate switches stacks and pushes SS, ESP, CS, EIP', () => {
    const p = play({ mode: 'prot32', cpl: 3, code: `9a 00000000 ${le(at.selectors.callGate3 | 3, 2)}` });
    expect([p.by, p.vector, p.state.cs.selector, p.state.ss.selector]).toEqual(['stop', 256, 8, 0x18]);
    expect(p.state.rsp).toBe(BigInt(at.stackTops.ring0 - 16));
    const top = Number(p.state.rsp);
    expect([0, 4, 8, 12].map((n) => p.read(top + n, 4))).toEqual([0x10007n, 0x23n, BigInt(at.stackTops.user), 0x2bn]);
  });
  test('a 64-bit call gate pushes eight-byte words and loads a null SS', () => {
    const p = play({ mode: 'long64', cpl: 3, code: 'ff1b', memory: { 0x14100: `00000000${le(at.selectors.callGate3 | 3, 2)}` } });
    expect([p.vector, p.state.ss.selector, p.state.rsp]).toEqual([256, 0, BigInt(at.stackTops.ring0 - 32)]);
  });
  test('RETF outward loads SS:ESP and nulls what CPL 3 may not hold', () => {
    const top = at.stackTops.ring0 - 0x800;
    const p = play({ mode: 'prot32', code: 'cb', memory: { [top]: words(4, 0x10010, 0x23, 0x21000, 0x2b) } });
    expect([p.vector, p.frame.cs, p.frame.rip]).toEqual([3, 0x23, 0x10011n]);
    expect(p.read(Number(p.state.rsp) + 12, 4)).toBe(0x21000n);
    expect(p.state.ds.selector).toBe(0);
  });
  test('RETF inward is #GP(selector)', () => {
    expect(play({ mode: 'prot32', cpl: 3, code: 'cb', memory: { [at.stackTops.user]: words(4, 0x10010, 8) } })).toMatchObject({
      vector: 13,
      error: 8,
    });
  });
});

describe('IRET', () => {
  const top = at.stackTops.ring0 - 0x800;
  test('IRETQ pops SS:RSP even to the same level', () => {
    const p = play({ mode: 'long64', code: '48cf', memory: { [top]: words(8, 0x10010, 0x10, 2, 0xc000, 0x18) } });
    expect([p.vector, p.frame.rip, p.state.rsp]).toEqual([3, 0x10011n, 0xc000n - 40n]);
  });
  test('IRETQ to CPL 3 with a null SS is #GP(0)', () => {
    expect(play({ mode: 'long64', code: '48cf', memory: { [top]: words(8, 0x10010, 0x33, 2, 0xc000, 3) } })).toMatchObject({
      vector: 13,
      error: 0,
    });
  });
  test('at CPL 3 changes neither IF nor IOPL', () => {
    const p = play({ mode: 'prot32', cpl: 3, code: 'cf', memory: { [at.stackTops.user]: words(4, 0x10010, 0x23, 0x3002) } });
    expect([p.vector, p.frame.rip, p.frame.flags]).toEqual([3, 0x10011n, 0x202]);
  });
  test('into virtual-8086 mode', () => {
    const p = play({ mode: 'prot32', code: 'cf', memory: { [top]: words(4, 0x10, 0x1000, 0x2_0002, 0x7ff0, 0x1000, 1, 2, 3, 4) } });
    expect([p.vector, p.frame.rip, p.frame.flags]).toEqual([3, 0x11n, 0x2_0002]);
    expect([12, 16, 20, 24, 28, 32].map((n) => p.read(Number(p.state.rsp) + n, 4))).toEqual([0x7ff0n, 0x1000n, 1n, 2n, 3n, 4n]);
  });
  test('with NT in IA-32e mode is #GP(0)', () => {
    expect(play({ mode: 'long64', code: '48cf', state: { rflags: 0x4002n } })).toMatchObject({ vector: 13, error: 0 });
  });
});

describe('system calls', () => {
  const star = (0x20n << 48n) | (0x10n << 32n);
  test('SYSCALL saves RIP and RFLAGS and masks', () => {
    const p = play({
      mode: 'long64',
      cpl: 3,
      code: '0f05',
      state: (s) => ({ efer: s.efer | 1n, star, lstar: 0x4000n, sfmask: 0x200n, rflags: 0x202n }),
    });
    expect([p.vector, p.state.rcx, p.state.r11, p.state.rflags, p.state.rsp]).toEqual([0, 0x10002n, 0x202n, 2n, BigInt(at.stackTops.user)]);
    expect([p.state.cs, p.state.ss]).toMatchObject([
      { selector: 0x10, limit: 0xffff_ffff, access: 0xa09b },
      { selector: 0x18, access: 0xc093 },
    ]);
  });
  test('SYSRET to 64-bit code', () => {
    const p = play({ mode: 'long64', code: '480f07', state: (s) => ({ efer: s.efer | 1n, star, rcx: 0x10010n, r11: 0x202n }) });
    expect([p.vector, p.frame.rip, p.frame.cs, p.frame.flags]).toEqual([3, 0x10011n, 0x33, 0x202]);
  });
  test('SYSENTER and its segments', () => {
    const p = play({ mode: 'prot32', cpl: 3, code: '0f34', state: { sysenterCs: 8n, sysenterEsp: 0xd000n, sysenterEip: 0x4010n } });
    expect([p.vector, p.state.rsp, p.state.cs.selector, p.state.ss.selector, p.state.rflags & 0x200n]).toEqual([1, 0xd000n, 8, 0x10, 0n]);
  });
});

describe('tasks', () => {
  const tss32 = (values: Readonly<Record<number, number>>): string => {
    const bytes = new DataView(new ArrayBuffer(0x68));
    for (const [offset, value] of Object.entries(values)) bytes.setUint32(Number(offset), value, true);
    return Buffer.from(bytes.buffer).toString('hex');
  };
  const task = tss32({ 0x20: 0x10020, 0x24: 2, 0x38: 0xc800, 0x48: 0x18, 0x4c: 8, 0x50: 0x18, 0x54: 0x18, 0x28: 0x1234 });
  test('JMP to a TSS saves, loads, and moves the busy flag', () => {
    const p = play({ mode: 'prot32', code: `ea 00000000 ${le(at.selectors.otherTss, 2)}`, memory: { [at.tss2]: task } });
    expect([p.vector, p.frame.rip, p.state.rax, p.state.tr.selector]).toEqual([3, 0x10021n, 0x1234n, at.selectors.otherTss]);
    expect([p.read(at.gdt + at.selectors.otherTss + 5, 1), p.read(at.gdt + at.selectors.tss + 5, 1)]).toEqual([0x8bn, 0x89n]);
    expect([p.read(at.tss + 0x20, 4), p.state.cr0 & 8n]).toEqual([0x10007n, 8n]);
  });
  test('CALL to a TSS sets NT and the link; IRET goes back', () => {
    const p = play({ mode: 'prot32', code: `9a 00000000 ${le(at.selectors.otherTss, 2)}`, memory: { [at.tss2]: task, 0x10020: 'cf' } });
    expect([p.vector, p.frame.rip, p.state.tr.selector]).toEqual([3, 0x10008n, at.selectors.tss]);
    expect([p.read(at.tss2, 2), p.read(at.gdt + at.selectors.otherTss + 5, 1), p.read(at.tss2 + 0x24, 4)]).toEqual([
      BigInt(at.selectors.tss),
      0x89n,
      2n,
    ]);
  });
  test('a busy TSS is #GP(selector)', () => {
    const p = play({ mode: 'prot32', code: `ea 00000000 ${le(at.selectors.busyTss, 2)}` });
    expect([p.vector, p.error, p.frame.rip]).toEqual([13, at.selectors.busyTss, 0x10000n]);
  });
  test('a bad SS of the new task is #TS(selector), saved with the new task as it begins', () => {
    // SS0 of both tasks is good; #TS goes through an interrupt gate in the new task at CPL 0 with a bad SS: the stack is gone, so shutdown follows.
    const bad = tss32({ 0x20: 0x10020, 0x24: 2, 0x38: 0xc800, 0x48: 0x18, 0x4c: 8, 0x50: 0x98, 0x54: 0x18 });
    const p = play({ mode: 'prot32', code: `ea 00000000 ${le(at.selectors.otherTss, 2)}`, memory: { [at.tss2]: bad } });
    expect([p.by, p.state.tr.selector, p.state.rip]).toEqual(['shutdown', at.selectors.otherTss, 0x10020n]);
  });
  test('a bad SS of a new task of CPL 3 is #TS(selector) on the stack of CPL 0 that the new task names', () => {
    const bad = tss32({ 4: 0xd000, 8: 0x18, 0x20: 0x10020, 0x24: 2, 0x38: 0xc800, 0x48: 0x2b, 0x4c: 0x23, 0x50: 0x9b, 0x54: 0x2b });
    const p = play({ mode: 'prot32', code: `ea 00000000 ${le(at.selectors.otherTss, 2)}`, memory: { [at.tss2]: bad } });
    expect([p.vector, p.error, p.frame.rip, p.frame.cs, p.state.rsp]).toEqual([10, 0x98, 0x10020n, 0x23, 0xd000n - 24n]);
  });
});
