// A small x86 assembler: bytes with labels, and the few addressing forms that the agent uses. Intel SDM volume 2, Instruction Format.
// Addresses are linear; 16-bit code is addressed from `segment` (its base).

export type Bits = 16 | 32 | 64;

interface Fixup {
  readonly at: number;
  readonly label: string;
  readonly kind: 'rel8' | 'rel16' | 'rel32' | 'abs32' | 'abs16';
}
export interface Assembler {
  readonly here: () => number;
  /** Bytes as they are. */
  readonly put: (...bytes: readonly number[]) => void;
  readonly u32: (value: number) => void;
  readonly u64: (value: bigint) => void;
  readonly label: (name: string) => void;
  readonly align: (to: number) => void;
  /** A 32-bit displacement to `label` from the end of the field. */
  readonly rel32: (label: string) => void;
  readonly rel16: (label: string) => void;
  readonly rel8: (label: string) => void;
  readonly abs32: (label: string) => void;
  readonly abs16: (label: string) => void;
  /** Code width of what follows. */
  readonly bits: (bits: Bits) => void;
  /** `opcode` with register field `field` and the memory operand at the absolute address `at`; `wide`: REX.W, or the operand-size prefix that makes
   *  32-bit operands in 16-bit code. `imm`: bytes that follow. `before`: prefixes. */
  readonly memory: (opcode: readonly number[], field: number, at: number, options?: MemoryOptions) => void;
  /** Overwrites the 32-bit field at address `at`. */
  readonly patch32: (at: number, value: number) => void;
  readonly finish: () => Uint8Array;
}
export interface MemoryOptions {
  readonly wide?: boolean;
  readonly imm?: readonly number[];
  readonly before?: readonly number[];
}

/** Throws where a label is missing, doubled or out of reach: the emitter is wrong then. */
export const assembler = (origin: number, segment: number): Assembler => {
  const bytes: number[] = [];
  const labels = new Map<string, number>();
  const fixups: Fixup[] = [];
  let bits: Bits = 64;
  const here = (): number => origin + bytes.length;
  const put = (...more: readonly number[]): void => {
    for (const b of more) bytes.push(b & 0xff);
  };
  const u32 = (value: number): void => put(value, value >>> 8, value >>> 16, value >>> 24);
  const fix =
    (kind: Fixup['kind'], width: number) =>
    (label: string): void => {
      fixups.push({ at: bytes.length, label, kind });
      for (let i = 0; i < width; i++) bytes.push(0);
    };
  return {
    here,
    put,
    u32,
    u64: (value) => {
      u32(Number(value & 0xffffffffn));
      u32(Number((value >> 32n) & 0xffffffffn));
    },
    label: (name) => {
      if (labels.has(name)) throw new Error(`label ${name} stands twice`);
      labels.set(name, here());
    },
    align: (to) => {
      while (here() % to !== 0) bytes.push(0x90);
    },
    rel32: fix('rel32', 4),
    rel16: fix('rel16', 2),
    rel8: fix('rel8', 1),
    abs32: fix('abs32', 4),
    abs16: fix('abs16', 2),
    bits: (width) => {
      bits = width;
    },
    memory: (opcode, field, at, { wide = false, imm = [], before = [] } = {}) => {
      put(...before);
      if (bits === 64) {
        const rex = 0x40 | (wide ? 8 : 0) | (field > 7 ? 4 : 0);
        if (rex !== 0x40) put(rex);
        put(...opcode, ((field & 7) << 3) | 5);
        u32(at - (here() + 4 + imm.length));
      } else if (bits === 32) {
        put(...opcode, (field << 3) | 5);
        u32(at);
      } else {
        if (wide) put(0x66);
        const offset = at - segment;
        if (offset < 0 || offset > 0xffff) throw new Error(`${at.toString(16)}H is out of 16-bit reach`);
        put(...opcode, (field << 3) | 6, offset, offset >> 8);
      }
      put(...imm);
    },
    patch32: (at, value) => {
      for (let i = 0; i < 4; i++) bytes[at - origin + i] = (value >>> (8 * i)) & 0xff;
    },
    finish: () => {
      for (const { at, label, kind } of fixups) {
        const to = labels.get(label);
        if (to === undefined) throw new Error(`no label ${label}`);
        const width = kind === 'rel8' ? 1 : kind === 'abs16' || kind === 'rel16' ? 2 : 4;
        const value = kind === 'abs32' ? to : kind === 'abs16' ? to - segment : to - (origin + at + width);
        if (kind === 'rel8' && (value < -128 || value > 127)) throw new Error(`${label} is ${value} bytes away: out of reach`);
        for (let i = 0; i < width; i++) bytes[at + i] = (value >> (8 * i)) & 0xff;
      }
      return Uint8Array.from(bytes);
    },
  };
};
