// Derives what each form is to a monitor by experiment on the reference processor: does it trap for want of privilege, change what is the machine's,
// or tell one machine from another? Popek and Goldberg 1974, section 3: the definitions, made into pairs of runs that differ in one thing.

import fc from 'fast-check';
import { createMachine, type Machine } from '../../reference/machine.ts';
import { classOf, type Kind, kindOf, type Setting } from '../../spec/instructions/classification.ts';
import { type Form, forms } from '../../spec/instructions/index.ts';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import type { Gpa, MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { type Case, caseOf } from './choice.ts';
import { type Desk, deskOf, put } from './desk.ts';
import { loadable, operands } from './edges.ts';
import { encode } from './encode.ts';
import { changes, contexts, type Outcome, outcomeOf, tells } from './experiment.ts';
import { machineFor } from './furniture.ts';
import { layOut } from './lay.ts';
import * as at from './layout.ts';
import type { SelectorName } from './layout.ts';
import { segmentOf, startState } from './state.ts';

/** Modes in which ring 3 and ring 0 run the same code, so that privilege can be varied alone. */
export const derivedModes = ['prot32', 'long64'] as const;
export type DerivedMode = (typeof derivedModes)[number];
export interface Row {
  readonly form: Form;
  readonly setting: Setting;
  readonly declared: Kind;
  /** Or why no experiment on this processor can tell. */
  readonly derived: Kind | { readonly cannot: string };
}
/** Selectors that make far transfers and probes meet privilege: each is drawn for both levels. */
const selectorsDrawn: readonly SelectorName[] = ['kernelData', 'callGate3', 'userCode32', 'conforming0', 'otherTss'];
/** Draws, in pairs laid out for CPL 3 and for CPL 0: plain ones first, one that returns to an outer level, then one pair for each selector. */
const dressesOf = (sampled: readonly Case[]): readonly Case[] =>
  sampled.map((c, i) => {
    const plain: Case = { ...c, prefix: 0, tweaks: [], place: 0, selector: 0, rpl: 0, reg: c.reg % 8, imm: c.imm % 4, count: c.count % 4 };
    if (i < 4)
      return {
        ...plain,
        rpl: i === 3 ? 3 : 0,
        value: i === 0 ? 0 : i === 2 ? 1 : c.value,
        value2: 0,
        imm: i === 3 ? operands.indexOf(0n) : plain.imm,
      };
    const name = selectorsDrawn[(i - 4) >> 1];
    return name === undefined ? plain : { ...plain, selector: loadable.indexOf(name) + 1, value: 0 };
  });
const DRAWS: number = 4 + 2 * selectorsDrawn.length + 2;
/** What the reference processor leaves out, so that there is nothing to see. */
const blind: Readonly<Record<string, string>> = {
  RDPMC: 'performance counters stand at 0',
};

const machineOf = (mode: DerivedMode): MachineConfig =>
  mode === 'long64'
    ? machineFor('long64', '4-level', ['nx', 'umip', 'syscall', 'fsgsbase'])
    : machineFor('prot32', '32-bit', ['pse', 'umip']);
const TSD = 1n << 2n;
const PCE = 1n << 8n;
const UMIP = 1n << 11n;
const FSGSBASE = 1n << 16n;
/** At either level the same data segments and the same stack; the I/O bitmap permits nothing. */
const start = (config: MachineConfig, setting: Setting, cpl: 0 | 3): CpuState => {
  const fresh = startState(config, cpl);
  const user = segmentOf(config, at.selectors.userData | 3);
  const cr4 = fresh.cr4 | (setting.tsd ? TSD : 0n) | (setting.pce ? PCE : 0n) | (setting.umip ? UMIP : 0n) | FSGSBASE;
  return {
    ...fresh,
    ds: user,
    es: user,
    fs: user,
    gs: user,
    rsp: BigInt(at.stackTops.user),
    rflags: 0x202n | (BigInt(setting.iopl) << 12n),
    cr4,
    tr: { ...fresh.tr, limit: 0x67 },
  };
};
/** The form on a desk, laid out for one level; the other plays the same bytes. */
const lay = (config: MachineConfig, machine: Machine, state: CpuState, cpl: 0 | 3, form: Form, c: Case): Desk => {
  const d = deskOf(config, machine.granted, state, cpl);
  const bytes = encode(layOut(d, form, c));
  put(d, at.code, bytes);
  return d;
};
/** CF, PF, AF, ZF, SF, OF. */
const ARITHMETIC = 0x8d5n;
const PRIVILEGE_FAULTS: readonly (number | undefined)[] = [6, 13];

interface Bench {
  readonly config: MachineConfig;
  readonly machine: Machine;
}
const run = (b: Bench, d: Desk, state: CpuState, before: readonly Stimulus[]): Outcome => {
  b.machine.reset();
  const edits: readonly Stimulus[] = [
    ...d.edits.map((e): Stimulus => ({ do: 'memory.write', at: BigInt(e.at) as Gpa, bytes: e.bytes })),
    ...before,
  ];
  for (const s of edits) b.machine.apply(s);
  return outcomeOf(state, b.machine.apply({ do: 'cpu.run', state, limit: 1 }));
};

const derive = (b: Bench, form: Form, setting: Setting, dresses: readonly Case[]): Row['derived'] => {
  let [trapsAt3, runsAt0, control, behaviour] = [true, false, false, false];
  for (const [i, dress] of dresses.entries()) {
    const cpl = i % 2 === 0 ? 3 : 0;
    const fresh = start(b.config, setting, cpl);
    const rflags = (i & 2) === 0 ? fresh.rflags : fresh.rflags | ARITHMETIC;
    const d = lay(b.config, b.machine, { ...fresh, rflags }, cpl, form, dress);
    const at0: CpuState = { ...d.s, ...levelOf(start(b.config, setting, 0)) };
    const at3: CpuState = { ...d.s, ...levelOf(start(b.config, setting, 3)) };
    const [kernel, user] = [run(b, d, at0, []), run(b, d, at3, [])];
    if (kernel.unsupported !== undefined) return { cannot: kernel.unsupported };
    const refused = (o: Outcome): boolean => o.fault && PRIVILEGE_FAULTS.includes(o.stop);
    trapsAt3 &&= refused(user);
    runsAt0 ||= !refused(kernel);
    control ||= changes(kernel) || changes(user);
    behaviour ||= tells(kernel, user);
    for (const context of contexts(b.config)) {
      if (control || behaviour) break;
      const [base, first] = context.level === 0 ? [at0, kernel] : [at3, user];
      if (refused(first)) continue;
      const other = run(b, d, { ...base, ...context.change(base) }, context.before(base));
      behaviour ||= tells(first, other);
      control ||= changes(other);
    }
  }
  if (trapsAt3 && !runsAt0) return { cannot: 'refused at every level: this processor has it not' };
  return kindOf({ privileged: trapsAt3 && runsAt0, control, behaviour });
};
const levelOf = (s: CpuState): Pick<CpuState, 'cs' | 'ss'> => ({ cs: s.cs, ss: s.ss });

/** Every form of a mode, under a setting. */
export const deriveAll = (setting: Setting & { readonly mode: DerivedMode }, only?: (form: Form) => boolean): readonly Row[] => {
  const config = machineOf(setting.mode);
  const bench: Bench = { config, machine: createMachine(config) };
  const dresses = dressesOf(fc.sample(caseOf, { numRuns: DRAWS, seed: 1 }));
  const rows: Row[] = [];
  for (const form of forms) {
    const declared = classOf(form, setting);
    if (declared === undefined || only?.(form) === false) continue;
    const why = blind[form.mnemonic];
    const derived = why === undefined ? derive(bench, form, setting, dresses) : { cannot: why };
    rows.push({ form, setting, declared: kindOf(declared), derived });
  }
  return rows;
};
export const differ = (row: Row): boolean => typeof row.derived === 'string' && row.derived !== row.declared;
