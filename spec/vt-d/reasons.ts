// Fault reasons: what each says, whether FPD suppresses it, and where it is defined. One clause each that the request is blocked,
// one that the record names the reason. VT-d 4.1, Fault Conditions; codes read in three implementations that follow it.

export interface Reason {
  readonly code: number;
  readonly slug: string;
  readonly says: string;
  readonly section: string;
}
const legacy = 'Fault Conditions (legacy mode)';
const general = 'Fault Conditions (general)';
const scalable = 'Fault Conditions (scalable mode)';
const interrupts = 'Interrupt Remapping Fault Conditions';
const r = (code: number, slug: string, says: string, section: string): Reason => ({ code, slug, says, section });
/** Reasons of requests to memory. */
export const memoryReasons: readonly Reason[] = [
  r(0x01, 'root-present', 'a root entry that is not present', legacy),
  r(0x02, 'context-present', 'a context entry that is not present', legacy),
  r(0x03, 'context-valid', 'a context entry with an address width or translation type that the unit does not have', legacy),
  r(0x04, 'input-width', 'an address above the width of MGAW or of the context entry', legacy),
  r(0x05, 'write-permission', 'a write where an entry of the walk lacks W', legacy),
  r(0x06, 'read-permission', 'a read where an entry of the walk lacks R', legacy),
  r(0x07, 'table-access', 'a second-stage table where no memory is', legacy),
  r(0x08, 'root-access', 'a root table where no memory is', legacy),
  r(0x09, 'context-access', 'a context table where no memory is', legacy),
  r(0x0a, 'root-reserved', 'a present root entry with reserved bits set', legacy),
  r(0x0b, 'context-reserved', 'a present context entry with reserved bits set', legacy),
  r(0x0c, 'paging-reserved', 'a second-stage entry with reserved bits set, or a large page that the unit does not have', legacy),
  r(0x0d, 'translation-type', 'a translation or translated request that the translation type does not let through', legacy),
  r(0x0e, 'interrupt-output', 'a translation into the interrupt address range', legacy),
  r(0x30, 'root-mode', 'a table translation mode that is reserved or not there', scalable),
  r(0x31, 'legacy-pasid', 'a request with PASID in legacy mode', scalable),
  r(0x32, 'legacy-page-request', 'a page request in legacy mode', scalable),
  r(0x38, 'sm-root-access', 'a scalable-mode root table where no memory is', scalable),
  r(0x39, 'sm-root-present', 'a scalable-mode root entry whose half is not present', scalable),
  r(0x3a, 'sm-root-reserved', 'a scalable-mode root entry with reserved bits set', scalable),
  r(0x40, 'sm-context-access', 'a scalable-mode context table where no memory is', scalable),
  r(0x41, 'sm-context-present', 'a scalable-mode context entry that is not present', scalable),
  r(0x42, 'sm-context-reserved', 'a scalable-mode context entry with reserved bits set', scalable),
  r(0x44, 'sm-device-tlb', 'a translation or translated request where DTE is clear', scalable),
  r(0x45, 'sm-pasid-enable', 'a request with PASID where PASIDE is clear', scalable),
  r(0x46, 'sm-pasid-range', 'a PASID past the directory', scalable),
  r(0x47, 'sm-page-request', 'a page request where PRE is clear', scalable),
  r(0x48, 'sm-rid-pasid', 'a RID_PASID past the directory', scalable),
  r(0x50, 'directory-access', 'a PASID directory where no memory is', scalable),
  r(0x51, 'directory-present', 'a PASID directory entry that is not present', scalable),
  r(0x52, 'directory-reserved', 'a PASID directory entry with reserved bits set', scalable),
  r(0x58, 'pasid-access', 'a PASID table where no memory is', scalable),
  r(0x59, 'pasid-present', 'a PASID-table entry that is not present', scalable),
  r(0x5a, 'pasid-reserved', 'a PASID-table entry with reserved bits set', scalable),
  r(0x5b, 'pasid-valid', 'a PASID-table entry with a translation type, width or paging mode that the unit does not have', scalable),
  r(0x5c, 'execute-enable', 'an execute request where ERE is clear', scalable),
  r(0x5d, 'supervisor-enable', 'a privileged request where SRE is clear', scalable),
  r(0x70, 'fs-access', 'a first-stage table where no memory is', scalable),
  r(0x71, 'fs-present', 'a first-stage entry that is not present', scalable),
  r(0x72, 'fs-reserved', 'a first-stage entry with reserved bits set', scalable),
  r(0x73, 'fs-top-access', 'a first-stage top table where no memory is', scalable),
  r(0x78, 'ss-access', 'a second-stage table where no memory is, in scalable mode', scalable),
  r(0x7a, 'ss-reserved', 'a second-stage entry with reserved bits set, in scalable mode', scalable),
  r(0x7b, 'ss-pointer', 'a second-stage top table where no memory is, in scalable mode', scalable),
  r(0x80, 'fs-canonical', 'an address that is not canonical for first-stage translation', scalable),
  r(0x81, 'fs-user', 'a user request to a supervisor page', scalable),
  r(0x82, 'fs-execute', 'an execute request to an execute-disabled page', scalable),
  r(0x83, 'sm-width', 'pass-through of an address above the host address width', scalable),
  r(0x85, 'fs-write', 'a write to a first-stage page without R/W', scalable),
  r(0x87, 'sm-interrupt-output', 'a translation into the interrupt address range, in scalable mode', scalable),
  r(-2, 'abort-mode', 'any request in abort-DMA mode', 'Root Table Address Register (TTM)'),
  r(-3, 'protected-region', 'a request to a protected memory region while translation is off', 'Protected Memory Regions'),
  r(-5, 'bus-master', 'a request of a function whose Bus Master Enable is clear', 'PCI Express Base, Command Register'),
  r(-4, 'absent-function', 'a request of a virtual function that does not exist', general),
];
/** Reasons of interrupt requests. */
export const interruptReasons: readonly Reason[] = [
  r(0x20, 'request-reserved', 'a remappable request with reserved data bits set', interrupts),
  r(0x21, 'index', 'an index past the interrupt-remapping table', interrupts),
  r(0x22, 'present', 'an entry that is not present', interrupts),
  r(0x23, 'access', 'an entry where no memory is', interrupts),
  r(0x24, 'reserved', 'an entry with reserved bits set', interrupts),
  r(0x25, 'compatibility', 'a compatibility-format request that is not let through', interrupts),
  r(0x26, 'source', 'a request whose source the entry does not name', interrupts),
  r(0x27, 'posted-access', 'a posted-interrupt descriptor where no memory is', interrupts),
  r(0x28, 'posted-reserved', 'a posted-interrupt descriptor with reserved bits set', interrupts),
];
