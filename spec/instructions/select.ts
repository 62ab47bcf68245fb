// Which form of the tables an opcode names, by mode, ModRM and prefix, and what the opcode alone tells to be #UD.
// Intel SDM volume 2, appendix A, Opcode Map; Opcode Column in the Instruction Summary Table.

import type { Form } from './forms/index.ts';

export type CodeSize = 16 | 32 | 64;
/** `lacks`: whether the processor is without a feature; what that brings is then an opcode like any undefined one. */
export type ModeOfCode = { readonly code: CodeSize; readonly protected: boolean; readonly lacks?: (feature: string) => boolean };

const existsIn = (form: Form, mode: ModeOfCode): boolean =>
  (form.modes === 'all' || (form.modes === 'not64' ? mode.code !== 64 : form.modes === 'only64' ? mode.code === 64 : mode.protected)) &&
  !(form.mnemonic === 'ARPL' && mode.code === 64);

export const select = (
  list: readonly Form[],
  mode: ModeOfCode,
  modrm: number,
  prefix: number,
  nop: boolean,
): { form: Form; wrong: boolean } | undefined => {
  let wrong: Form | undefined;
  const mod = modrm >> 6;
  for (const form of list) {
    if (form.hasModrm) {
      if (form.modrm !== undefined) {
        if (form.modrm !== modrm) continue;
      } else {
        if (form.digit !== undefined && form.digit !== ((modrm >> 3) & 7)) continue;
        // MOV to and from control and debug registers ignores mod. SDM volume 2, MOV—Move to/from Control Registers.
        const ignored = form.map === 1 && form.opcode >= 0x20 && form.opcode <= 0x23;
        if (!ignored && ((form.mod === 'memory' && mod === 3) || (form.mod === 'register' && mod !== 3))) continue;
      }
    }
    if (
      form.prefix === 'no repeat'
        ? prefix === 0xf2 || prefix === 0xf3
        : form.prefix !== undefined && form.prefix !== (prefix === 0 ? 'none' : prefix)
    )
      continue;
    // 90H is NOP or PAUSE, and XCHG only with REX.B.
    if (form.map === 0 && form.opcode === 0x90 && form.plus === nop) continue;
    if (existsIn(form, mode)) return { form, wrong: false };
    wrong ??= form;
  }
  return wrong === undefined ? undefined : { form: wrong, wrong: true };
};

/** The opcode alone tells that it is #UD: undefined, of another mode or a feature that is not there, or with a LOCK that it cannot have. */
export const refused = (form: Form, mode: ModeOfCode, lock: boolean): boolean =>
  form.topic === 'undefined' ||
  (lock && !form.lock) ||
  !existsIn(form, mode) ||
  (form.feature !== undefined && mode.lacks?.(form.feature) === true);
/** MOV of a segment register that does not exist, or to CS: ModRM tells that it is #UD. */
export const noSegment = (form: Form, reg: number): boolean =>
  form.operands.some((o) => o.at === 'S') && (reg > 5 || (reg === 1 && form.operands[0]?.at === 'S'));
