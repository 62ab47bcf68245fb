// Three instructions in a row: ADD EAX, EBX; MOV [RBX], EAX; MOV ECX, EAX. What they leave is written from the manual.

import { also, CF, d, ends, flags, PF, port, type Row, state, without, word, write } from './spec-row.ts';

const code = '01d8890389c1';
const good = ends(6, { after: { rax: 0x14111n, rcx: 0x14111n }, flags: 0x202n | PF, writes: [[d, 0x14111n, 4]] });
const spoilt: readonly (readonly [name: string, spoil: Row['spoil']])[] = [
  ['ends', without],
  ['registers', state(() => ({ rcx: 0x14112n }))],
  ['flags', flags(CF)],
  ['stores', write(d, () => 0x11n)],
  ['memory', also(d + 64, 0n)],
  ['ports', (a) => ({ ...a, ports: [port] })],
  ['system', state(() => ({ star: 0n }))],
  ['frame', word(4, 1n)],
];
export const courses: readonly Row[] = spoilt.map(([name, spoil]) => ({ clause: `course.${name}`, code, good, spoil }));
