// The reference processor booting the agent's ROM from the reset vector: the same bytes that Bochs and QEMU boot, in process.

import { createBoard } from '../../../reference/processor/board.ts';
import { isMissing } from '../../../reference/processor/fault.ts';
import type { Target } from '../../../spec/units.ts';
import { rom, romRoom } from '../../agents/image.ts';
import { control, controlAt, ramSize, results } from '../../agents/map.ts';
import type { Ran, Runner } from '../agent/batch.ts';
import { agentTarget } from '../agent/target.ts';

/** What a case may take before the timer ends it: a hundred times the longest that ends by itself. */
const timer = 300_000;
const exitPort = 0x8900;

const runner: Runner = {
  room: romRoom,
  run: (machine, cases): Promise<Ran> => {
    const limit = 4_000_000 + cases.length * (timer + 200_000);
    const board = createBoard({ memory: ramSize, rom: rom(machine, cases), exitPort, timer, limit });
    const { bytes } = board.ram;
    const word = (at: number): number => board.ram.view.getUint32(control + at, true);
    try {
      const by = board.run();
      if (word(controlAt.done) === 1)
        return Promise.resolve({ finished: cases.length, results: bytes.subarray(results), ended: 'shutdown' });
      return Promise.resolve({
        finished: word(controlAt.progress),
        results: bytes.subarray(results),
        ended: by === 'limit' ? 'hang' : 'shutdown',
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
      return Promise.resolve({
        finished: word(controlAt.progress),
        results: bytes.subarray(results),
        ended: { unsupported: error.message },
      });
    }
  },
};

export const refRomTarget = (): Promise<Target> => agentTarget({ name: 'ref-rom', version: '0.1.0', runner, close: () => {} });
