// Scenes of what a cache may still hold: an entry is used, changed, invalidated in one way or another, and used again.
// VT-d 4.1, Invalidation of Translation Caches; Set Root Table Pointer Operation.

import { type Invalidation, invalidate } from './invalidate.ts';
import { ask, DOMAIN, PLACE, tell } from './scenes.ts';
import { addressOf, dataPage, type Device, once, peek, poke, type Software } from './software.ts';

/** A translation is used, its leaf is changed, what covers it is invalidated, and it is used again. */
export const used = (sw: Software, device: Device, n: number): void => {
  if (sw.scene === undefined) return;
  const domain = Number(DOMAIN);
  const leaf = addressOf(sw.scene + 7) + 8;
  ask(sw, device, PLACE, {});
  poke(sw, leaf, BigInt(addressOf(dataPage(sw, 2 + n))) | (peek(sw, leaf) & 7n));
  const at = PLACE;
  const kinds: readonly Invalidation[] =
    sw.scalable && sw.facts.firstStage
      ? [
          { what: 'pasid-iotlb', grain: 2, domain, pasid: 0 },
          { what: 'pasid-iotlb', grain: 3, domain, pasid: 0, at, order: 0 },
          { what: 'iotlb', grain: 2, domain },
          { what: 'pasid-iotlb', grain: 2, domain, pasid: 0 },
        ]
      : [
          { what: 'iotlb', grain: 2, domain },
          { what: 'iotlb', grain: sw.facts.pageSelective ? 3 : 2, domain, at, order: 0 },
          { what: 'iotlb', grain: 1, domain: 0 },
          { what: 'iotlb', grain: 2, domain },
        ];
  invalidate(sw, [kinds[n % 4] as Invalidation]);
  ask(sw, device, PLACE, {});
};

/** A translation is used, its leaf is changed, and the root is set anew: that is enough where ESRTPS says so. */
export const rootAnew = (sw: Software, device: Device): void => {
  if (sw.scene === undefined) return;
  const leaf = addressOf(sw.scene + 7) + 8;
  ask(sw, device, PLACE, {});
  poke(sw, leaf, BigInt(addressOf(dataPage(sw, 3))) | (peek(sw, leaf) & 7n));
  once(sw, 'SRTP');
  ask(sw, device, PLACE, {});
};
/** A PASID-table entry is used, is gone, and is invalidated by domain, by PASID or with all others, and what was made of it too. */
export const entryGone = (sw: Software, device: Device, n: number): void => {
  if (sw.scene === undefined) return;
  const domain = Number(DOMAIN);
  const entry = addressOf(sw.scene + 3);
  ask(sw, device, PLACE, {});
  poke(sw, entry, peek(sw, entry) & ~1n);
  const grain = n % 3 === 0 ? 0 : n % 3 === 1 ? 1 : 3;
  invalidate(sw, [
    { what: 'pasid', grain, domain, pasid: 0 },
    { what: 'pasid-iotlb', grain: 2, domain, pasid: 0 },
    { what: 'iotlb', grain: 2, domain },
  ]);
  tell(sw);
  ask(sw, device, PLACE, {});
};
