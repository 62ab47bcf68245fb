// Whether bad adapters are caught, blamed rightly and cleaned away, and whether memory is seen. The adapters are shell scripts: they start fast.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import type { Gpa, MachineConfig } from '../../../spec/units.ts';
import { type AdapterError, isAdapterError } from './blame.ts';
import { type ExecTarget, execTarget } from './exec.ts';

const hello = `read l; echo '{"seq":1,"hello":{"protocol":1,"name":"sh","version":"0","offers":["memory.seen"]}}'`;
const granted = `read l; echo '{"seq":2,"granted":{}}'`;
const reply = (seq: number, result: string): string => `read l; echo '{"seq":${seq},${result}}'`;
const script = (...lines: readonly string[]): string => lines.join('\n');
const machine: MachineConfig = { memory: 8192, fill: 0xaa, bus: 'none' };
/** For adapters that stay silent; the others get time to start on a busy machine. */
const short = 1000;

const open: ExecTarget[] = [];
const start = (command: string, deadlineMs: number = 20_000): ExecTarget => {
  const target = execTarget(command, { deadlineMs });
  open.push(target);
  return target;
};
const blamed = (body: () => unknown): AdapterError => {
  try {
    body();
  } catch (error) {
    if (isAdapterError(error)) return error;
    throw error;
  }
  throw new Error('nobody was blamed');
};
const silence = 'read l; sleep 1000';
const withMachine = (...lines: readonly string[]): ExecTarget => {
  const target = start(script(hello, granted, ...lines), lines.includes(silence) ? short : undefined);
  expect(target.reset(machine)).toHaveProperty('granted');
  return target;
};
const read = { do: 'virtio.status.read' } as const;
const settle = { do: 'settle' } as const;
const notify = { do: 'virtq.notify', queue: 0 } as const;

/** Processes whose command line holds a word; the words are unique to a test. */
const running = (word: string): number =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
    } catch {
      return false; // it ended meanwhile
    }
  }).length;

afterAll(() => {
  for (const target of open) target.close();
});

describe('the adapter is to blame', () => {
  const never: readonly (readonly [string, string, string])[] = [
    ['no such program', 'vmmc-no-such-program', 'exited with status 127 at hello'],
    ['exits at once', 'exit 3', 'exited with status 3 at hello'],
    ['ends by a signal', 'kill -SEGV $$', 'was ended by SIGSEGV at hello'],
    ['never answers', silence, 'did not answer within 1 s at hello'],
    ['closes stdout', 'exec >&-; sleep 1000', 'closed its standard output at hello'],
    ['prints garbage', 'echo Starting up…', 'must be one JSON object'],
    ['prints an empty line', `echo; ${hello}`, 'must be one JSON object'],
    ['wrong seq', `read l; echo '{"seq":7,"hello":{"protocol":1,"name":"","version":"","offers":[]}}'`, 'answered seq 7 where 1 was due'],
    [
      'wrong protocol',
      reply(1, '"hello":{"protocol":2,"name":"","version":"","offers":[]}'),
      'field "protocol" must be one of 1, but is 2',
    ],
    ['wrong kind', reply(1, '"saw":[]'), 'answered hello with "saw"'],
    ['an error line', reply(1, '"error":"what?"'), 'says that our hello line is wrong: what?'],
    ['a line without end', `yes | tr -d '\\n'`, 'a line of more than 16777216 bytes'],
    ['floods stdout', 'yes', 'must be one JSON object'],
  ];
  test.each(never)('%s', (_, command, what) => {
    const error = blamed(() => start(command, what.startsWith('did not answer') ? short : undefined));
    expect(error.message).toContain(what);
    expect(error.fix).not.toBe('');
  });
  test('its stderr is kept, the end of it', () => {
    const error = blamed(() => start('echo first >&2; yes flood | head -c 300000 >&2; echo last words >&2; exit 1'));
    expect(error.stderr.length).toBe(64 * 1024);
    expect(error.stderr.endsWith('flood\nlast words\n')).toBe(true);
  });
  test('dies at the first reset', () => {
    const target = start(script(hello, 'read l; exit 9'));
    expect(blamed(() => target.reset(machine)).message).toContain('exited with status 9 at reset');
  });
  test('answers twice', () => {
    const target = withMachine(`${reply(3, '"saw":[]')}; echo '{"seq":3,"saw":[]}'`, 'sleep 1000');
    target.apply(read);
    expect(blamed(() => target.apply(read)).message).toMatch(/nobody asked for|answered seq 3 where 4 was due/);
  });
  test('breaks the protocol in apply', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['"saw":[{"saw":"virtio.status","value":-1}]', 'field "value" must be a whole number'],
      ['"saw":[{"saw":"virtio.state"}]', 'no event is called "virtio.state"'],
      ['"saw":[{"saw":"memory.changed","writes":[]}]', 'reports memory.changed'],
      ['"saw":[{"saw":"broke","why":"x"}]', 'reports broke inside "saw"'],
      ['"saw":[]', 'answered settle without "settled" at the end'],
    ];
    for (const [result, what] of cases) {
      const target = withMachine(reply(3, result), 'sleep 1000');
      expect(blamed(() => target.apply(settle)).message).toContain(what);
      target.close();
    }
  });
});

