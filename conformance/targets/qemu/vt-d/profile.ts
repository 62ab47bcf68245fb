// Which properties of intel-iommu build the remapping unit that was asked for, or why this QEMU has none like it.
// VT-d 4.1, Capability Register and Extended Capability Register; the registers of the running unit have the last word.

import type { VtdMachine } from '../../../../spec/vt-d/vocabulary.ts';

interface Switch {
  readonly property: string;
  readonly register: 'cap' | 'ecap';
  readonly bit: bigint;
  /** Properties without which this QEMU refuses it. */
  readonly also?: readonly string[];
}
const switches: readonly Switch[] = [
  { property: 'caching-mode', register: 'cap', bit: 7n },
  { property: 'dma-drain', register: 'cap', bit: 54n },
  { property: 'device-iotlb', register: 'ecap', bit: 2n },
  { property: 'intremap', register: 'ecap', bit: 3n },
  // Without the kernel's interrupt controller EIM is refused unless it is called buggy.
  { property: 'eim', register: 'ecap', bit: 4n, also: ['x-buggy-eim=on'] },
  { property: 'pt', register: 'ecap', bit: 6n },
  { property: 'snoop-control', register: 'ecap', bit: 7n },
  { property: 'x-pasid-mode', register: 'ecap', bit: 40n },
  { property: 'x-scalable-mode', register: 'ecap', bit: 43n },
  { property: 'x-flts', register: 'ecap', bit: 47n },
];
const mgaw = (cap: bigint): number => Number((cap >> 16n) & 0x3fn) + 1;
const widths: readonly number[] = [39, 48];

/** The `-device` argument. `properties`: those that this QEMU's intel-iommu has. */
export const remappingUnit = (m: VtdMachine, properties: ReadonlySet<string>): string | { readonly unsupported: string } => {
  const width = mgaw(m.cap);
  if (!widths.includes(width)) return { unsupported: `a guest address width of ${width}: ${widths.join(' and ')} are possible` };
  // The masks of reserved bits are made from aw-bits too.
  if (m.hostAddressWidth !== width)
    return { unsupported: `a host address width of ${m.hostAddressWidth}: it is always that of guest addresses, here ${width}` };
  const set: string[] = [`aw-bits=${width}`];
  for (const s of switches) {
    const on = ((m[s.register] >> s.bit) & 1n) === 1n;
    if (properties.has(s.property)) set.push(`${s.property}=${on ? 'on' : 'off'}`, ...(on ? (s.also ?? []) : []));
    else if (on) return { unsupported: `this QEMU has no ${s.property}` };
  }
  return ['intel-iommu', ...set].join(',');
};

const hex = (v: bigint): string => `0x${v.toString(16)}`;
/** Why the unit that came is not the one that was asked for. */
export const differs = (m: VtdMachine, cap: bigint, ecap: bigint): string | undefined => {
  if (cap !== m.cap) return `CAP_REG ${hex(m.cap)}: the nearest that this QEMU has is ${hex(cap)}`;
  return ecap === m.ecap ? undefined : `ECAP_REG ${hex(m.ecap)}: the nearest that this QEMU has is ${hex(ecap)}`;
};
