// Measures the reference processor: guest instructions a second in a mixed integer loop, and single-instruction cases a second with reset.
// Run with tsx; prints one line a figure. The best of several batches counts: the machine is shared.

import type { Gpa } from '../../spec/units.ts';
import { createCpu } from '../../reference/processor/cpu.ts';
import { newBlocks } from '../../reference/processor/decode.ts';
import { createRam, poke } from '../../reference/processor/ram.ts';
import { run } from '../../reference/processor/run.ts';
import { loadState } from '../../reference/processor/state.ts';
import { refTarget } from '../targets/ref/ref.ts';
import { machineFor } from './furniture.ts';
import { startState } from './state.ts';

/** 64-bit code at CPL 0: sum, xor, shift, multiply, load, store, compare and branch. */
const loop = Uint8Array.from(
  [
    '48c7c140420f00', // mov rcx, 1000000
    '4801c8', // L: add rax, rcx
    '4831c2', // xor rdx, rax
    '48c1e203', // shl rdx, 3
    '8b3b', // mov edi, [rbx]
    '01c7', // add edi, eax
    '893b', // mov [rbx], edi
    '4c8d440b08', // lea r8, [rbx+rcx+8]
    '0fb6f0', // movzx esi, al
    '4839d6', // cmp rsi, rdx
    '480f42f2', // cmovb rsi, rdx
    '48ffc9', // dec rcx
    '75dc', // jnz L
    'f4',
  ].flatMap((hex) => [...Buffer.from(hex, 'hex')]),
);
const PER_TURN = 12;
const CODE = 0x10000n as Gpa;

const best = (batches: number, body: () => number): number => {
  let most = 0;
  for (let i = 0; i < batches; i++) {
    const start = process.hrtime.bigint();
    const done = body();
    most = Math.max(most, (done / Number(process.hrtime.bigint() - start)) * 1e9);
  }
  return most;
};
const target = refTarget();
const config = machineFor('long64', '4-level', []);
const state = startState(config, 0);

/** The processor alone: nothing looks at its stores. */
const bare = (): number => {
  const ram = createRam(config.memory);
  for (const { at, bytes } of config.image ?? []) poke(ram, Number(at), bytes);
  poke(ram, Number(CODE), loop);
  const cpu = createCpu(ram, () => 0);
  const blocks = newBlocks();
  return best(5, () => {
    loadState(cpu, state);
    if (run(cpu, blocks, undefined, 1e9).by !== 'halt') throw new Error('the loop did not come to its end');
    return PER_TURN * 1e6;
  });
};
const instructions = bare();
console.log(`loop: ${(instructions / 1e6).toFixed(1)} M instructions/s`);

const code = Uint8Array.of(0x48, 0x01, 0xd8, 0xcc);
const cases = best(5, () => {
  for (let i = 0; i < 5000; i++) {
    target.reset(config);
    code[2] = 0xc0 | (i & 63);
    target.apply({ do: 'memory.write', at: CODE, bytes: code });
    target.apply({ do: 'cpu.run', state, limit: 10 });
  }
  return 5000;
});
console.log(`cases: ${(cases / 1e3).toFixed(1)} k cases/s`);
