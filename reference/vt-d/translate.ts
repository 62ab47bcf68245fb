// Decides which way a request is translated: not at all, in legacy mode, in scalable mode, or aborted.
// VT-d 4.1, Translation Table Mode of the Root Table Address Register; fault conditions RTA.

import { translateLegacy } from './legacy.ts';
import { GSTS_REG, get } from './registers.ts';
import { translateScalable } from './scalable.ts';
import type { Request, Unit } from './unit.ts';

/** GSTS_REG.TES. */
export const TES = 0x8000_0000;
const LEGACY = 0;
export const SCALABLE = 1;
const ABORT = 3;

/** Not a fault reason: the request dies and nothing is recorded. */
export const ABORTED = 0x100;

export const translating = (unit: Unit): boolean => (get(unit.registers, GSTS_REG) & TES) !== 0;

/** Translates the request at hand, with translation enabled. 0, a fault reason, or ABORTED. */
export const translate = (unit: Unit, request: Request): number => {
  request.faultsDisabled = false;
  switch (unit.mode) {
    case LEGACY:
      return translateLegacy(unit, request);
    case SCALABLE:
      return unit.profile.scalable ? translateScalable(unit, request) : 0x30; // RTA.1
    case ABORT:
      return unit.profile.abortMode ? ABORTED : 0x30;
    default:
      return 0x30; // RTA.1: a reserved mode
  }
};
