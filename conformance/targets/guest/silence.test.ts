// What counts as a hang: time burnt, or a long sleep; never the passing of time while the machine wants a processor.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { activity, silence } from './silence.ts';

test('a machine that burns processor time and says nothing hangs; one that says a word in between does not', () => {
  const one = silence();
  expect(one.hangs({ used: 5000, awake: true })).toBe(false);
  expect(one.hangs({ used: 7900, awake: true })).toBe(false);
  one.heard();
  expect(one.hangs({ used: 8500, awake: true })).toBe(false);
  expect(one.hangs({ used: 11400, awake: true })).toBe(false);
  expect(one.hangs({ used: 11600, awake: true })).toBe(true);
});

test('one that waits for a processor does not hang however long it waits; one that sleeps at fifty looks in a row does', () => {
  const one = silence();
  for (let i = 0; i < 1000; i++) expect(one.hangs({ used: 100, awake: true })).toBe(false);
  for (let i = 0; i < 49; i++) expect(one.hangs({ used: 100, awake: false })).toBe(false);
  expect(one.hangs({ used: 100, awake: true })).toBe(false);
  for (let i = 0; i < 49; i++) expect(one.hangs({ used: 100, awake: false })).toBe(false);
  expect(one.hangs({ used: 100, awake: false })).toBe(true);
});

test.skipIf(process.platform !== 'linux')('what a command started counts as its own', async () => {
  const child = spawn('sh', ['-c', '(while :; do :; done) & echo; wait'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  try {
    await once(child.stdout, 'data');
    let last = activity(child.pid as number);
    while (last.used < 50) {
      await new Promise((resolve) => setImmediate(resolve));
      last = activity(child.pid as number);
    }
    expect(last.awake).toBe(true);
  } finally {
    process.kill(-(child.pid as number), 'SIGKILL');
  }
});
