// Decides which table has an instruction. What no table has is an invalid opcode, unless CPUID says that the processor has it.

import { arithmetic } from './arithmetic.ts';
import { bits } from './bit.ts';
import { branches } from './branch.ts';
import { controlOperations } from './control.ts';
import { decimal } from './decimal.ts';
import type { Entries, Entry } from './entry.ts';
import { farTransfers } from './far.ts';
import { flagOperations } from './flag-ops.ts';
import { missing, ud } from './fault.ts';
import { floating, sse, x87 } from './floating.ts';
import { iced } from './iced.ts';
import type { Insn } from './insn.ts';
import { inputOutput } from './io.ts';
import { interruptReturns } from './iret.ts';
import { moves } from './move.ts';
import type { Run } from './operands.ts';
import { multiplication } from './multiply.ts';
import { segmentOperations } from './segment-ops.ts';
import { shifts } from './shift.ts';
import { simple } from './simple.ts';
import { strings } from './string.ts';
import { systemCalls } from './system-call.ts';
import { systemOperations } from './system.ts';

const all: Entries = {
  ...moves,
  ...arithmetic,
  ...branches,
  ...simple,
  ...shifts,
  ...multiplication,
  ...bits,
  ...decimal,
  ...strings,
  ...inputOutput,
  ...flagOperations,
  ...farTransfers,
  ...interruptReturns,
  ...segmentOperations,
  ...controlOperations,
  ...systemOperations,
  ...systemCalls,
  ...floating,
};

/** Mnemonics that stand for several instructions are told apart by their operands. */
const keyOf = (insn: Insn): string => {
  const { name, form } = insn;
  switch (name) {
    case 'Mov': {
      const special = insn.ops.findIndex((o) => o.kind !== 'register' && o.kind !== 'memory' && o.kind !== 'immediate');
      return special < 0 ? name : `Mov ${special === 0 ? 'to' : 'from'} ${insn.ops[special]!.kind}`;
    }
    case 'Pop':
      return insn.ops[0]?.kind === 'segment' ? 'Pop segment' : name;
    case 'Jmp':
    case 'Call':
      return /_(?:m|ptr)16(?:16|32|64)$/.test(form) ? `${name} far` : name;
    case 'Movsd':
    case 'Cmpsd':
      return form.includes('xmm') ? `${name} of SSE` : name;
    default:
      return name;
  }
};
/** More than the decoder has forms. */
const FORMS = 8192;
const byForm = new Array<Entry | undefined>(FORMS).fill(undefined);
/** Operands of one form are of one kind: a form is looked up once. */
export const entryOf = (insn: Insn): Entry | undefined => {
  const known = byForm[insn.code];
  if (known !== undefined) return known;
  const entry = all[keyOf(insn)];
  byForm[insn.code] = entry;
  return entry;
};
/** Extensions that CPUID announces, though not all of their instructions are done: what must hold before one of them runs at all. */
const ANNOUNCED: Readonly<Record<string, Run>> = { FPU: x87, FPU287: x87, FPU387: x87, SSE: sse, SSE2: sse, FXSR: x87, CMOV: x87 };
let announced: ReadonlyMap<number, Run> | undefined;
/** An instruction that no table has: invalid, unless all of the extensions it belongs to are announced. */
export const absent = (form: string, features: Int32Array): Run => {
  const { CpuidFeature } = iced();
  announced ??= new Map(Object.entries(ANNOUNCED).map(([name, check]) => [CpuidFeature[name as 'FPU'] as number, check]));
  const checks = [...features].map((f) => announced!.get(f));
  const [first] = checks;
  if (first === undefined || checks.includes(undefined)) return ud;
  return (c) => {
    first(c);
    missing(form);
  };
};
