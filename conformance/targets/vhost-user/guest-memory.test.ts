// Guest memory reports exactly the bytes that another mapping of the same file changed, in ascending order, once.

import { writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadLibc } from '../host/libc.ts';
import { probeHost } from '../host/probe.ts';
import { guestMemory } from './guest-memory.ts';

const host = await probeHost();
if (!host.ok) console.log(`skipped: ${host.reason}`);

describe.skipIf(!host.ok)('guest memory', () => {
  it('reports foreign bytes, not the driver’s, and joins runs across blocks', async () => {
    const memory = guestMemory(await loadLibc(), 8192);
    memory.fill(0xa5);
    expect(memory.changes()).toEqual([]);
    expect(memory.write(16n, Uint8Array.of(1, 2, 3, 4))).toBe(true);
    writeSync(memory.fd, Uint8Array.of(9, 8, 7, 6), 0, 4, 1022);
    writeSync(memory.fd, Uint8Array.of(5, 0xa5, 4), 0, 3, 8);
    writeSync(memory.fd, Uint8Array.of(3), 0, 1, 8191);
    expect(memory.changes()).toEqual([
      { at: 8n, bytes: Uint8Array.of(5) },
      { at: 10n, bytes: Uint8Array.of(4) },
      { at: 1022n, bytes: Uint8Array.of(9, 8, 7, 6) },
      { at: 8191n, bytes: Uint8Array.of(3) },
    ]);
    expect(memory.changes()).toEqual([]);
    expect([memory.word(16n), memory.word(17n), memory.word(8191n), memory.word(-1n)]).toEqual([0x201, 0x302, undefined, undefined]);
    expect([memory.write(8191n, Uint8Array.of(1, 2)), memory.write(-1n, Uint8Array.of(1))]).toEqual([false, false]);
    memory.retire();
    expect(memory.word(16n)).toBe(0);
  });
});
