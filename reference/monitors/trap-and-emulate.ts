// Trap-and-emulate: the guest's own code runs at CPL 3, and only what traps is emulated. On classic x86 that is not enough, and nothing here hides it.

import { blockAt } from '../processor/decode.ts';
import { absorbSegments } from './deprivilege.ts';
import { refreshTables } from './descriptors.ts';
import type { Technique } from './monitor.ts';
import type { Source } from './native.ts';
import type { World } from './world.ts';

/** The guest's bytes as they are. */
export const asIs: Source = (w, at) => blockAt(w.c, w.native, at, w.c.ipHi, false);
export const trapAndEmulate = (): Technique => ({
  source: asIs,
  care: { readOnly: () => false, mayFetch: () => true },
  enter: refreshTables,
  leave: (w: World) => absorbSegments(w),
  fresh: (w) => {
    w.tablesKey = '';
  },
});
