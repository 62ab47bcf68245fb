// Lines over FIFOs: what has arrived, whole lines only, in order, and which answers belong to which commands.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probeHost } from '../host/probe.ts';
import { waited } from '../host/lanes.ts';
import { openPipe, type Pipe } from './pipe.ts';
import { qtestOver } from './qtest.ts';

const host = await probeHost();
if (!host.ok) console.warn(`what has arrived in a pipe is not tested: ${host.reason}`);

describe.skipIf(!host.ok)('a pipe', () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'vmmc-pipe-'));
  const path = join(folder, 'p');
  let pipe: Pipe;
  let peer: number;
  beforeAll(() => {
    execFileSync('mkfifo', [`${path}.in`, `${path}.out`]);
    pipe = openPipe(path, (read) => read());
    peer = fs.openSync(`${path}.out`, 'r+');
  });
  afterAll(() => {
    pipe.close();
    fs.closeSync(peer);
    fs.rmSync(folder, { recursive: true });
  });
  const says = (text: string): void => void fs.writeSync(peer, text);

  it('holds whole lines only, and gives them in order without the empty ones', () => {
    expect(pipe.holds(1)).toBe(false);
    says('OK 1\nOK');
    expect([pipe.holds(1), pipe.holds(2)]).toEqual([true, false]);
    says(' 2\n\nOK 3\n');
    expect(pipe.holds(2)).toBe(true);
    expect([pipe.next(), pipe.next(), pipe.next()]).toEqual(['OK 1', 'OK 2', 'OK 3']);
    expect(pipe.holds(1)).toBe(false);
  });

  it('gives each command its own answer, though another was begun before the first was taken', () => {
    const qtest = qtestOver(pipe);
    const [first, second]: number[][] = [[], []];
    const takeFirst = qtest.start(['readb 1', 'writeb 2 0'], first as number[]);
    says('OK 0x11\nO');
    expect(qtest.ready()).toBe(false);
    says('K\nOK 0x22\n');
    expect(qtest.ready()).toBe(true);
    const takeSecond = qtest.start(['readb 3'], second as number[]);
    takeFirst();
    takeSecond();
    expect([first, second]).toEqual([[0x11, 0], [0x22]]);
    says('OK 0x33\n');
    expect(waited(qtest.asks(['readb 4']))).toEqual(['0x33']);
    says('FAIL no such address\n');
    expect(() => qtest.lines(['readb 5'])).toThrow('qtest readb 5: FAIL');
  });
});