describe('what was answered before the protocol was broken is kept', () => {
  const answered = (target: ExecTarget, ...stimuli: Parameters<ExecTarget['applyAll']>[0]): AdapterError =>
    blamed(() => target.applyAll(stimuli));
  const status = '"saw":[{"saw":"virtio.status","value":7}]';
  test('of stimuli that were given together', () => {
    const error = answered(withMachine(reply(3, status), reply(4, status), 'read l; echo oops', 'sleep 1000'), read, read, read);
    expect(error.answers).toEqual([{ saw: [{ saw: 'virtio.status', value: 7 }] }, { saw: [{ saw: 'virtio.status', value: 7 }] }]);
    expect(error.message).toContain('asked for virtio.status.read, seq 5');
  });
  test('but for what is seen after memory, which is looked at too late', () => {
    const raised = '"saw":[{"saw":"interrupt","from":"queue","queue":0}]';
    const error = answered(withMachine(reply(3, status), reply(4, raised), 'read l; echo oops', 'sleep 1000'), read, read, read);
    expect(error.answers).toHaveLength(1);
    expect(error.message).toContain('seq 5');
  });
});

describe('the target is to blame', () => {
  const gone: readonly (readonly [string, string, string])[] = [
    ['dies', 'read l; kill -ABRT $$', 'was ended by SIGABRT'],
    ['exits', 'read l; exit 0', 'exited with status 0'],
    ['exits before it is asked', 'exit 5', 'exited with status 5'],
    ['never answers', silence, 'did not answer within 1 s'],
    ['forks and lingers', 'read l; sleep 1000 & exit 2', 'exited with status 2'],
    ['says so', reply(3, '"broke":"an assertion failed"'), 'an assertion failed'],
  ];
  test.each(gone)('%s', (_, line, why) => {
    const target = withMachine(line);
    expect(target.apply(read)).toEqual({ broke: why });
    expect(target.apply(read)).toEqual({ broke: why });
    expect(target.reset(machine)).toHaveProperty('granted'); // a fresh child
  });
  test('does not read, and holds its pipes from another session', () => {
    const own = reply(2, '"granted":{"memory":{"size":1048576,"fill":0,"seen":"ordered"}}');
    const target = start(script(hello, own, 'setsid sleep 3 <&0 & exec sleep 1000'), short);
    target.reset(machine);
    const write = { do: 'memory.write', at: 0n as Gpa, bytes: new Uint8Array(300_000) } as const;
    expect(target.apply(write)).toEqual({ broke: 'did not answer within 1 s' });
  });
  test('death in a later reset is an answer', () => {
    const target = withMachine('read l; exit 4');
    expect(target.reset(machine)).toEqual({ broke: 'exited with status 4' });
    expect(target.reset(machine)).toHaveProperty('granted');
  });
  test('a batch ends at the answer that broke', () => {
    const target = withMachine(reply(3, '"saw":[]'), reply(4, '"unsupported":"no"'), 'exit 1');
    expect(target.applyAll([read, read, read, read])).toEqual([{ saw: [] }, { unsupported: 'no' }, { broke: 'exited with status 1' }]);
  });
});

