// One instruction from its bytes: prefixes, REX, opcode, ModRM, SIB, displacement, immediates, in every mode. Driven by the table of forms.
// Intel SDM volume 2, Instruction Format; volume 1, Operand-Size and Address-Size Attributes.

import { type Size, signed } from './bits.ts';
import { candidates, type Form } from './forms/index.ts';
import { type CodeSize, type ModeOfCode, noSegment, refused, select } from './select.ts';
import { isRaised, raise, undecided } from './work.ts';

/** A memory operand. Register numbers as in gpr; segments as in segments, by the default or an override. */
export interface Address {
  readonly segment: number;
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacement: bigint;
  readonly ripRelative: boolean;
}
export interface Instruction {
  readonly form: Form;
  readonly length: number;
  readonly lock: boolean;
  /** The last of F2H, F3H, or 0. */
  readonly repeat: 0 | 0xf2 | 0xf3;
  readonly override: number;
  readonly rex: number;
  readonly operandSize: 2 | 4 | 8;
  readonly addressSize: 2 | 4 | 8;
  readonly code: CodeSize;
  readonly mod: number;
  readonly reg: number;
  readonly rm: number;
  readonly address: Address | undefined;
  /** Sign-extended where the form says so. */
  readonly immediate: bigint;
  /** Second immediate: level of ENTER, selector of a far pointer. */
  readonly second: number;
  /** 66H stands before it. */
  readonly sizePrefix: boolean;
  /** VEX.vvvv: a register. */
  readonly vvvv: number;
  /** Not valid in the mode it stands in. */
  readonly wrongMode: boolean;
}
/** Not in the tables: nothing is known of it. */
export interface NotCovered {
  readonly notCovered: string;
  /** The opcode is covered, but not with this prefix: reserved, so nothing is said. */
  readonly reserved?: true;
}
/** Gives byte k of the instruction, or throws the fault that fetching it causes. */
export type Fetch = (k: number) => number;

const BX = 3;
const BP = 5;
const SI = 6;
const DI = 7;
/** Base, index and default segment (2 SS, 3 DS) of 16-bit addressing. SDM volume 2, table 16-Bit Addressing Forms. */
const forms16: readonly (readonly [base: number, index: number, segment: number])[] = [
  [BX, SI, 3],
  [BX, DI, 3],
  [BP, SI, 2],
  [BP, DI, 2],
  [SI, -1, 3],
  [DI, -1, 3],
  [BP, -1, 2],
  [BX, -1, 3],
];

/** Whether the rest of an instruction that is #UD anyway is fetched is open: either fault is permitted. */
const tail =
  (fetch: Fetch, isRefused: () => boolean): Fetch =>
  (k) => {
    try {
      return fetch(k);
    } catch (thrown) {
      if (!isRefused() || !isRaised(thrown)) throw thrown;
      return raise(...thrown.faults, { vector: 6, rule: 'ud.reserved' });
    }
  };

