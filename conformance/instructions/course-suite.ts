// The suite of short programs: 5 to 50 pieces in a row, run in one go. What an implementation keeps from one instruction to the next, such as flags
// that it works out late, decoded code or translations, shows nowhere else.

import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import type { Granted, MachineConfig } from '../../spec/units.ts';
import type { Player, Suite } from '../program.ts';
import { type CourseChoice, courseOf, ring3Course, type Start } from './course-choice.ts';
import { formOf, layOutCourse, startCourse } from './course-lay.ts';
import { type Desk, deskOf, stimuliOf } from './desk.ts';
import { levelsOf, startState } from './state.ts';
import { limit, machines } from './suite.ts';

const deskFor = (choices: readonly CourseChoice[], granted: Granted, machine: MachineConfig): Desk => {
  const start = choices.find((c): c is Start => c.op === 'start');
  const levels = levelsOf((machine.cpu as CpuMachine).mode);
  const cpl = levels[levels.length - 1 - ((start?.level ?? 0) % levels.length)] ?? 0;
  const d = deskOf(machine, granted, startState(machine, cpl), cpl);
  startCourse(d, start);
  layOutCourse(d, choices);
  return d;
};
function* play(choices: readonly CourseChoice[], granted: Granted, machine: MachineConfig): Player<CourseChoice> {
  const d = deskFor(choices, granted, machine);
  for (const [i, plan] of choices.entries()) yield { plan, do: i === choices.length - 1 ? stimuliOf(d, limit) : [] };
}
const lower = (c: CourseChoice): readonly CourseChoice[] => {
  const simpler: CourseChoice[] = [];
  for (const [key, value] of Object.entries(c))
    if (typeof value === 'number' && value > 0 && key !== 'form') simpler.push({ ...c, [key]: 0 });
  if (c.op === 'instruction' && c.memory) simpler.push({ ...c, memory: false });
  return simpler;
};
const shape = (c: CourseChoice, { cpu }: MachineConfig): string => {
  if (c.op === 'start') return 'init';
  return c.op === 'loop' || c.op === 'call' ? c.op.toUpperCase() : formOf((cpu as CpuMachine).mode, c).mnemonic;
};
/** They write status flags, beside all of arithmetic; and they read them, beside all conditions. SDM volume 1, EFLAGS Cross-Reference. */
const writers: ReadonlySet<string> = new Set(['CMPS', 'CMPSB', 'SCAS', 'SCASB', 'STC', 'CLC', 'CMC', 'SAHF']);
const arithmetic: ReadonlySet<string> = new Set(['alu', 'shift', 'bit', 'multiply']);
const conditional = /^(J(?!MP|E?CXZ|RCXZ)|SET|CMOV)|^(ADC|SBB|RCL|RCR|CMC|SALC|ADCX|ADOX|LOOPE|LOOPNE|DAA|DAS|AAA|AAS|PUSHF|LAHF)/;
/** Whether CMPXCHG8B, which leaves all status flags but ZF as they are, finds those that another instruction has written, and whether one behind it reads them:
 *  an implementation that works flags out late may take them from elsewhere. */
const words = (choices: readonly CourseChoice[], { cpu }: MachineConfig): readonly string[] => {
  const { mode } = cpu as CpuMachine;
  const found = choices.flatMap((c) => (c.op === 'instruction' || c.op === 'jump' ? [formOf(mode, c)] : []));
  const kept = found.findIndex((f) => f.mnemonic === 'CMPXCHG8B');
  const loops = choices.some((c) => c.op === 'loop');
  const written = loops || found.some((f) => f.mnemonic !== 'CMPXCHG8B' && (arithmetic.has(f.topic) || writers.has(f.mnemonic)));
  if (kept < 0 || !written) return [];
  return loops || found.slice(kept).some((f) => conditional.test(f.mnemonic)) ? ['kept-flags', 'kept-flags-read'] : ['kept-flags'];
};
export const courseSuite: Suite<CourseChoice> = {
  id: 'instructions.course',
  needs: ['cpu', 'memory.seen'],
  machines,
  choices: courseOf,
  choicesOf: (_block, _machine, offers) => (offers?.includes('cpu.system') === false ? ring3Course : courseOf),
  play,
  shape,
  words,
  simpler: lower,
  oblivious: true,
  block: 64,
  weight: 4,
  runs: 2 * 64 * machines.length,
};