describe('memory', () => {
  const file = `f=$(echo "$l" | sed 's/.*"file":"//; s/".*//')`;
  const poke = (at: number, text: string): string => `printf '${text}' | dd of="$f" bs=1 seek=${at} conv=notrunc 2>/dev/null`;
  const withFile = `read l; ${file}; echo '{"seq":2,"granted":{}}'`;
  const machineOf = (...lines: readonly string[]): ExecTarget => {
    const target = start(script(hello, withFile, ...lines));
    expect(target.reset(machine)).toMatchObject({ granted: { memory: { size: 8192, fill: 0xaa, seen: 'compared' } } });
    return target;
  };
  test('what changed is seen before the interrupt that tells of it', () => {
    const interrupt = '{"saw":"interrupt","from":"queue"}';
    const target = machineOf(`read l; ${poke(255, 'ab')}; ${poke(8191, 'z')}; echo '{"seq":3,"saw":[${interrupt}]}'`, 'read l');
    expect(target.apply(notify)).toEqual({
      saw: [
        {
          saw: 'memory.changed',
          writes: [
            { at: 255n, bytes: Uint8Array.of(0x61, 0x62) },
            { at: 8191n, bytes: Uint8Array.of(0x7a) },
          ],
        },
        { saw: 'interrupt', from: 'queue' },
      ],
    });
  });
  test('what we write is there, and is not seen as changed', () => {
    const echo = `read l; c=$(dd if="$f" bs=1 skip=16 count=2 2>/dev/null); echo '{"seq":3,"unsupported":"'"$c"'"}'`;
    const target = machineOf(echo, `${reply(4, '"saw":[{"saw":"settled","by":"sync"}]')}`, 'read l');
    const write = { do: 'memory.write', at: 16n as Gpa, bytes: Uint8Array.of(0x68, 0x69) } as const;
    expect(target.applyAll([write, read, settle])).toEqual([{ saw: [] }, { unsupported: 'hi' }, { saw: [{ saw: 'settled', by: 'sync' }] }]);
    const outside = { do: 'memory.write', at: 8191n as Gpa, bytes: new Uint8Array(2) } as const;
    expect(target.apply(outside)).toEqual({ unsupported: 'memory.write outside guest memory' });
  });
  test('an adapter with its own memory gets the writes and reports the changes', () => {
    const own = reply(2, '"granted":{"memory":{"size":4096,"fill":"unknown","seen":"ordered"}}');
    const write = { do: 'memory.write', at: 0n as Gpa, bytes: Uint8Array.of(1) } as const;
    const report = '"saw":[{"saw":"memory.changed","writes":[{"at":"0x1","bytes":"02"}]}]';
    const got = `read l; case $l in *memory.write*) echo '{"seq":3,${report}}';; esac`;
    const target = start(script(hello, own, got, 'read l'));
    expect(target.reset(machine)).toMatchObject({ granted: { memory: { size: 4096, fill: 'unknown', seen: 'ordered' } } });
    expect(target.apply(write)).toEqual({ saw: [{ saw: 'memory.changed', writes: [{ at: 1n, bytes: Uint8Array.of(2) }] }] });
  });
});

describe('nothing is left', () => {
  test('a flood of stderr blocks nobody', () => {
    const target = start(script(hello, granted, 'read l; yes | head -c 3000000 >&2', `echo '{"seq":3,"saw":[]}'`, 'read l'));
    target.reset(machine);
    expect(target.apply(read)).toEqual({ saw: [] });
    expect(target.stderr().length).toBe(64 * 1024);
  });
  test('children, rooms and guest memory go with close', () => {
    const word = `vmmc-test-${process.pid}-linger`;
    const target = start(script(`: ${word}`, hello, `sh -c ': ${word}; sleep 1000' &`, 'read l; read l'), short);
    expect(running(word)).toBeGreaterThan(0);
    target.close();
    expect(running(word)).toBe(0);
  });
  test('even when we are killed', { timeout: 30_000 }, async () => {
    const word = `vmmc-test-${process.pid}-orphan`;
    const command = script(`: ${word}`, hello, granted, 'sleep 1000');
    const exec = new URL('exec.ts', import.meta.url).href;
    const program = [
      `const { execTarget } = await import(${JSON.stringify(exec)});`,
      `const target = execTarget(${JSON.stringify(command)});`,
      `target.reset(${JSON.stringify(machine)});`,
      `console.log(target.file);`,
      `setInterval(() => {}, 1000);`,
    ].join('\n');
    const left = (): number => running(word);
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [data] = (await once(child.stdout, 'data')) as [Buffer];
    const room = data.toString().trim();
    expect(existsSync(room)).toBe(true);
    expect(left()).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await expect.poll(left, { timeout: 10_000 }).toBe(0);
    await expect.poll(() => existsSync(room), { timeout: 10_000 }).toBe(false);
  });
  test('an adapter that ignores bye is ended', () => {
    const target = start(script(hello, 'trap "" TERM INT', 'while :; do sleep 1000; done'), short);
    target.close();
    expect(target.apply(read)).toEqual({ broke: 'the adapter was closed' });
  });
});
