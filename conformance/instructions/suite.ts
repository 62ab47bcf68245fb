// The suite of single instructions: one case a program, on a machine for each mode of operation. A player that never looks at an answer.

import { type Form, forms } from '../../spec/instructions/index.ts';
import type { CpuFeature, CpuMachine } from '../../spec/instructions/vocabulary.ts';
import type { Capability, Granted, MachineConfig } from '../../spec/units.ts';
import type { Player, Suite } from '../program.ts';
import {
  type Case,
  oneCase,
  oneLastCase,
  oneLateCase,
  oneLaterCase,
  oneRing3Case32,
  oneRing3Case64,
  oneSwitchCase,
  type Tweak,
} from './choice.ts';
import { type Desk, deskOf, put, stimuliOf } from './desk.ts';
import { latePlaces, places } from './edges.ts';
import { encode } from './encode.ts';
import { machineFor } from './furniture.ts';
import { layOut, msrNumbers } from './lay.ts';
import { levelsOf, startState } from './state.ts';
import { gateVector, isNarrow } from './task-edits.ts';
import { codeLinear, codeStart, early, late, lengthened } from './tweak.ts';

const plain: readonly CpuFeature[] = ['nx'];
export const machines: readonly MachineConfig[] = [
  machineFor('long64', '4-level', ['nx', 'syscall']),
  machineFor('prot32', '32-bit', ['pse']),
  machineFor('real', 'none', []),
  machineFor('compat', '4-level', plain),
  machineFor('v86', '32-bit', []),
  machineFor('prot32', 'pae', plain),
  machineFor('prot16', '32-bit', []),
  machineFor('prot32', 'none', []),
  machineFor('long64', '5-level', ['nx', 'la57']),
];

/** Among the prefixes of a case: 36H; 26H and 3EH. */
const ssOverride = 7;
const dataOverrides: ReadonlySet<number> = new Set([5, 8]);
/** Vector of #AC. */
const ALIGNMENT = 17;
/** Instructions that a case may take at most: a handful for a single one, more where it repeats. */
export const limit = 2000;

const exists = (form: Form, d: Desk): boolean =>
  form.topic !== 'undefined' &&
  (form.modes === 'all' || (form.modes === 'protected' ? !d.old : (form.modes === 'only64') === (d.mode === 'long64')));
const none: readonly Tweak[] = [];
/** The case laid out on a desk. Levels count from the outermost, which every mode has. */
export const laid = (machine: MachineConfig, granted: Granted, c: Case): Desk => {
  const levels = levelsOf((machine.cpu as CpuMachine).mode);
  const cpl = levels[levels.length - 1 - (c.level % levels.length)] ?? 0;
  const d = deskOf(machine, granted, startState(machine, cpl), cpl);
  const form = forms[c.form % forms.length] as (typeof forms)[number];
  const { tweaks } = c;
  for (let i = 0; i < tweaks.length; i++) early(d, tweaks[i] as Tweak);
  // Whether an opcode that is undefined here is too long, or undefined before all of its bytes can be fetched, the manual does not say.
  const where = exists(form, d) ? tweaks : none;
  const bytes = lengthened(encode(layOut(d, form, c)), where);
  // The code is followed by INT3, which stands everywhere in free memory; two bytes of it are put down in case an edit stands there.
  const at = codeStart(d, where, bytes.length);
  const code = new Uint8Array(bytes.length + 2);
  for (let i = 0; i < code.length; i++) code[i] = bytes[i] ?? 0xcc;
  put(d, at, code);
  d.s.rip = codeLinear(d, where, at) - d.s.cs.base;
  for (let i = 0; i < tweaks.length; i++) late(d, tweaks[i] as Tweak);
  return d;
};
function* play(choices: readonly Case[], granted: Granted, machine: MachineConfig): Player<Case> {
  for (const c of choices) {
    const d = laid(machine, granted, c);
    yield { plan: c, do: stimuliOf(d, limit) };
  }
}

