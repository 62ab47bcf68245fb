// Speed of the remapping unit: the reference's walks, unjudged; memory requests of devices, judged; programs as check draws them, judged.
// npm run bench -- vt-d. Processor time beside wall-clock time, since a shared machine gives little of the second. Nothing here is asserted by tests.

import type { MachineConfig, Target } from '../../spec/units.ts';
import { areas } from '../areas.ts';
import { createJudge, type Judge } from '../judge.ts';
import type { Program, Suite } from '../program.ts';
import { playBlock } from '../run-block.ts';
import { programsOf } from '../sample.ts';
import { createMemory } from '../../reference/memory.ts';
import { contextSlot } from '../../reference/vt-d/caches.ts';
import { decodeProfile } from '../../reference/vt-d/profile.ts';
import { GSTS_REG, set } from '../../reference/vt-d/registers.ts';
import { TES, translate } from '../../reference/vt-d/translate.ts';
import { aim, createUnit, READ, type Unit } from '../../reference/vt-d/unit.ts';
import type { VtdChoice } from './choices.ts';
import { vtdSuite } from './suite.ts';

const ROOT = 1;
const CONTEXT = 2;
/** Tables of levels 4, 3, 2 and 1, and the page that each mapping leads to. */
const LEVELS: readonly number[] = [3, 4, 5, 6];
const TARGET = 7;
const SOURCE_ID = 0x10;
/** Translation of 48 bits; CAP and ECAP of QEMU with aw-bits=48. */
const CAP = 0xd2_008c_222f_0606n;
const ECAP = 0xf0_0f4an;

const prepared = (): Unit => {
  const memory = createMemory(16 * 4096, 0, () => undefined);
  const put = (page: number, index: number, value: bigint): void => memory.view.setBigUint64(page * 4096 + index * 8, value, true);
  put(ROOT, 0, (BigInt(CONTEXT) << 12n) | 1n);
  put(CONTEXT, 2 * SOURCE_ID, (3n << 12n) | 1n);
  put(CONTEXT, 2 * SOURCE_ID + 1, 0x102n);
  for (const [i, table] of LEVELS.entries())
    for (let index = 0; index < 512; index += 1) put(table, index, (BigInt(LEVELS[i + 1] ?? TARGET) << 12n) | 3n);
  const outside = { see: () => undefined, invalidateDevice: () => false, respond: () => undefined };
  const unit = createUnit(decodeProfile(CAP, ECAP, 48), memory, outside);
  unit.rootPage = ROOT;
  set(unit.registers, GSTS_REG, TES);
  unit.request.sourceId = SOURCE_ID;
  unit.request.need = READ;
  return unit;
};

/** Walks a second; `pages` distinct pages in turn, the context cache emptied before each walk where asked. */
const speed = (unit: Unit, pages: number, forget: boolean): number => {
  const walks = 2_000_000;
  const context = contextSlot(unit.caches, SOURCE_ID);
  let wrong = 0;
  const began = performance.now();
  for (let i = 0; i < walks; i += 1) {
    unit.memory.left = 1000;
    // Pages far apart: a different entry at each level.
    const page = (i % pages) * 0x201_0201;
    if (forget) context.sourceId = -1;
    aim(unit.request, page % 2 ** 36);
    if (translate(unit, unit.request) !== 0 || unit.request.hostPage !== TARGET) wrong += 1;
  }
  if (wrong > 0) throw new Error(`${wrong} walks went wrong`);
  return (walks / (performance.now() - began)) * 1000;
};

/** Walks of the reference in the best of three rounds, a line. */
export const walkSpeed = (): string => {
  const unit = prepared();
  speed(unit, 1 << 20, true);
  const best = (pages: number, forget: boolean): string =>
    `${(Math.max(...[1, 2, 3].map(() => speed(unit, pages, forget))) / 1e6).toFixed(2)} M/s`;
  return `walks of ref, not judged: cached ${best(16, false)}, of 4 levels ${best(1 << 20, false)}, with root and context ${best(1 << 20, true)}`;
};

/** Six mappings, then requests: writes and reads to what is mapped and what is not, an invalidation now and then. */
const requests = (machine: MachineConfig, count: number): Program => {
  const first: VtdChoice = { op: 'init', scalable: false, queue: true, remaps: false, levels: 0, domain: 0, attached: 15, enabled: true };
  const choices: VtdChoice[] = [first];
  for (let i = 0; i < 6; i++) choices.push({ op: 'map', space: i % 3, at: 3 * i, page: i, size: 0, rights: 3, how: 'right' });
  for (let i = 0; i < count; i++) {
    if (i % 64 === 63) choices.push({ op: 'invalidate', what: 4, space: i % 3, which: i, mask: 0, early: false });
    const op = i % 3 === 2 ? 'read' : 'write';
    choices.push({ op, requester: i, at: i % 7, offset: i % 12, load: i % 2 === 0 ? 'word' : 'bytes', pasid: 0, flags: 0 });
  }
  return { suite: vtdSuite.id, machine, choices };
};
const suite = vtdSuite as unknown as Suite;
/** Programs of one machine that follow each other are a block. */
async function* inTurn(target: Target, programs: readonly Program[], judge: Judge): ReturnType<typeof playBlock> {
  for (let i = 0; i < programs.length; ) {
    let end = i;
    while (programs[end]?.machine === programs[i]?.machine && end < programs.length) end++;
    yield* playBlock(target, suite, programs.slice(i, end), judge);
    i = end;
  }
}
/** Plays `programs` judged; `counts`: what a step is. */
const judgedSpeed = async (
  target: Target,
  programs: readonly Program[],
  counts: (name: string) => boolean,
): Promise<{ readonly steps: number; readonly cpu: number; readonly wall: number }> => {
  const judge = createJudge(areas);
  let steps = 0;
  const spent = process.cpuUsage();
  const began = performance.now();
  for await (const { played } of inTurn(target, programs, judge))
    for (const line of played.lines) if ('event' in line && 'do' in line.event && counts(line.event.do)) steps++;
  const { user, system } = process.cpuUsage(spent);
  return { steps, cpu: (user + system) / 1e6, wall: (performance.now() - began) / 1000 };
};
/** Judged memory requests and judged stimuli of programs as check draws them, a line each. `count`: programs drawn. */
export const judgedSpeeds = async (target: Target, count: number): Promise<readonly string[]> => {
  const built: MachineConfig[] = [];
  for (const machine of suite.machines) if ('granted' in (await target.reset(machine))) built.push(machine);
  const drawn = Array.from({ length: Math.ceil(count / 16) }, (_, block) =>
    programsOf(suite, built[block % built.length] as MachineConfig, 1, block),
  ).flat();
  const dense = Array.from({ length: 16 }, () => requests(built[0] as MachineConfig, 600));
  const told = (what: string, s: { readonly steps: number; readonly cpu: number; readonly wall: number }): string =>
    `${what}, judged: ${(s.steps / s.wall).toFixed(0)} /s by the clock, ${(s.steps / s.cpu).toFixed(0)} per second of this process's processor time (${s.steps} in ${s.wall.toFixed(1)} s)`;
  const isRequest = (name: string): boolean => name.startsWith('dma.');
  // Once for the compiler.
  await judgedSpeed(target, [...drawn.slice(0, 128), ...dense], isRequest);
  return [
    told(`${target.hello.name}, memory requests`, await judgedSpeed(target, dense, isRequest)),
    told(`${target.hello.name}, stimuli as check draws them`, await judgedSpeed(target, drawn, () => true)),
  ];
};
