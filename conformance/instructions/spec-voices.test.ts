// Cases in which real implementations answered otherwise than the spec once said, and the manual gave them leave.
// Each shows what is permitted now, and that what nobody permits is still told.

import { describe, expect, test } from 'vitest';
import * as at from './layout.ts';
import { delivers } from './spec-answers.ts';
import { type Setting, tell } from './spec-history.ts';

describe('RET far', () => {
  const setting: Setting = { level: 3 };
  const end = BigInt(at.pages.absent);
  const faults = (top: bigint, cr2: bigint): readonly string[] =>
    tell(setting, 'cb', { rsp: top }, (b) =>
      delivers(setting, b, { vector: 14, error: 4, rip: b.rip, rflags: b.rflags | 0x10000n, after: { cr2 } }),
    ).broken;
  test('may read the selector before the instruction pointer', () => {
    expect(faults(end + 4n, end + 4n)).toEqual([]);
    expect(faults(end + 4n, end + 8n)).toEqual([]);
    expect(faults(end + 4n, end + 12n)).toEqual(['instructions.page.cr2']);
  });
  test('has one order where only one of the two faults', () => {
    expect(faults(end - 4n, end)).toEqual([]);
    expect(faults(end - 4n, end - 4n)).toEqual(['instructions.page.cr2']);
  });
});

describe('stops', () => {
  const setting: Setting = { mode: 'real', paging: 'none' };
  /** LIDT [bx] with a base of 100H: the entry of INT3 is at 10CH, that of vector 43H as furnished. */
  const lidt = (stop: number): readonly string[] =>
    tell(
      setting,
      '0f011f',
      (s) => ({ rbx: BigInt(at.data) - s.ds.base }),
      (b) => {
        const told = delivers(setting, b, {
          vector: 3,
          rip: b.rip + 4n,
          rflags: b.rflags,
          after: { idtr: { base: 0x100n, limit: 0x203 } },
        });
        return { ...told, stop, state: { ...told.state, rip: BigInt(at.stops.at) + BigInt(at.stops.stride * stop) } };
      },
      [[at.data, '0302' + '00010000']],
    ).broken;
  test('are told by where the handler is, not by the vector', () => {
    expect(lidt(0x43)).toEqual([]);
    expect(lidt(3)).toEqual(['instructions.table.completes']);
  });
  test('have memory of the target’s own', () => {
    const there = BigInt(at.stops.at) + 0x100n;
    // AND [rbx], eax
    const told = tell({}, '2103', { rbx: there, rax: 1n }, (b) =>
      delivers({}, b, { vector: 3, rip: b.rip + 3n, rflags: b.rflags, writes: [[Number(there), 0x12345678n, 4]] }),
    );
    expect(told.broken).toEqual([]);
    expect(told.kept.filter((id) => id.startsWith('instructions.alu'))).toEqual([]);
  });
});

describe('MOVSXD of a word', () => {
  const setting: Setting = { level: 3 };
  const told = (rax: bigint, vector: 3 | 13 | 17, vendor: 'intel' | 'amd'): readonly string[] =>
    tell({ ...setting, vendor }, '666300', { rax, rflags: 0x40202n }, (b) =>
      vector === 3
        ? delivers(setting, b, { vector, rip: b.rip + 4n, rflags: b.rflags, after: { rax: (rax & ~0xffffn) | 0xccccn } })
        : delivers(setting, b, { vector, error: 0, rip: b.rip, rflags: b.rflags | 0x10000n }),
    ).broken;
  const word = BigInt(at.data + 2);
  const edge = (1n << 47n) - 2n;
  test('may be one of four bytes, but for Intel', () => {
    expect([told(word, 3, 'amd'), told(word, 17, 'amd'), told(word, 3, 'intel')]).toEqual([[], [], []]);
    expect(told(word, 17, 'intel')).toContain('instructions.move.completes');
    expect(told(edge, 3, 'intel')).toContain('instructions.page.present');
    expect(told(edge, 13, 'amd')).toEqual([]);
    expect(told(word + 2n, 17, 'amd')).toContain('instructions.move.completes');
  });
});

describe('a far CALL whose first push wraps round at the end of the address space', () => {
  test('is not judged', () => {
    const setting: Setting = { level: 3 };
    const told = tell(
      setting,
      'ff18',
      { rsp: 1n, rax: BigInt(at.data) },
      (b) => delivers(setting, b, { vector: 12, error: 0, rip: b.rip, rflags: b.rflags | 0x10000n }),
      [[at.data, '000201002300']],
    );
    expect(told.broken).toEqual([]);
    expect(told.kept.filter((id) => /^instructions\.(call|page|operand)/.test(id))).toEqual([]);
  });
});

