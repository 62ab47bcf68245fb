// Seeded faults that show where several instructions follow one another, and in none of them alone.
// From the rule alone: each lets the ninth instruction in a row go wrong in one way.

import type { Fault } from './fault.ts';

const ninth = '          op.run(c);\n          count++;';
const before = (what: string): readonly [string, string] => [ninth, `          if (count === 8) ${what};\n${ninth}`];

export const instructionCourseFaults: readonly Fault[] = [
  {
    id: 'course-never-ends',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: ['        if (!op.jumps) {', '        if (!op.jumps && count !== 9) {'],
    killedBy: 'instructions.course.ends',
    story: 'behind nine instructions without a jump the first of them comes again',
  },
  {
    id: 'course-left-out',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: [ninth, '          if (count !== 8) op.run(c);\n          count++;'],
    killedBy: 'instructions.course.registers',
    story: 'the ninth instruction in a row is left out',
  },
  {
    id: 'course-carry',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: before('c.flags ^= 1'),
    killedBy: 'instructions.course.flags',
    story: 'the ninth instruction in a row finds the carry flag turned over',
  },
  {
    id: 'course-stale-byte',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: before(
      '{ const { log } = ram; const at = log.count === 0 ? 0x14000 : log.entries[log.count - 2]!; ram.bytes[at]! ^= 1; log.entries[log.count++] = at; log.entries[log.count++] = 1; log.bytes[log.used++] = ram.bytes[at]!; }',
    ),
    killedBy: 'instructions.course.stores',
    story: 'a byte that an earlier instruction stored is another when the ninth in a row comes',
  },
  {
    id: 'course-stray-byte',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: before(
      '{ const { log } = ram; ram.bytes[0x20000] = 0; log.entries[log.count++] = 0x20000; log.entries[log.count++] = 1; log.bytes[log.used++] = 0; }',
    ),
    killedBy: 'instructions.course.memory',
    story: 'beside the ninth instruction in a row a byte is stored elsewhere',
  },
  {
    id: 'course-stray-port',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: before("c.port(0x80, 1, 'out', 0)"),
    killedBy: 'instructions.course.ports',
    story: 'beside the ninth instruction in a row port 80H is written',
  },
  {
    id: 'course-cr2',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: before('c.cr2 = 0x1000n'),
    killedBy: 'instructions.course.system',
    story: 'the ninth instruction in a row leaves CR2 another',
  },
  {
    id: 'course-fault-rip',
    origin: 'rule',
    file: 'processor/run.ts',
    swap: [
      '          c.ipLo = c.op.lo;\n          c.ipHi = c.op.hi;\n        }\n        c.left -= count;',
      '          c.ipLo = (count > 3 ? c.ops[0]! : c.op).lo;\n          c.ipHi = c.op.hi;\n        }\n        c.left -= count;',
    ],
    killedBy: 'instructions.course.frame',
    story: 'a fault of the fifth instruction in a row and of those behind it saves where the first one stands',
  },
];