/** Decodes at the fetcher's position. Throws what the fetcher throws. */
export const decode = (fetch: Fetch, mode: ModeOfCode): Instruction | NotCovered => {
  const { code } = mode;
  let k = 0;
  let big = false;
  let addressPrefix = false;
  let lock = false;
  let repeat: 0 | 0xf2 | 0xf3 = 0;
  let override = -1;
  let rex = 0;
  let op: number;
  for (;;) {
    op = fetch(k++);
    if (code === 64 && (op & 0xf0) === 0x40) {
      rex = op;
      continue;
    }
    const segment = op === 0x26 ? 0 : op === 0x2e ? 1 : op === 0x36 ? 2 : op === 0x3e ? 3 : op === 0x64 ? 4 : op === 0x65 ? 5 : -1;
    // In 64-bit mode CS, DS, ES and SS overrides are ignored.
    if (segment >= 0) {
      if (code !== 64 || segment >= 4) override = segment;
    } else if (op === 0x66) big = true;
    else if (op === 0x67) addressPrefix = true;
    else if (op === 0xf0) lock = true;
    else if (op === 0xf2 || op === 0xf3) repeat = op;
    else break;
    rex = 0; // a REX prefix counts only right before the opcode
  }
  let map: Form['map'] = 0;
  let vvvv = 0;
  let invertedV = 0;
  let vexPrefix = 0;
  if (op === 0x0f) {
    map = 1;
    op = fetch(k++);
    if (op === 0x38) {
      map = 2;
      op = fetch(k++);
    }
  }
  if (map === 0 && op === 0xc4 && mode.protected && (code === 64 || (fetch(k) & 0xc0) === 0xc0)) {
    // Three bytes: inverted R, X, B and the map; W, inverted vvvv, L and the prefix that is implied; then the opcode.
    const [first, second] = [fetch(k++), fetch(k++)];
    op = fetch(k++);
    map = (first & 31) === 2 ? 3 : 4;
    const reserved = big || lock || repeat !== 0 || rex !== 0 || (second & 4) !== 0 || ((first & 31) !== 2 && (first & 31) !== 3);
    if (reserved || candidates(map, op).length === 0) return { notCovered: 'VEX prefix', reserved: true };
    if (code === 64) rex = 0x40 | ((second & 0x80) >> 4) | (((first & 0xe0) ^ 0xe0) >> 5);
    invertedV = ((second >> 3) & 15) ^ 15;
    vvvv = code === 64 ? invertedV : invertedV & 7;
    vexPrefix = [0, 0x66, 0xf3, 0xf2][second & 3] as number;
  }
  const list = candidates(map, op);
  if (list.length === 0) return { notCovered: `opcode ${map}:${op.toString(16)}` };
  // VEX and EVEX prefixes stand where LES, LDS and BOUND do.
  const vex = map === 0 && (op === 0xc4 || op === 0xc5 || op === 0x62);
  if (vex && code === 64) return { notCovered: 'VEX or EVEX prefix', reserved: true };
  const hasModrm = list[0]?.hasModrm === true;
  const modrm = hasModrm ? tail(fetch, () => list.every((f) => refused(f, mode, lock)))(k++) : 0;
  const mandatory = map >= 3 ? vexPrefix : repeat !== 0 ? repeat : big ? 0x66 : 0;
  const selected = select(list, mode, modrm, mandatory, op === 0x90 && (rex & 1) === 0);
  if (selected === undefined) {
    const notCovered = `opcode ${map}:${op.toString(16)}, ModRM ${modrm.toString(16)}`;
    return select(list, mode, modrm, 0, op === 0x90 && (rex & 1) === 0) === undefined && !vex
      ? { notCovered }
      : { notCovered, reserved: true };
  }
  const { form, wrong } = selected;
  // It must be 1111b then (SDM volume 2, Opcode Column in the Instruction Summary Table); what else brings is not said there.
  if (map >= 3 && invertedV !== 0 && !form.operands.some((o) => o.at === 'B'))
    return { notCovered: 'VEX.vvvv that is not used', reserved: true };
  // How long a near branch with 66H is depends on the vendor (readings.md): nothing is told of what it may be too long for.
  if (code === 64 && big && form.size64 === 'forced' && form.topic === 'branch') {
    try {
      for (let j = 0; j < 4; j++) fetch(k + j);
    } catch {
      undecided('the length of a near branch with 66H in 64-bit mode');
    }
  }
  const rest = tail(fetch, () => wrong || refused(form, mode, lock) || noSegment(form, (modrm >> 3) & 7));

  const wide = (rex & 8) !== 0;
  let operandSize: Size = code === 64 ? (wide ? 8 : big ? 2 : 4) : (code === 16) !== big ? 2 : 4;
  if (code === 64) {
    if (form.size64 === 'default' && !big) operandSize = 8;
    // Near branches: 64 bits; with 66H implementations differ, see readings.md.
    if (form.size64 === 'forced') operandSize = 8;
  }
  const addressSize: 2 | 4 | 8 = code === 64 ? (addressPrefix ? 4 : 8) : (code === 16) !== addressPrefix ? 2 : 4;

  const mod = modrm >> 6;
  const reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
  let rm = (modrm & 7) | ((rex & 1) << 3);
  if (form.plus) rm = (op & 7) | ((rex & 1) << 3);
  const bytes = (n: number): bigint => {
    let value = 0;
    if (n <= 4) {
      for (let j = 0; j < n; j++) value |= rest(k++) << (8 * j);
      return BigInt(value >>> 0);
    }
    const low = bytes(4);
    return low | (bytes(4) << 32n);
  };

  let address: Address | undefined;
  const controlMove = map === 1 && op >= 0x20 && op <= 0x23;
  if (hasModrm && mod !== 3 && form.modrm === undefined && !controlMove) {
    let base = -1;
    let index = -1;
    let scale = 1;
    let segment = 3;
    let ripRelative = false;
    let displacementSize = mod === 1 ? 1 : 0;
    if (addressSize === 2) {
      const entry = forms16[modrm & 7] as (typeof forms16)[number];
      [base, index, segment] = entry;
      if (mod === 2) displacementSize = 2;
      if (mod === 0 && (modrm & 7) === 6) {
        base = -1;
        segment = 3;
        displacementSize = 2;
      }
    } else {
      if (mod === 2) displacementSize = 4;
      if ((modrm & 7) === 4) {
        const sib = rest(k++);
        index = ((sib >> 3) & 7) | ((rex & 2) << 2);
        if (index === 4) index = -1;
        scale = 1 << (sib >> 6);
        base = (sib & 7) | ((rex & 1) << 3);
        if ((sib & 7) === 5 && mod === 0) {
          base = -1;
          displacementSize = 4;
        }
      } else if ((modrm & 7) === 5 && mod === 0) {
        displacementSize = 4;
        ripRelative = code === 64;
      } else base = rm;
      if (base === 4 || base === 5) segment = 2;
    }
    const displacement = displacementSize === 0 ? 0n : signed(bytes(displacementSize), displacementSize);
    address = { segment: override >= 0 ? override : segment, base, index, scale, displacement, ripRelative };
  }

  let immediate = 0n;
  let second = 0;
  let has = false;
  for (const operand of form.operands) {
    if (operand.at === 'I' || operand.at === 'J') {
      const { width } = operand;
      if (width === 's' || (operand.at === 'J' && width === 'b')) immediate = signed(bytes(1), 1);
      else if (width === 'b') {
        const value = bytes(1);
        if (has) second = Number(value);
        else immediate = value;
      } else if (width === 'w') immediate = bytes(2);
      else if (width === 'v') immediate = bytes(operandSize);
      else {
        const size = operandSize === 2 ? 2 : 4;
        immediate = signed(bytes(size), size);
      }
      has = true;
    } else if (operand.at === 'O') {
      const displacement = bytes(addressSize);
      address = { segment: override >= 0 ? override : 3, base: -1, index: -1, scale: 1, displacement, ripRelative: false };
    } else if (operand.at === 'A') {
      immediate = bytes(operandSize === 2 ? 2 : 4);
      second = Number(bytes(2));
    }
  }
  return {
    form,
    length: k,
    lock,
    repeat,
    override,
    rex,
    operandSize,
    addressSize,
    code,
    mod: controlMove ? 3 : mod,
    reg,
    rm,
    address,
    immediate,
    second,
    sizePrefix: big,
    vvvv,
    wrongMode: wrong,
  };
};
