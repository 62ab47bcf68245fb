// A few x86-64 instructions as bytes, with labels: what the program that runs native cases is made of.
// Encodings: Intel SDM volume 2, Instruction Format; opcode and ModR/M stand beside each.

export const registers = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
] as const;
export type Register = (typeof registers)[number];
const conditions = { below: 2, notBelow: 3, equal: 4, notEqual: 5 } as const;
export type Condition = keyof typeof conditions;

export interface Assembler {
  readonly bytes: (...values: readonly number[]) => void;
  readonly label: (name: string) => void;
  /** MOV r64, imm64, or the address of a label. */
  readonly set: (to: Register, value: bigint | number | string) => void;
  /** MOV of 8, 4 or 2 bytes between a register and memory at base + displacement; loads are zero-extended. */
  readonly load: (to: Register, base: Register, displacement: number, width?: 8 | 4 | 2) => void;
  readonly store: (base: Register, displacement: number, from: Register, width?: 8 | 4 | 2) => void;
  readonly move: (to: Register, from: Register) => void;
  readonly add: (to: Register, what: Register | number) => void;
  readonly subtract: (to: Register, what: Register) => void;
  readonly compare: (a: Register, b: Register | number) => void;
  readonly push: (what: Register) => void;
  readonly jump: (to: string, when?: Condition) => void;
  readonly syscall: (number: number) => void;
  /** Everything, with labels resolved; the first byte stands at `origin`. */
  readonly assembled: () => Buffer;
}

export const assembler = (origin: bigint): Assembler => {
  const out: number[] = [];
  const labels = new Map<string, number>();
  const fixes: { readonly at: number; readonly to: string; readonly absolute: boolean }[] = [];
  const n = (r: Register): number => registers.indexOf(r);
  const bytes = (...values: readonly number[]): void => void out.push(...values);
  const imm32 = (value: number): void => bytes(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff);
  const rex = (wide: boolean, reg: number, rm: number): void => {
    const value = 0x40 | (wide ? 8 : 0) | ((reg >> 3) << 2) | (rm >> 3);
    if (value !== 0x40) bytes(value);
  };
  /** ModR/M with a 32-bit displacement; RSP and R12 as base need a SIB byte. */
  const memory = (reg: number, base: number, displacement: number): void => {
    bytes(0x80 | ((reg & 7) << 3) | (base & 7));
    if ((base & 7) === 4) bytes(0x24);
    imm32(displacement);
  };
  const both = (opcode: number, rm: Register, reg: Register): void => {
    rex(true, n(reg), n(rm));
    bytes(opcode, 0xc0 | ((n(reg) & 7) << 3) | (n(rm) & 7));
  };
  const immediate = (extension: number, rm: Register, value: number): void => {
    rex(true, 0, n(rm));
    bytes(0x81, 0xc0 | (extension << 3) | (n(rm) & 7));
    imm32(value);
  };
  const set: Assembler['set'] = (to, value) => {
    rex(true, 0, n(to));
    bytes(0xb8 | (n(to) & 7));
    if (typeof value === 'string') fixes.push({ at: out.length, to: value, absolute: true });
    const number = typeof value === 'string' ? 0n : BigInt.asUintN(64, BigInt(value));
    for (let i = 0n; i < 8n; i++) bytes(Number((number >> (8n * i)) & 0xffn));
  };
  return {
    bytes,
    label: (name) => void labels.set(name, out.length),
    set,
    load: (to, base, displacement, width = 8) => {
      rex(width === 8, n(to), n(base));
      bytes(...(width === 2 ? [0x0f, 0xb7] : [0x8b]));
      memory(n(to), n(base), displacement);
    },
    store: (base, displacement, from, width = 8) => {
      if (width === 2) bytes(0x66);
      rex(width === 8, n(from), n(base));
      bytes(0x89);
      memory(n(from), n(base), displacement);
    },
    move: (to, from) => both(0x89, to, from),
    add: (to, what) => (typeof what === 'number' ? immediate(0, to, what) : both(0x01, to, what)),
    subtract: (to, what) => both(0x29, to, what),
    compare: (a, b) => (typeof b === 'number' ? immediate(7, a, b) : both(0x39, a, b)),
    push: (what) => {
      rex(false, 0, n(what));
      bytes(0x50 | (n(what) & 7));
    },
    jump: (to, when) => {
      if (when === undefined) bytes(0xe9);
      else bytes(0x0f, 0x80 | conditions[when]);
      fixes.push({ at: out.length, to, absolute: false });
      imm32(0);
    },
    syscall: (number) => {
      set('rax', number);
      bytes(0x0f, 0x05);
    },
    assembled: () => {
      const code = Buffer.from(out);
      for (const { at, to, absolute } of fixes) {
        const where = labels.get(to);
        if (where === undefined) throw new Error(`no label ${to}`);
        if (absolute) code.writeBigUInt64LE(origin + BigInt(where), at);
        else code.writeInt32LE(where - (at + 4), at);
      }
      return code;
    },
  };
};
