// Where rules come from. A citation names a document, its edition, and the section by title (numbers move, titles stay).

export type DocumentId = 'virtio' | 'vhost-user' | 'sdm' | 'vt-d' | 'pcie' | 'xen' | 'project';

/** Document, edition, section title path, and the normative statement's label or public symbol where there is one. */
export interface Citation {
  readonly document: DocumentId;
  readonly edition: string;
  readonly section: string;
  readonly label?: string;
}

/** The editions this project reads; in every trace header. */
export const editions: Readonly<Record<DocumentId, string>> = {
  virtio: '1.4',
  'vhost-user': 'QEMU 10',
  sdm: '325384-085',
  'vt-d': '4.1',
  pcie: '6.0',
  xen: '4.17',
  project: '1',
};

const citing =
  (document: DocumentId) =>
  (section: string, label?: string): Citation => ({
    document,
    edition: editions[document],
    section,
    ...(label === undefined ? {} : { label }),
  });

/** VIRTIO 1.4 CS01 (April 2026). */
export const virtio: (section: string, label?: string) => Citation = citing('virtio');
/** Intel SDM, combined volumes 325384-085: volume and section title, or `Volume 2, MNEMONIC` for an instruction page. */
export const sdm: (section: string, label?: string) => Citation = citing('sdm');
/** Intel Virtualization Technology for Directed I/O, architecture specification 4.1. */
export const vtd: (section: string, label?: string) => Citation = citing('vt-d');
/** PCI Express Base Specification 6.0: the software model of a function, kept from PCI Local Bus 3.0. */
export const pcie: (section: string, label?: string) => Citation = citing('pcie');
/** Our own rule: what any user of an implementation is owed, whatever the guest does (design, always clauses). */
export const project: (section: string, label?: string) => Citation = citing('project');

/** `virtio 1.4, Device Status Field`: what a report prints. */
export const cited = (c: Citation): string => `${c.document} ${c.edition}, ${c.section}${c.label === undefined ? '' : ` (${c.label})`}`;
