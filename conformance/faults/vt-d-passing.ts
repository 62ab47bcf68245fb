// Seeded faults of the reference's remapping unit that let pass what must be blocked: one for each rule of what is blocked, so that
// each of those clauses is seen to notice by itself. The fault is recorded as it should be or not at all; the request goes through.

import type { Fault } from './fault.ts';

/** After a walk that ended in this reason the request goes on to the page that it named, or to one that memory has. */
const passing = (rule: string, reason: string, page: string, story: string): Fault => ({
  id: `vtd-walk-${rule}`,
  origin: 'rule',
  file: 'vt-d/dma.ts',
  swap: [
    '    if (reason !== 0) {\n      if (reason !== ABORTED)',
    `    if (reason === ${reason}) request.hostPage = ${page};\n    else if (reason !== 0) {\n      if (reason !== ABORTED)`,
  ],
  killedBy: `vt-d.walk.${rule}`,
  story,
});
/** An interrupt request that is blocked for this reason is recorded, and an interrupt arrives all the same. */
const arriving = (rule: string, condition: string, story: string): Fault => ({
  id: `vtd-interrupt-${rule}`,
  origin: 'rule',
  file: 'vt-d/interrupts.ts',
  swap: [
    '  recordInterruptFault(unit, sourceId, index, reason, faultsDisabled);\n',
    `  recordInterruptFault(unit, sourceId, index, reason, faultsDisabled);\n  if (${condition}) deliver(unit, 0xfee0_0000, 0x9b, 0);\n`,
  ],
  killedBy: `vt-d.interrupt.${rule}`,
  story,
});

export const vtdPassingFaults: readonly Fault[] = [
  passing('root-present', '0x01', 'page', 'a root entry that is not present lets the request through as it is'),
  passing('context-present', '0x02', 'page', 'a context entry that is not present lets the request through as it is'),
  passing('input-width', '0x04', 'page % 64', 'an address above the width wraps around in memory'),
  passing('table-access', '0x07', 'page', 'a table without memory lets the request through as it is'),
  passing('root-access', '0x08', 'page', 'a root table without memory lets the request through as it is'),
  passing('context-access', '0x09', 'page', 'a context table without memory lets the request through as it is'),
  passing('root-reserved', '0x0a', 'page', 'a malformed root entry lets the request through as it is'),
  passing('context-reserved', '0x0b', 'page', 'a malformed context entry lets the request through as it is'),
  passing('translation-type', '0x0d', 'page', 'a translated request that TT stops lets the request through as it is'),
  passing('interrupt-output', '0x0e', 'page', 'a translation into the interrupt range lets the request through as it is'),
  passing('root-mode', '0x30', 'page', 'a reserved table mode lets the request through as it is'),
  passing('legacy-pasid', '0x31', 'page', 'a PASID in legacy mode lets the request through as it is'),
  passing('sm-root-access', '0x38', 'page', 'a scalable-mode root table without memory lets the request through as it is'),
  passing('sm-root-present', '0x39', 'page', 'a scalable-mode root entry that is not present lets the request through as it is'),
  passing('sm-root-reserved', '0x3a', 'page', 'a malformed scalable-mode root entry lets the request through as it is'),
  passing('sm-context-access', '0x40', 'page', 'a scalable-mode context table without memory lets the request through as it is'),
  passing('sm-context-present', '0x41', 'page', 'a scalable-mode context entry that is not present lets the request through as it is'),
  passing('sm-context-reserved', '0x42', 'page', 'a malformed scalable-mode context entry lets the request through as it is'),
  passing('sm-device-tlb', '0x44', 'page', 'a translated request without DTE lets the request through as it is'),
  passing('sm-pasid-range', '0x46', 'page', 'a PASID past the directory lets the request through as it is'),
  passing('sm-rid-pasid', '0x48', 'page', 'a RID_PASID past the directory lets the request through as it is'),
  passing('directory-access', '0x50', 'page', 'a PASID directory without memory lets the request through as it is'),
  passing('directory-present', '0x51', 'page', 'a PASID directory entry that is not present lets the request through as it is'),
  passing('directory-reserved', '0x52', 'page', 'a malformed PASID directory entry lets the request through as it is'),
  passing('pasid-access', '0x58', 'page', 'a PASID table without memory lets the request through as it is'),
  passing('pasid-present', '0x59', 'page', 'a PASID entry that is not present lets the request through as it is'),
  passing('pasid-reserved', '0x5a', 'page', 'a malformed PASID entry lets the request through as it is'),
  passing('pasid-valid', '0x5b', 'page', 'a PASID entry of no type lets the request through as it is'),
  passing('fs-access', '0x70', 'page', 'a first-stage table without memory lets the request through as it is'),
  passing('fs-present', '0x71', 'page', 'a first-stage entry that is not present lets the request through as it is'),
  passing('fs-reserved', '0x72', 'page', 'a malformed first-stage entry lets the request through as it is'),
  passing('fs-top-access', '0x73', 'page', 'a first-stage top table without memory lets the request through as it is'),
  passing('ss-access', '0x78', 'page', 'a second-stage table without memory lets the request through as it is'),
  passing('ss-reserved', '0x7a', 'page', 'a malformed second-stage entry lets the request through as it is'),
  passing('ss-pointer', '0x7b', 'page', 'a second-stage top table without memory lets the request through as it is'),
  passing('fs-canonical', '0x80', 'page % 64', 'an address that is not canonical wraps around in memory'),
  passing('fs-user', '0x81', 'page', 'a user request to a supervisor page lets the request through as it is'),
  passing('fs-execute', '0x82', 'page', 'an execute request to an execute-disabled page lets the request through as it is'),
  passing('sm-width', '0x83', 'page % 64', 'an address above the host address width wraps around in memory'),
  passing('fs-write', '0x85', 'page', 'a write to a read-only page lets the request through as it is'),
  passing('sm-interrupt-output', '0x87', 'page', 'a scalable-mode translation into the interrupt range lets the request through as it is'),
  passing('abort-mode', 'ABORTED', 'page', 'abort-DMA mode aborts nothing'),
  arriving('index', 'reason === 0x21', 'an index past the table is recorded, and an interrupt arrives all the same'),
  arriving('access', 'reason === 0x23', 'an entry without memory is recorded, and an interrupt arrives all the same'),
  arriving('request-reserved', 'reason === 0x20', 'reserved bits of a request is recorded, and an interrupt arrives all the same'),
  arriving('posted-access', 'reason === 0x27', 'a descriptor without memory is recorded, and an interrupt arrives all the same'),
  arriving('posted-reserved', 'reason === 0x28', 'a malformed descriptor is recorded, and an interrupt arrives all the same'),
  arriving('refused', 'reason !== 0', 'every blocked interrupt arrives, with another vector'),
];
