// Decides how an MSI-X vector becomes a message: table, masks, pending bits. A message is a 4-byte store of the entry's data.
// PCI Local Bus Specification 3.0, MSI-X Capability and Table Structures; VIRTIO 1.4, MSI-X Vector Configuration.

/** Writing it unmaps an event; reading it says that none is mapped. */
export const VIRTIO_MSI_NO_VECTOR = 0xffff;
const ENTRY = 16;
/** Vector Control of an entry: the one bit defined. */
const MASKED = 1;

export interface Msix {
  readonly vectors: number;
  /** Entry: address at 0, upper address at 4, data at 8, vector control at 12. */
  readonly table: DataView;
  readonly pending: Uint8Array;
  enabled: boolean;
  functionMask: boolean;
  /** Whether the function may store to memory at all: bus master. */
  master: boolean;
  readonly send: (vector: number, address: bigint, data: number) => void;
}

export const createMsix = (vectors: number, send: Msix['send']): Msix => {
  const table = new DataView(new ArrayBuffer(vectors * ENTRY));
  return { vectors, table, pending: new Uint8Array(vectors), enabled: false, functionMask: false, master: false, send };
};

/** After power-on every entry is masked. */
export const clearMsix = (msix: Msix): void => {
  for (let vector = 0; vector < msix.vectors; vector += 1) {
    for (let at = 0; at < ENTRY; at += 4) msix.table.setUint32(vector * ENTRY + at, 0, true);
    msix.table.setUint32(vector * ENTRY + 12, MASKED, true);
  }
  msix.pending.fill(0);
};

const masked = (msix: Msix, vector: number): boolean => {
  if (!msix.master) return true;
  if (msix.functionMask) return true;
  return (msix.table.getUint32(vector * ENTRY + 12, true) & MASKED) !== 0;
};

/** Sends the vector's message, or remembers it while masked. */
export const signal = (msix: Msix, vector: number): void => {
  if (masked(msix, vector)) {
    msix.pending[vector] = 1;
    return;
  }
  msix.pending[vector] = 0;
  const address = msix.table.getBigUint64(vector * ENTRY, true);
  msix.send(vector, address & ~3n, msix.table.getUint32(vector * ENTRY + 8, true));
};

/** What was pending and no longer is masked goes out. */
export const release = (msix: Msix): void => {
  if (!msix.enabled) return;
  for (let vector = 0; vector < msix.vectors; vector += 1) {
    if (msix.pending[vector] === 1 && !masked(msix, vector)) signal(msix, vector);
  }
};

// Table and pending bits are accessed by aligned double words; nothing is owed to other accesses.
export const readTable = (msix: Msix, at: number): number => {
  if (at % 4 !== 0 || at >= msix.vectors * ENTRY) return 0;
  return msix.table.getUint32(at, true);
};
export const writeTable = (msix: Msix, at: number, value: number): void => {
  if (at % 4 !== 0 || at >= msix.vectors * ENTRY) return;
  msix.table.setUint32(at, at % ENTRY === 12 ? value & MASKED : value, true);
  release(msix);
};
export const readPending = (msix: Msix, at: number): number => {
  let bits = 0;
  for (let i = 0; i < 32; i += 1) bits += (msix.pending[8 * at + i] ?? 0) * 2 ** i;
  return bits;
};
