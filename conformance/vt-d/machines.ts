// The remapping units that programs run on: QEMU's exact ones first, then what only the reference builds.
// VT-d 4.1, Capability Register and Extended Capability Register. Memory is small, so that all of it is compared.

import type { MachineConfig } from '../../spec/units.ts';
import type { Requester, RequesterAbility, VtdMachine } from '../../spec/vt-d/vocabulary.ts';

const bit = (n: number): bigint => 1n << BigInt(n);
const field = (value: number, low: number): bigint => BigInt(value) << BigInt(low);

/** A machine of 256 KiB of zeros: every table starts empty. */
const machine = (vtd: VtdMachine, memory = 0x4_0000): MachineConfig => ({ memory, fill: 0, bus: 'none', vtd });

const bus: readonly RequesterAbility[] = ['read', 'read.bytes', 'write', 'msi'];
/** A bridge, a function that only writes, a function that raises no messages. Each more makes QEMU slower at every reset and change of translation. */
const plain: readonly Requester[] = [
  { sourceId: 0x0100, kind: 'bridge', can: bus },
  { sourceId: 0x0038, kind: 'endpoint', can: ['write', 'msi'] },
  { sourceId: 0x0028, kind: 'endpoint', can: ['read', 'read.bytes', 'write'] },
];

/** intel-iommu of QEMU 7.2: queued invalidation, one fault record at 220H, masks up to 18, 2 MiB and 1 GiB pages, draining. */
const qemuCap = 0xd2_008c_2226_0206n;
const qemuEcap = 0xf0_0f42n; // QI, PT, IRO 0F0H, MHMV 15
const IR = 0xf0_0008n;
const cap39 = qemuCap;
const cap48 = 0xd2_008c_222f_0606n;
const CM = bit(7);
const DT = bit(2);
const EIM = bit(4);
const scalable = 0x4800_8000_0000n; // SMTS, SRS, SSTS
const qemu = (cap: bigint, ecap: bigint): MachineConfig =>
  machine({ cap, ecap, hostAddressWidth: Number((cap >> 16n) & 0x3fn) + 1, requesters: plain });

/** Everything that a requester can be made to do. */
const every: readonly RequesterAbility[] = [
  'read',
  'read.bytes',
  'write',
  'atomic',
  'execute',
  'pasid',
  'translated',
  'ats',
  'pri',
  'msi',
  'config',
];
const simple: readonly RequesterAbility[] = ['read', 'read.bytes', 'write', 'atomic', 'msi', 'config'];
const rich: readonly Requester[] = [
  { sourceId: 0x0100, kind: 'endpoint', can: every },
  { sourceId: 0x0108, kind: 'endpoint', can: every },
  { sourceId: 0x0080, kind: 'endpoint', can: simple },
  { sourceId: 0x00ff, kind: 'endpoint', can: simple },
];
/** A physical function with two virtual ones, and a stranger on another bus. */
const functions: readonly Requester[] = [
  { sourceId: 0x0100, kind: 'endpoint', can: every },
  { sourceId: 0x0110, kind: 'endpoint', can: every, physical: 0 },
  { sourceId: 0x0112, kind: 'endpoint', can: every, physical: 0 },
  { sourceId: 0xff00, kind: 'bridge', can: simple },
];

interface Wish {
  readonly width: 39 | 48 | 57;
  readonly levels: readonly (3 | 4 | 5)[];
  readonly guest?: number;
  readonly records?: number;
  readonly domains?: number;
  readonly large?: 0 | 1 | 3;
  readonly mask?: number | 'none';
  readonly cap?: bigint;
  readonly ecap?: bigint;
  readonly haw?: number;
  readonly memory?: number;
  /** Without ZLR. */
  readonly reads?: true;
}
/** FRO 400H, IRO 500H: away from everything, so that offsets that are guessed meet nothing. */
const unit = (w: Wish, requesters: readonly Requester[]): MachineConfig => {
  const sagaw = w.levels.reduce((set, levels) => set | (1 << (levels - 2)), 0);
  const mask = w.mask === 'none' ? 0n : bit(39) | field(w.mask ?? 9, 48);
  const vtd: VtdMachine = {
    cap:
      field(w.domains ?? 6, 0) |
      field(sagaw, 8) |
      field((w.guest ?? w.width) - 1, 16) |
      (w.reads === true ? 0n : bit(22)) |
      field(0x40, 24) |
      field(w.large ?? 3, 34) |
      mask |
      field((w.records ?? 1) - 1, 40) |
      bit(54) |
      bit(55) |
      (w.cap ?? 0n),
    ecap: field(0x50, 8) | (w.ecap ?? 0n),
    hostAddressWidth: w.haw ?? Math.min(w.width, 46),
    requesters,
  };
  return machine(vtd, w.memory);
};
const QI = bit(1);
const PT = bit(6);
const remaps = QI | bit(3) | field(15, 20);
const SMTS = bit(43);
const SSTS = bit(46);
const FSTS = bit(47);
const NEST = bit(26);
const PASID = bit(40) | field(19, 35);
const attributes = bit(30) | bit(31) | bit(33) | bit(34); // ERS, SRS, NWFS, EAFS
const PRS = bit(29);
const PDS = bit(42);
const PI = bit(59);
const FL5LP = bit(60);
const FL1GP = bit(56);
const ESRTPS = bit(63);
const ESIRTPS = bit(62);
const RWBF = bit(4);
const PLMR = bit(5);
const PHMR = bit(6);
const SLADS = bit(45);
const RPRIVS = bit(53);
const DIT = bit(41);
const RPS = bit(49);
const ADMS = bit(52);

