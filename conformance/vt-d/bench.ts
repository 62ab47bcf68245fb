// Speed of the reference's walks, unjudged: translations that the caches hold, and legacy 4-level walks that they do not.
// Run by hand: npx tsx conformance/vt-d/bench.ts. Nothing here is asserted by tests.

import { createMemory } from '../../reference/memory.ts';
import { contextSlot } from '../../reference/vt-d/caches.ts';
import { decodeProfile } from '../../reference/vt-d/profile.ts';
import { GSTS_REG, set } from '../../reference/vt-d/registers.ts';
import { TES, translate } from '../../reference/vt-d/translate.ts';
import { aim, createUnit, READ, type Unit } from '../../reference/vt-d/unit.ts';

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

const unit = prepared();
speed(unit, 1 << 20, true);
for (let round = 0; round < 3; round += 1) {
  const million = (n: number): string => `${(n / 1e6).toFixed(2)} M/s`;
  process.stdout.write(
    `cached ${million(speed(unit, 16, false))}, walk of 4 levels ${million(speed(unit, 1 << 20, false))}, with root and context ${million(speed(unit, 1 << 20, true))}\n`,
  );
}
