// Decides what a task switch does.
// SDM volume 3, Task Management.

import type { Cpu } from './cpu.ts';
import { missing } from './fault.ts';

export const switchTask = (
  _c: Cpu,
  selector: number,
  _how: 'gate' | 'jump' | 'call' | 'iret',
  _event?: { readonly error: number; readonly ext: number; readonly resume: boolean },
): void => missing(`task switch to ${selector}`);
export const returnTask = (_c: Cpu): void => missing('return to the calling task');