const lower = (c: Case): readonly Case[] => {
  const simpler: Case[] = [];
  for (let i = 0; i < c.tweaks.length; i++) simpler.push({ ...c, tweaks: [...c.tweaks.slice(0, i), ...c.tweaks.slice(i + 1)] });
  for (const key of [
    'prefix',
    'place',
    'selector',
    'rpl',
    'level',
    'count',
    'addressing',
    'value',
    'value2',
    'imm',
    'size',
    'reg',
    'rm',
  ] as const)
    if (c[key] > 0) simpler.push({ ...c, [key]: 0 });
  if (c.memory) simpler.push({ ...c, memory: false });
  c.tweaks.forEach((t: Tweak, i) => {
    for (const key of ['a', 'b'] as const)
      if (t[key] > 0) simpler.push({ ...c, tweaks: c.tweaks.map((u, j) => (i === j ? { ...u, [key]: 0 } : u)) });
  });
  return simpler;
};
/** Edits by which the length of an instruction matters, and so any prefix does. */
const placing: ReadonlySet<string> = new Set(['code', 'long', 'high', 'four-gigabyte']);
const accesses = ({ operands, topic, mnemonic }: Form, { memory }: Case): boolean =>
  memory || topic === 'string' || topic === 'io' || mnemonic.startsWith('XLAT') || operands.some(({ at }) => at === 'M' || at === 'O');
/** What an instruction is called in a signature. Further words tell apart what an implementation may treat alike for all instructions, or for none: the
 *  register that it is about where it can be any, since each has rules of its own; IRET in 64-bit mode with narrower operands, which decide what is taken
 *  off the stack; an override of SS, ES or DS in 64-bit mode; a VEX prefix in 16-bit code of protected mode; a task of 16 bits in virtual-8086 mode, where all that follows differs if VM stays set; and a task
 *  that #AC leads to, whose own faults are missing where #AC is. */
const named = (c: Case, machine: MachineConfig): string => {
  const form = forms[c.form % forms.length];
  const name = form?.mnemonic ?? '?';
  const mode = machine.cpu?.mode;
  const overrides = mode === 'long64' && form !== undefined && accesses(form, c) && !c.tweaks.some((t) => placing.has(t.kind));
  const words = [
    [/^(RD|WR)MSR$/.test(name), `${(msrNumbers[c.value % msrNumbers.length] ?? 0).toString(16).toUpperCase()}H`],
    [name === 'IRET' && mode === 'long64' && c.size !== 2, 'narrow'],
    [mode === 'v86' && isNarrow(c.tweaks.findLast((t) => t.kind === 'new-task')), 'narrow-task'],
    [c.tweaks.some((t) => t.kind === 'task-gate' && gateVector(t) === ALIGNMENT), 'alignment-task'],
    [c.prefix === ssOverride && overrides, 'ss-override'],
    [dataOverrides.has(c.prefix) && overrides, 'data-override'],
    [(form?.map ?? 0) >= 3 && mode === 'prot16', 'vex-16-bit'],
  ] as const;
  return [name, ...words.flatMap(([has, word]) => (has ? [word] : []))].join('+');
};
const shape = (c: Case, machine: MachineConfig): string => {
  const words = [
    named(c, machine),
    ...(c.place > 0 ? [((latePlaces[c.place - places.length] ?? places[c.place % places.length])?.kind ?? '').replaceAll(' ', '-')] : []),
    ...c.tweaks.map((t) => t.kind),
  ];
  return words.join(' ');
};

/** After so many blocks come two of late recipes for each machine, one of those that came later still, one of those about tasks, and one of what new tasks start with; then it begins anew. */
const blockSize = 512;
const plainBlocks = 47;
const lateBlocks = 2 * machines.length;
const laterBlocks = machines.length;
const taskBlocks = machines.length;
const switchBlocks = machines.length;
const rounds = plainBlocks + lateBlocks + laterBlocks + taskBlocks + switchBlocks;
const choicesOf = (block: number, machine: MachineConfig, offers?: readonly Capability[]): typeof oneCase => {
  if (offers?.includes('cpu.system') === false) return machine.cpu?.mode === 'long64' ? oneRing3Case64 : oneRing3Case32;
  const n = block % rounds;
  if (n < plainBlocks) return oneCase;
  if (n < plainBlocks + lateBlocks) return oneLateCase;
  // The last ones are about tasks, which not every mode has.
  const mode = machine.cpu?.mode;
  const tasks = mode === 'prot32' || mode === 'prot16' || mode === 'v86';
  if (n < plainBlocks + lateBlocks + laterBlocks || !tasks) return oneLaterCase;
  return n < plainBlocks + lateBlocks + laterBlocks + taskBlocks ? oneLastCase : oneSwitchCase;
};

export const instructionsSuite: Suite<Case> = {
  id: 'instructions',
  needs: ['cpu', 'memory.seen'],
  machines,
  choices: oneCase,
  choicesOf,
  play,
  shape,
  simpler: lower,
  oblivious: true,
  block: blockSize,
  runs: rounds * blockSize,
};
