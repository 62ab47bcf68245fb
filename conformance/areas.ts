// The registration: which areas judge, and which suites make programs. A new area is one line in each list.

import type { Area } from '../spec/clause.ts';
import { instructions } from '../spec/instructions/index.ts';
import { machine } from '../spec/machine.ts';
import { basic } from '../spec/virtio/basic/index.ts';
import { blk } from '../spec/virtio/blk/index.ts';
import { mmio } from '../spec/virtio/mmio/index.ts';
import { pci } from '../spec/virtio/pci/index.ts';
import { split } from '../spec/virtio/split/index.ts';
import { vtd } from '../spec/vt-d/index.ts';
import { monitorSuite } from './instructions/monitor-suite.ts';
import { courseSuite } from './instructions/course-suite.ts';
import { instructionsSuite } from './instructions/suite.ts';
import type { Choice, Suite } from './program.ts';
import { blkSuite } from './virtio/blk.ts';
import { mmioSuite } from './virtio/mmio.ts';
import { pciSuite } from './virtio/pci.ts';
import { vtdSuite } from './vt-d/suite.ts';
import { vtdSweepSuite } from './vt-d/sweep-suite.ts';

const area = <G>(a: Area<G>): Area<never> => a as unknown as Area<never>;
const suite = <C extends Choice>(s: Suite<C>): Suite => s as unknown as Suite;

/** In the order in which they observe: an area comes after those whose derived events it wants. */
export const areas: readonly Area<never>[] = [
  area(machine),
  area(basic),
  area(split),
  area(blk),
  area(pci),
  area(mmio),
  area(instructions),
  area(vtd),
];
export const suites: readonly Suite[] = [
  suite(blkSuite),
  suite(pciSuite),
  suite(mmioSuite),
  suite(instructionsSuite),
  suite(monitorSuite),
  suite(courseSuite),
  suite(vtdSuite),
  suite(vtdSweepSuite),
];

/** Whether a dotted id is, or lies below, one of the prefixes. No prefixes: everything. */
export const within = (id: string, prefixes: readonly string[]): boolean =>
  prefixes.length === 0 || prefixes.some((p) => id === p || id.startsWith(`${p}.`));

/** Whether the clauses of an area are asked for: by its prefixes, or by a suite whose name lies below its own. */
export const asked = (area: string, prefixes: readonly string[]): boolean =>
  within(area, prefixes) || suites.some((s) => within(s.id, prefixes) && within(s.id, [area]));

/** Suites whose programs judge one of the areas: `virtio.basic` and `virtio.split` are exercised by the device suites. */
export const suitesFor = (prefixes: readonly string[]): readonly Suite[] =>
  suites.filter((s) => within(s.id, prefixes) || prefixes.some((p) => exercisedBy[s.id]?.some((a) => within(a, [p])) ?? false));
const exercisedBy: Readonly<Record<string, readonly string[]>> = { 'virtio.blk': ['machine', 'virtio.basic', 'virtio.split'] };
