// Measures what monitors cost, by the share of sensitive instructions: the time of a guest under each against the same guest on the bare processor.
// Run with tsx; prints the README's table. Runs are interleaved, and the median of the ratios counts: the machine is shared.

import { type BuildEngine, bareEngine } from '../../reference/processor/machine.ts';
import { engineOver, techniques } from '../../reference/monitors/machine.ts';
import type { StopRange } from '../../reference/processor/run.ts';
import type { Monitor } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { machineFor } from './furniture.ts';
import * as at from './layout.ts';
import { startState } from './state.ts';

const monitors = ['trap-and-emulate', 'binary-translation', 'paravirtual'] as const satisfies readonly Monitor[];
const INSTRUCTIONS = 400_000;
const ROUNDS = 7;
/** Kinds of sensitive instruction: one that traps at CPL 3 (MOV from CR0), one that does not (PUSHFQ, with the POP that takes it off again). */
const kinds = { 'MOV RAX,CR0': [0x0f, 0x20, 0xc0], PUSHFQ: [0x9c] } as const;
type Kind = keyof typeof kinds;

/** 1000 instructions, `sensitive` of them sensitive, in a loop that ends in HLT. */
const program = (sensitive: number, kind: Kind): Uint8Array => {
  const body: number[] = [];
  const turns = Math.round(INSTRUCTIONS / 1000);
  const fillers = [
    [0x48, 0x01, 0xc8],
    [0x48, 0x31, 0xc2],
    [0x8b, 0x3b],
    [0x01, 0xc7],
    [0x89, 0x3b],
    [0x48, 0x8d, 0x72, 0x08],
  ];
  const every = sensitive === 0 ? Number.POSITIVE_INFINITY : Math.floor(998 / sensitive);
  let since = 0;
  for (let n = 0; n < 998; n++) {
    since++;
    if (since >= every) {
      since = 0;
      body.push(...kinds[kind]);
      if (kind === 'PUSHFQ') {
        body.push(0x58);
        n++;
      }
    } else body.push(...(fillers[n % fillers.length] as number[]));
  }
  // mov ebp, turns; L: …; dec ebp; jnz L; hlt
  const back = -(body.length + 2 + 6);
  const jump = new Uint8Array(4);
  new DataView(jump.buffer).setInt32(0, back, true);
  return Uint8Array.of(0xbd, turns & 0xff, turns >> 8, 0, 0, ...body, 0xff, 0xcd, 0x0f, 0x85, ...jump, 0xf4);
};
const config: MachineConfig = machineFor('long64', '4-level', []);
const state = startState(config, 0);
const image = (): Uint8Array => {
  const bytes = new Uint8Array(config.memory).fill(config.fill);
  for (const { at: where, bytes: over } of config.image ?? []) bytes.set(over, Number(where));
  return bytes;
};
const stops: StopRange = { lo: Number(at.stops.at), hi: 0, stride: at.stops.stride, count: at.stops.count };

/** Runs the guest to its end once; nanoseconds. */
const timed = (build: BuildEngine, code: Uint8Array): (() => number) => {
  const engine = build(image(), () => 0);
  engine.poke(at.code, code);
  return () => {
    engine.load(state);
    const start = process.hrtime.bigint();
    const ended = engine.run(stops, 1e9);
    if (ended.by !== 'halt') throw new Error(`the guest ended by ${ended.by} ${ended.stop}`);
    return Number(process.hrtime.bigint() - start);
  };
};
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const measure = (sensitive: number, kind: Kind): readonly number[] => {
  const code = program(sensitive, kind);
  const bare = timed(bareEngine, code);
  const runs = monitors.map((m) => timed(engineOver((techniques[m] as NonNullable<(typeof techniques)[typeof m]>)(), false), code));
  const ratios: number[][] = monitors.map(() => []);
  for (let round = 0; round < ROUNDS + 2; round++)
    for (const [i, run] of runs.entries()) {
      const ratio = run() / bare();
      if (round >= 2) ratios[i]?.push(ratio);
    }
  return ratios.map(median);
};

console.log('Time of a guest under each monitor, against the bare reference processor.\n');
console.log(`| sensitive | ${monitors.join(' | ')} |`);
console.log(`|---|${monitors.map(() => '---:').join('|')}|`);
for (const kind of Object.keys(kinds) as Kind[])
  for (const per1000 of kind === 'PUSHFQ' ? [1, 10, 100] : [0, 1, 10, 100]) {
    const name = per1000 === 0 ? 'none' : `${per1000 / 10} % ${kind}`;
    console.log(
      `| ${name} | ${measure(per1000, kind)
        .map((r) => `${r.toFixed(2)}×`)
        .join(' | ')} |`,
    );
  }
