// One request against memory and registers: the outcomes that are permitted, and those that only a stale cache could show.
// VT-d 4.1, DMA Remapping; the table translation mode decides between legacy and scalable mode and abort.

import { field } from './layout.ts';
import { legacy } from './legacy.ts';
import type { Request, Result, Unit } from './outcome.ts';
import { aborted, block, many, newResult } from './outcome.ts';
import { scalable } from './scalable.ts';

/** `q` stays within one 4-KiB page. */
export const walk = (u: Unit, q: Request): Result => {
  const r = newResult();
  if (u.tables.cut > u.tables.floor) r.unknown = many;
  for (const root of u.roots) {
    const ttm = field(root.value, 11, 10);
    if (ttm === 0) legacy(u, q, root, r);
    else if (!u.a.smts && !(ttm === 3 && u.a.adms)) r.unknown ??= 'a table translation mode that the unit does not offer';
    else if (ttm === 1) scalable(u, q, root, r);
    else if (ttm === 2) block(r, [0x30], false, root.until === Infinity ? undefined : 'not-cached');
    else if (u.a.adms) block(r, [aborted], false, root.until === Infinity ? undefined : 'not-cached');
    else block(r, [0x30], false, root.until === Infinity ? undefined : 'not-cached');
  }
  return r;
};
