// The registration: which part of the reference an area's mutants are made of, and which suites must notice them.
// A new area is one line.

/** `reference`: folders and files below reference/. `suites`: dotted prefix of the areas whose suites play, as for `check --area`. */
export interface MutatedArea {
  readonly reference: readonly string[];
  /** Files that no rule of the area speaks about. They assemble a machine for a target, and what it offers or refuses is the target's choice; or they
   *  are of what the area's machines do not have: the board and the interrupt controller of a machine that boots, x87 and SSE (no form is of them). */
  readonly except?: readonly string[];
  readonly suites: string;
}
export const mutatedAreas: Readonly<Record<string, MutatedArea>> = {
  virtio: { reference: ['virtio', 'memory.ts'], suites: 'virtio' },
  'vt-d': { reference: ['vt-d'], except: ['vt-d/machine.ts'], suites: 'vt-d' },
  instructions: {
    reference: ['processor'],
    except: ['processor/machine.ts', 'processor/board.ts', 'processor/apic.ts', 'processor/floating.ts'],
    suites: 'instructions',
  },
};