export const vtdMachines: readonly MachineConfig[] = [
  qemu(cap39, qemuEcap | IR),
  qemu(cap48, qemuEcap | IR),
  qemu(cap39 | CM, qemuEcap | IR),
  qemu(cap48, qemuEcap & 0xffffn),
  qemu(cap48, qemuEcap | IR | scalable),
  qemu(cap48 | CM, qemuEcap | IR | DT),
  qemu(cap39, qemuEcap | IR | EIM),
  // Only the reference from here on. Registers alone, no queue, no page-selective invalidation.
  unit({ width: 39, levels: [3], mask: 'none', large: 0, domains: 2, records: 2, cap: RWBF | PLMR }, rich),
  unit({ width: 48, levels: [3, 4], records: 4, mask: 0, large: 1, ecap: remaps | PT, cap: PLMR }, rich),
  unit({ width: 48, levels: [4], guest: 40, records: 8, haw: 39, ecap: remaps | PT | EIM, cap: PI | ESIRTPS | ESRTPS }, rich),
  unit({ width: 57, levels: [3, 4, 5], records: 3, mask: 18, ecap: remaps | PT, cap: CM }, functions),
  unit({ width: 48, levels: [3, 4], records: 2, mask: 18, ecap: remaps | PT | DT | PRS }, rich),
  unit({ width: 48, levels: [3, 4], records: 4, mask: 18, ecap: remaps | PT | SMTS | SSTS | PASID | DT | ADMS }, rich),
  unit({ width: 48, levels: [4], records: 4, mask: 18, ecap: remaps | PT | EIM | SMTS | FSTS | PASID | attributes, cap: FL1GP | PI }, rich),
  unit(
    {
      width: 57,
      levels: [4, 5],
      records: 2,
      mask: 9,
      ecap: remaps | SMTS | FSTS | SSTS | NEST | PASID | SLADS | attributes | PT,
      cap: FL5LP,
    },
    rich,
  ),
  unit(
    {
      width: 48,
      levels: [4],
      records: 8,
      mask: 18,
      ecap: remaps | PT | SMTS | FSTS | SSTS | NEST | PASID | DT | PRS | PDS | DIT | RPS | ADMS | attributes,
      cap: PI | ESRTPS,
    },
    functions,
  ),
  // Memory on both sides of 2 MiB, which protected regions are as coarse as.
  unit({ width: 48, levels: [3, 4], records: 2, mask: 9, ecap: remaps | PT, cap: PHMR, memory: 0x40_0000 }, rich),
  unit({ width: 39, levels: [3], records: 2, mask: 9, ecap: QI, cap: PLMR, memory: 0x40_0000 }, rich),
  unit(
    { width: 48, levels: [4], records: 4, mask: 9, ecap: remaps | PT | SMTS | FSTS | SSTS | NEST | PASID | SLADS | RPRIVS | attributes },
    rich,
  ),
  unit({ width: 48, levels: [4], records: 1, mask: 18, ecap: remaps | SMTS | SSTS | FSTS | PASID | DT | RPS | ADMS, cap: CM }, functions),
];

/** Source-ids that a small cache may well keep at one place: two buses, the same devices. */
const twins: readonly Requester[] = [
  { sourceId: 0x0100, kind: 'endpoint', can: every },
  { sourceId: 0x0200, kind: 'endpoint', can: every },
  { sourceId: 0x0088, kind: 'endpoint', can: simple },
  { sourceId: 0x0188, kind: 'endpoint', can: simple },
];
const SC = bit(7);
/** Units that only sweeps are played on: what no other has, or has not. */
export const sweptMachines: readonly MachineConfig[] = [
  ...vtdMachines,
  unit({ width: 48, levels: [3, 4], records: 4, mask: 9, large: 1, ecap: remaps | PT | SC | DT, cap: PHMR | PLMR, reads: true }, twins),
  unit(
    {
      width: 57,
      levels: [3, 4, 5],
      records: 2,
      mask: 18,
      ecap: remaps | PT | EIM | SC | SMTS | FSTS | SSTS | NEST | PASID | DT | PRS | RPS | attributes,
      cap: FL5LP | FL1GP | PI | ESIRTPS,
      haw: 52,
      reads: true,
    },
    twins,
  ),
  unit({ width: 48, levels: [4], records: 3, mask: 9, ecap: remaps | PT | SC | SMTS | FSTS | SSTS | NEST | PASID | SLADS, cap: CM }, twins),
  unit({ width: 48, levels: [4], records: 2, mask: 9, ecap: remaps | PT | SMTS | FSTS | SSTS | PASID, large: 0 }, functions),
  unit({ width: 48, levels: [4], records: 2, mask: 'none', ecap: remaps | EIM, cap: PLMR | PHMR, haw: 40, memory: 0x40_0000 }, rich),
];
