// Stories of sensitive instructions: what ring 3 is shown, what is silently dropped, what faults, and what UMIP closes.
// Robin and Irvine, Analysis of the Intel Pentium's Ability to Support a Secure Virtual Machine Monitor (2000).

import { forms } from '../../spec/instructions/index.ts';
import { type Case, type Tweak } from '../instructions/choice.ts';
import { type CourseChoice, type Single, straight } from '../instructions/course-choice.ts';
import { machines } from '../instructions/suite.ts';
import type { Story } from './story.ts';

const plain: Case = {
  op: 'case',
  level: 0,
  form: 0,
  size: 0,
  reg: 0,
  rm: 3,
  memory: false,
  place: 0,
  addressing: 0,
  value: 0,
  value2: 0,
  count: 0,
  imm: 0,
  selector: 0,
  rpl: 0,
  prefix: 0,
  tweaks: [],
};
/** A case of the form with this id. Throws where there is none. */
const insn = (id: string, more: Partial<Case> = {}): Case => {
  const form = forms.findIndex((f) => f.id === id);
  if (form < 0) throw new Error(`no form is called ${id}`);
  return { ...plain, form, ...more };
};
const on = (mode: string): Story['machine'] => {
  const found = machines.find((m) => m.cpu?.mode === mode);
  if (found === undefined) throw new Error(`no machine is in mode ${mode}`);
  return found;
};
const umip: Tweak = { kind: 'cr4', a: 0, b: 0 };
const story = (name: string, says: string, mode: string, choice: Case, about: readonly string[]): Story<Case> => ({
  name: `instructions/${name}`,
  says,
  about,
  target: 'ref',
  suite: 'instructions',
  machine: on(mode),
  choices: [choice],
});

/** A piece of a short program. Throws where there is no such form. */
const single = (id: string, more: Partial<Single> = {}): Single => {
  const form = straight.filter((f) => f.modes === 'all' || f.modes === 'only64' || f.modes === 'protected').findIndex((f) => f.id === id);
  if (form < 0) throw new Error(`no form is called ${id}`);
  return { op: 'instruction', form, size: 0, reg: 0, rm: 0, memory: false, slot: 32, imm: 0, prefix: 0, ...more };
};

export const instructionStories: readonly (Story<Case> | Story<CourseChoice>)[] = [
  story(
    'sgdt',
    'SGDT in ring 3 stores the real GDTR: a monitor that keeps its own table is seen',
    'prot32',
    insn('SGDT Mt', { memory: true }),
    ['instructions.table.completes', 'instructions.table.stores'],
  ),
  story(
    'sgdt-umip',
    'with UMIP the same SGDT is #GP(0), and a monitor is asked',
    'long64',
    insn('SGDT Mt', { memory: true, tweaks: [umip] }),
    ['instructions.umip.gp'],
  ),
  story('smsw', 'SMSW in ring 3 shows the low half of the real CR0', 'prot32', insn('SMSW Ev'), ['instructions.control.completes']),
  story('popf', 'POPF in ring 3 is told to change IF and IOPL and silently does not', 'prot32', insn('POPF', { value: 1 }), [
    'instructions.flag.completes',
    'instructions.flag.silent',
  ]),
  story('push-cs', 'PUSH CS in ring 3 shows the real privilege level', 'prot32', insn('PUSHCS'), ['instructions.segment.stores']),
  story('cli', 'CLI in ring 3 is #GP(0): privileged, so that trap-and-emulate sees it', 'long64', insn('CLI'), ['instructions.flag.iopl']),
  story('hlt', 'HLT in ring 3 is #GP(0)', 'long64', insn('HLT'), ['instructions.privileged.gp']),
  story('str-v86', 'STR does not exist in virtual-8086 mode', 'v86', insn('STR Ev'), ['instructions.ud.protected']),
  story('lar', 'LAR answers by the real privilege level, in ZF, without a fault', 'prot32', insn('LAR Gv,Ew', { selector: 4 }), [
    'instructions.probe.completes',
    'instructions.probe.flags',
  ]),
  story('div-by-zero', 'DIV by zero is #DE at the instruction itself', 'long64', insn('DIV Eb', { value: 1 }), ['instructions.divide.de']),
  story(
    'supervisor-page',
    'a user load from a supervisor page is #PF with P and U set',
    'long64',
    insn('MOV Gv,Ev', { memory: true, place: 6 }),
    ['instructions.page.rights'],
  ),
  story(
    'non-canonical',
    'a load from a non-canonical address is #GP(0), not #PF',
    'long64',
    insn('MOV Gv,Ev', { memory: true, place: 18 }),
    ['instructions.operand.canonical'],
  ),
  {
    name: 'instructions/three-in-a-row',
    says: 'what one instruction leaves in flags and memory the next ones find: an addition, a store, an addition with carry',
    about: ['instructions.course.registers', 'instructions.course.flags', 'instructions.course.stores'],
    target: 'ref',
    suite: 'instructions.course',
    machine: on('long64'),
    choices: [
      { op: 'start', level: 0, values: 4, flags: 0 },
      single('ADD Gv,Ev', { reg: 0, rm: 1 }),
      single('MOV Ev,Gv', { memory: true }),
      single('ADC Gv,Ev', { reg: 2, memory: true }),
    ],
  },
];
