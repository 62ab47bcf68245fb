// The registration: which area a fault belongs to where its clause does not say so, by how the name of its file below reference/ begins.
// A new area is one line, in `deaths`.

/** Faces that have areas of their own, whatever the clause that notices. The first that fits. */
export const homes: readonly (readonly [file: string, area: string])[] = [
  ['virtio/pci', 'virtio.pci'],
  ['virtio/msix', 'virtio.pci'],
  ['virtio/mmio', 'virtio.mmio'],
  ['monitors/', 'instructions.monitor'],
];
/** Whose programs show a death or a write outside, which clauses of the machine notice. */
export const deaths: readonly (readonly [file: string, area: string])[] = [
  ['vt-d/', 'vt-d'],
  ['processor/', 'instructions'],
  ['monitors/', 'instructions'],
  ['', 'virtio.split'],
];
