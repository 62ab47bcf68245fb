// The registration: which part of the reference an area's mutants are made of, and which suites must notice them.
// A new area is one line.

/** `reference`: folders and files below reference/. `suites`: dotted prefix of the areas whose suites play, as for `check --area`. */
export interface MutatedArea {
  readonly reference: readonly string[];
  readonly suites: string;
}
export const mutatedAreas: Readonly<Record<string, MutatedArea>> = {
  virtio: { reference: ['virtio', 'memory.ts'], suites: 'virtio' },
};