describe('REP OUTSB of nothing', () => {
  const setting: Setting = { level: 3 };
  const told = (vector: number, rdx: bigint, rcx = 0n): readonly string[] =>
    tell(setting, 'f36e', { rdx, rcx }, (b) =>
      vector === 3
        ? delivers(setting, b, { vector, rip: b.rip + 3n, rflags: b.rflags })
        : delivers(setting, b, { vector, error: 0, rip: b.rip, rflags: b.rflags | 0x10000n }),
    ).broken;
  test('may ask for the permission of the port, or not', () => {
    expect(told(13, 0x7fffn)).toEqual([]);
    expect(told(3, 0x7fffn)).toEqual([]);
  });
  test('completes where the port is permitted', () => {
    expect(told(3, 0x60n)).toEqual([]);
    expect(told(13, 0x60n)).toEqual(['instructions.io.completes']);
  });
  test('may not complete where there is something', () => {
    expect(told(3, 0x7fffn, 1n)).toContain('instructions.io.bitmap');
  });
});

describe('stops above CPL 0', () => {
  const setting: Setting = { mode: 'prot32', paging: 'none', level: 3 };
  /** JMP 23H:4C00H, a stop that no gate leads to. */
  const jump = (answer: 'stop' | 'shutdown', ...patches: readonly (readonly [number, string])[]): ReturnType<typeof tell> =>
    tell(
      setting,
      'ea004c00002300',
      {},
      answer === 'stop' ? { by: 'stop', stop: 0xc0, state: { rip: 0x4c00n } } : { by: 'shutdown' },
      patches,
    );
  test('are told where #GP leads to its own stop', () => {
    expect(jump('stop').kept).toContain('instructions.far.completes');
    expect(jump('shutdown').broken).toContain('instructions.far.completes');
  });
  test('are not where its gate is not present: the target may have no other way out', () => {
    const absent = [at.idt + 8 * 13 + 5, '0e'] as const;
    expect(jump('shutdown', absent).broken).toEqual([]);
    expect(jump('stop', absent).kept).not.toContain('instructions.far.completes');
  });
});

describe('paging structures as code', () => {
  const setting: Setting = { mode: 'prot32', paging: '32-bit', level: 0 };
  // JMP EAX; then INC EAX, DEC EAX and INT3 at EAX.
  const jump = (where: number): ReturnType<typeof tell> =>
    tell(setting, 'ffe0', { rax: BigInt(where) }, { by: 'shutdown' }, [[where, '4048cc']]);
  test('are not told of: their flags may be set ahead of need', () => {
    expect(jump(at.code + 0x100).broken).toContain('instructions.course.ends');
    expect(jump(at.pageTable + 0x800).broken).toEqual([]);
  });
});

describe('ring 3 of a host', () => {
  const setting: Setting = { level: 3, offers: ['cpu', 'memory.seen'] };
  test('has an IDT of its own: where INT n leads is not judged', () => {
    expect(tell(setting, 'cd00', {}, { stop: 13 }).broken).toEqual([]);
    expect(tell(setting, 'cc', {}, { stop: 6 }).broken).toEqual(['instructions.interrupt.completes']);
  });
});

