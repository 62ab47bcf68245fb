// What binds software: one command at a time and to its end, tables before enabling, registers in their width, one door to invalidation.
// Past a broken duty only the machine's survival is owed, until the unit is reset.

import type { Duty, Judged } from '../clause.ts';
import { dutyOf } from '../clause.ts';
import { vtd } from '../sources.ts';
import { requested } from './command.ts';
import type { VtdGhost } from './ghost.ts';
import { IRTPS, QIES, RTPS, status, stored64 } from './ghost.ts';
import { CCMD, GCMD, IQA, IQT, mask } from './layout.ts';

const duty = dutyOf<VtdGhost>();
const taints = (): string => 'vtd';
const not = (expected: string, saw: string): Judged => ({ kind: 'order', expected, saw });
const TE = 0x80000000;
const QIE = 0x04000000;
const IRE = 0x02000000;
const single = (bits: number): boolean => (bits & (bits - 1)) === 0;

export const duties: readonly Duty<VtdGhost>[] = [
  duty({
    id: 'vt-d.driver.width',
    cite: vtd('Register Descriptions', 'software access to registers'),
    says: 'registers are accessed aligned, 32-bit registers by 32 bits',
    on: ['vtd.read', 'vtd.write'],
    keeps: ({ before: g, event: e }) => {
      if (e.at % e.width !== 0) return not('an aligned access', `offset ${e.at}`);
      const cell = g.cells.get(e.at);
      return e.width === 4 || cell === undefined || cell.register.width === 8 || not('a 32-bit access', `64 bits at ${cell.register.name}`);
    },
    taints,
  }),
  duty({
    id: 'vt-d.driver.one-command',
    cite: vtd('Global Command Register'),
    says: 'a write of GCMD_REG changes one bit',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) =>
      e.at !== GCMD || single(requested(g, Number(e.value & 0xffffffffn))) || not('one command', `0x${e.value.toString(16)}`),
    taints,
  }),
  duty({
    id: 'vt-d.driver.command-done',
    cite: vtd('Global Command Register'),
    says: 'a command is given once the one before it was seen done',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) =>
      e.at !== GCMD || g.command === undefined || g.command.settled || not('GSTS_REG showing the last command', 'another command'),
    taints,
  }),
  duty({
    id: 'vt-d.driver.pointer-first',
    cite: vtd('Global Command Register'),
    says: 'translation and interrupt remapping are enabled once their table pointer was set',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) => {
      if (e.at !== GCMD) return true;
      const bits = requested(g, Number(e.value & 0xffffffffn));
      const on = Number(e.value & 0xffffffffn);
      if ((bits & on & TE) !== 0 && !status(g, RTPS)) return not('RTPS before TE', 'TE alone');
      return (bits & on & IRE) === 0 || status(g, IRTPS) || not('IRTPS before IRE', 'IRE alone');
    },
    taints,
  }),
  duty({
    id: 'vt-d.driver.queue-idle',
    cite: vtd('Queued Invalidation Interface'),
    says: 'queued invalidation is switched on with a tail of 0, and off once the queue is drained',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) => {
      if (e.at !== GCMD || (requested(g, Number(e.value & 0xffffffffn)) & QIE) === 0) return true;
      if ((Number(e.value & 0xffffffffn) & QIE) !== 0) return (stored64(g, IQT) & mask(18, 4)) === 0n || not('IQT 0', 'another tail');
      const { queue: q } = g;
      return (q.head === q.tail && q.flight.length === 0 && q.error === undefined) || not('an idle queue', 'work in it');
    },
    taints,
  }),
  duty({
    id: 'vt-d.driver.queue-address',
    cite: vtd('Invalidation Queue Address Register'),
    says: 'the queue is not moved while it is in use',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) =>
      (e.at !== IQA && e.at !== IQA + 4) || !(status(g, QIES) || g.queue.enabled) || not('QIES clear', 'IQA_REG written'),
    taints,
  }),
  duty({
    id: 'vt-d.driver.one-door',
    cite: vtd('Register-based Invalidation Interface'),
    says: 'invalidation by registers is used while queued invalidation is off',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) => {
      const upper = (at: number): boolean =>
        (e.at === at && e.width === 8 && e.value >> 63n === 1n) || (e.at === at + 4 && ((e.value >> 31n) & 1n) === 1n);
      return (
        !(upper(CCMD) || upper(g.a.iro + 8)) || !(status(g, QIES) || g.queue.enabled) || not('QIES clear', 'a register-based invalidation')
      );
    },
    taints,
  }),
  duty({
    id: 'vt-d.driver.invalidation-done',
    cite: vtd('Register-based Invalidation Interface'),
    says: 'an invalidation register is written once its last invalidation is done',
    on: ['vtd.write'],
    keeps: ({ before: g, event: e }) => {
      const touches = (at: number): boolean => e.at === at || e.at === at + 4;
      const busy = (c: { readonly settled: boolean } | undefined): boolean => c !== undefined && !c.settled;
      if (touches(CCMD) && busy(g.contextCommand)) return not('ICC clear', 'CCMD_REG written');
      return !((touches(g.a.iro + 8) || touches(g.a.iro)) && busy(g.iotlbCommand)) || not('IVT clear', 'IOTLB_REG written');
    },
    taints,
  }),
  duty({
    id: 'vt-d.driver.virtual-functions',
    cite: vtd('SR-IOV in PCI Express Base, NumVFs'),
    says: 'NumVFs is written while VF Enable is clear, and is no more than TotalVFs when it is set',
    on: ['function.config.write'],
    keeps: ({ before: g, event: e }) => {
      const p = g.functions.physical.get(e.requester);
      if (p?.at === undefined) return true;
      const at = e.at - p.at;
      if (at < 0x12 && at + e.width > 0x10 && p.enabled) return not('VF Enable clear', 'NumVFs written');
      const enables = at <= 8 && at + e.width > 8 && ((e.value >>> ((8 - at) * 8)) & 1) === 1;
      return !enables || p.count === undefined || p.total === undefined || p.count <= p.total || not(`at most ${p.total}`, `${p.count}`);
    },
    // Which virtual functions there are decides which requests the unit gets: nothing is owed of it any more.
    taints,
  }),
];
