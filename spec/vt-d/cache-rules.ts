// What drops a cached entry: each kind of invalidation that the walks name, what it says, where it stands.
// VT-d 4.1, Invalidation of Translation Caches and the sections named.

/** What drops a cached entry, by the kind that the walk names. */
export const cacheRules: readonly (readonly [kind: string, says: string, section: string])[] = [
  ['not-cached', 'an entry that is not present or erroneous is read anew each time when caching mode is off', 'Caching Mode'],
  ['root-pointer', 'with ESRTPS, setting the root pointer drops what was cached', 'Set Root Table Pointer'],
  ['context-global', 'a global context-cache invalidation drops every context entry', 'Context-Cache Invalidation'],
  ['context-domain', 'a domain-selective context-cache invalidation drops the context entries of its domain', 'Context-Cache Invalidation'],
  [
    'context-device',
    'a device-selective context-cache invalidation drops the context entries of its functions',
    'Context-Cache Invalidation',
  ],
  ['pasid-global', 'a global PASID-cache invalidation drops every PASID entry', 'PASID-Cache Invalidation'],
  ['pasid-domain', 'a domain-selective PASID-cache invalidation drops the PASID entries of its domain', 'PASID-Cache Invalidation'],
  ['pasid-selective', 'a PASID-selective PASID-cache invalidation drops the entries of its PASID', 'PASID-Cache Invalidation'],
  ['iotlb-global', 'a global IOTLB invalidation drops every translation', 'IOTLB Invalidation'],
  ['iotlb-domain', 'a domain-selective IOTLB invalidation drops the translations of its domain', 'IOTLB Invalidation'],
  ['iotlb-page', 'a page-selective IOTLB invalidation drops the translations of the pages its mask covers', 'IOTLB Invalidation'],
  [
    'piotlb-pasid',
    'a PASID-selective PASID-based IOTLB invalidation drops the translations of its PASID',
    'PASID-Based-IOTLB Invalidation',
  ],
  ['piotlb-page', 'a page-selective PASID-based IOTLB invalidation drops the translations of its pages', 'PASID-Based-IOTLB Invalidation'],
  ['interrupt-pointer', 'with ESIRTPS, setting the interrupt table pointer drops what was cached', 'Set Interrupt Remap Table Pointer'],
  ['interrupt-global', 'a global interrupt-entry-cache invalidation drops every entry', 'Interrupt Entry Cache Invalidation'],
  [
    'interrupt-index',
    'an index-selective interrupt-entry-cache invalidation drops the entries its mask covers',
    'Interrupt Entry Cache Invalidation',
  ],
];