describe('kinds of difference', () => {
  const setting: Setting = { level: 3 };
  test('name the flags that differ', () => {
    const told = tell(setting, '90', { rflags: 0x3202n }, (b) =>
      delivers(setting, b, { vector: 3, rip: b.rip + 2n, rflags: b.rflags & ~0x3000n }),
    );
    expect(told.findings.map((f) => f.kind)).toEqual(['rflags IOPL', 'rflags IOPL']);
  });
  test('name what came in place of what', () => {
    const told = tell(setting, '0f0b', {}, (b) => delivers(setting, b, { vector: 13, error: 0, rip: b.rip, rflags: b.rflags | 0x10000n }));
    expect(told.findings.map((f) => f.kind)).toEqual(['#GP for #UD']);
  });
  test('name what an error code differs in, and the nearest where several are permitted', () => {
    const kindsOf = (error: number): readonly string[] =>
      tell(setting, 'cd08', {}, (b) => delivers(setting, b, { vector: 13, error, rip: b.rip, rflags: b.rflags | 0x10000n })).findings.map(
        (f) => f.kind,
      );
    expect(kindsOf(0x42)).toEqual([]);
    expect(kindsOf(0x43)).toEqual(['error code EXT']);
    expect(kindsOf(0x82)).toEqual(['error code index']);
    expect(kindsOf(0x44)).toEqual(['error code IDT TI']);
    expect(kindsOf(0)).toEqual(['error code 0']);
    expect(kindsOf(0xcccccccc)).toEqual(['error code reserved']);
  });
  test('name many flags together', () => {
    const told = tell(setting, '90', {}, (b) => delivers(setting, b, { vector: 3, rip: b.rip + 2n, rflags: b.rflags ^ 0x3f7fd4n }));
    expect([...new Set(told.findings.map((f) => f.kind))]).toContain('rflags many');
  });
  test('tell a frame that lies elsewhere from a frame with other words', () => {
    const told = tell(setting, '0f0b', {}, (b) => {
      const due = delivers(setting, b, { vector: 6, rip: b.rip, rflags: b.rflags | 0x10000n });
      return {
        ...due,
        state: { ...due.state, rsp: (due.state?.rsp ?? 0n) - 0x40n },
        writes: (due.writes ?? []).map(([where, value, size]) => [where - 0x40, value, size] as const),
      };
    });
    expect([...new Set(told.findings.map((f) => f.kind))].sort()).toEqual(['frame of 8-byte words elsewhere', 'rsp']);
  });
});

describe('64-bit mode', () => {
  const setting: Setting = { level: 3 };
  test('leaves open how long a near branch with 66H is', () => {
    const told = tell(setting, `${'3e'.repeat(9)}660f82e0ffffff`, {}, (b) =>
      delivers(setting, b, { vector: 6, rip: b.rip + 14n, rflags: b.rflags | 0x10000n }),
    );
    expect(told.broken).toEqual([]);
    const long = tell(setting, `${'3e'.repeat(10)}0f82e0ffffff`, {}, (b) =>
      delivers(setting, b, { vector: 6, rip: b.rip, rflags: b.rflags | 0x10000n }),
    );
    expect(long.broken).toEqual(['instructions.fetch.length']);
  });
  test('shows nothing of SS that holds a null selector', () => {
    const answer = (access: number, selector: number): readonly string[] =>
      tell(
        { level: 0 },
        '0f0b',
        (b) => ({ ss: { ...b.ss, selector: 0, access: 0x10000 } }),
        (b) => {
          const due = delivers({ level: 0 }, b, { vector: 6, rip: b.rip, rflags: b.rflags | 0x10000n });
          return { ...due, state: { ...due.state, ss: { ...b.ss, selector, access } } };
        },
      ).broken;
    expect(answer(0x10000, 0)).toEqual([]);
    expect(answer(0xc093, 0)).toEqual([]);
    expect(answer(0xc093, 0x18)).not.toEqual([]);
  });
});

describe('single-stepping STI', () => {
  const setting: Setting = { level: 0 };
  const stepped = (flags: bigint): readonly string[] =>
    tell(setting, 'fb', { rflags: 0x102n | flags }, (b) => delivers(setting, b, { vector: 3, rip: b.rip + 2n, rflags: b.rflags | 0x200n }))
      .broken;
  test('is followed by its trap, whether IF was set before or not', () => {
    expect(stepped(0x200n)).toContain('instructions.step.trap');
    expect(stepped(0n)).toContain('instructions.step.trap');
  });
});

describe('SAHF', () => {
  const told = (setting: Setting, vector: 3 | 6): readonly string[] =>
    tell(setting, '9e', { rax: 0n, rflags: 0x202n }, (b) =>
      delivers(
        setting,
        b,
        vector === 3 ? { vector, rip: b.rip + 2n, rflags: b.rflags } : { vector, rip: b.rip, rflags: b.rflags | 0x10000n },
      ),
    ).broken;
  test('may be absent in 64-bit mode where CPUID does not tell of it, as on the first processors with that mode', () => {
    expect([told({}, 3), told({}, 6)]).toEqual([[], []]);
    expect(told({ features: ['lahf'] }, 3)).toEqual([]);
    expect(told({ features: ['lahf'] }, 6)).toContain('instructions.flag.completes');
    expect(told({ mode: 'compat' }, 6)).toContain('instructions.flag.completes');
  });
});
