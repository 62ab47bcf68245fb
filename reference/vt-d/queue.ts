// Decides how the invalidation queue is worked off.
import type { Unit } from './unit.ts';
export const runQueue = (_unit: Unit): void => {};
