// Decides how one byte of a structure of the processor's own is read: where a word would cross into a page that need not be there.

import { SUPERVISOR, READ, translate } from './paging.ts';
import type { Cpu } from './cpu.ts';
import { loadBytes } from './ram.ts';

export const system8 = (c: Cpu, lo: number, hi: number): number => {
  c.av = 13;
  loadBytes(c.ram, translate(c, lo, hi, READ, SUPERVISOR), 1, c.scratch, 0);
  return c.scratch[0]!;
};
