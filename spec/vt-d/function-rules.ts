// Rules of physical and virtual functions that one look at configuration space decides.
// PCI Express Base 5.0, Type 0/1 Common Configuration Space (7.5.1.1); Single Root I/O Virtualization and Sharing.

import type { Rule } from './rules.ts';

export const functionRules: readonly Rule[] = [
  [
    'vt-d.function.vendor',
    'must',
    'all-stuck',
    'a function that exists has a vendor ID other than FFFFh',
    'Vendor ID Register in PCI Express Base, Type 0/1 Common Configuration Space',
  ],
  [
    'vt-d.function.command',
    'must',
    'self-stuck',
    'Bus Master Enable reads as written, and is clear after a reset of the function',
    'Command Register in PCI Express Base, Type 0/1 Common Configuration Space',
  ],
  [
    'vt-d.sriov.absent',
    'must',
    'interop',
    'a virtual function that does not exist answers all ones',
    'SR-IOV in PCI Express Base, VF Enable',
  ],
  [
    'vt-d.sriov.vendor',
    'must',
    'interop',
    'vendor and device ID of a virtual function read FFFFh',
    'SR-IOV in PCI Express Base, VF Configuration Space',
  ],
  [
    'vt-d.sriov.command',
    'must',
    'interop',
    'memory space enable of a virtual function is hardwired to zero',
    'SR-IOV in PCI Express Base, VF Configuration Space',
  ],
  [
    'vt-d.sriov.capability',
    'must',
    'self-stuck',
    'a function with virtual functions has the SR-IOV extended capability',
    'SR-IOV in PCI Express Base, SR-IOV Extended Capability',
  ],
  [
    'vt-d.sriov.initial',
    'must',
    'interop',
    'InitialVFs is TotalVFs where functions do not migrate',
    'SR-IOV in PCI Express Base, InitialVFs',
  ],
  ['vt-d.sriov.enable', 'must', 'self-stuck', 'VF Enable reads as written', 'SR-IOV in PCI Express Base, SR-IOV Control'],
  [
    'vt-d.sriov.count',
    'must',
    'stray-write',
    'NumVFs reads as written while VF Enable is clear, and does not change while it is set',
    'SR-IOV in PCI Express Base, NumVFs',
  ],
  [
    'vt-d.sriov.routing-id',
    'must',
    'stray-write',
    'a virtual function is the requester that offset and stride make it',
    'SR-IOV in PCI Express Base, First VF Offset',
  ],
];
