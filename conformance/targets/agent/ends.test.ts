// What is told of a case with which QEMU ends: a hang where our watchdog's interrupt finds no stack is none of its doing, a death is.

import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { Gpa, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { connect } from '../../connect.ts';
import { code } from '../../instructions/layout.ts';
import { startState } from '../../instructions/state.ts';
import { machines } from '../../instructions/suite.ts';
import { allOf } from '../answers.fixture.ts';

const qemu = 'qemu-system-x86_64';
const installed = spawnSync(qemu, ['--version'], { timeout: 20_000 }).error === undefined;
const prot = machines.find((m) => m.cpu?.mode === 'prot32') as MachineConfig;
test.runIf(installed)(
  'a loop on a stack that takes no interrupt tells nothing of QEMU, which an NMI there hangs',
  { timeout: 60_000 },
  async () => {
    const target = await connect('qemu-tcg');
    const state = startState(prot, 0);
    const loop = (rsp: bigint): readonly Stimulus[] => [
      { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.of(0xeb, 0xfe) },
      { do: 'cpu.run', state: { ...state, rsp }, limit: 10 },
    ];
    // LOCK BT EAX, EAX, of which QEMU dies, where a descriptor is written to as well.
    const dies: readonly Stimulus[] = [
      { do: 'memory.write', at: 0x1018n as Gpa, bytes: Uint8Array.of(0xff) },
      { do: 'memory.write', at: BigInt(code) as Gpa, bytes: Uint8Array.of(0xf0, 0x0f, 0xa3, 0xc0) },
      { do: 'cpu.run', state, limit: 10 },
    ];
    const given = [loop(state.rsp), loop(0x1a800n), dies];
    const ran = await target.runAll?.(prot, given);
    await target.close();
    if (ran === undefined || !('answers' in ran)) throw new Error(`not run: ${JSON.stringify(ran)}`);
    const [usual, absent, dead] = allOf(ran.answers, given).map((answers) => answers.at(-1));
    expect(usual).toMatchObject({ saw: [{ saw: 'cpu.stopped', by: 'limit' }] });
    expect(absent).toMatchObject({ unsupported: expect.stringContaining('no stack') });
    expect(dead).toMatchObject({ broke: expect.stringContaining('exited') });
  },
);
