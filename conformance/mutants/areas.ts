// The registration: which part of the reference an area's mutants are made of, and which suites must notice them.
// A new area is one line.

/** `reference`: folders and files below reference/. `suites`: dotted prefix of the areas whose suites play, as for `check --area`. */
export interface MutatedArea {
  readonly reference: readonly string[];
  /** Files that only assemble a machine for a target: what it offers or refuses is the target's choice, and no rule speaks about it. */
  readonly except?: readonly string[];
  readonly suites: string;
}
export const mutatedAreas: Readonly<Record<string, MutatedArea>> = {
  virtio: { reference: ['virtio', 'memory.ts'], suites: 'virtio' },
  'vt-d': { reference: ['vt-d'], except: ['vt-d/machine.ts'], suites: 'vt-d' },
  instructions: { reference: ['processor'], except: ['processor/machine.ts'], suites: 'instructions' },
};
