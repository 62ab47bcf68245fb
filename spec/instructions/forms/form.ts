// What a row of the tables of instruction forms says: how it is encoded, what its operands are, and where it exists.
// Operand codes are those of Intel SDM volume 2, appendix A, Key to Abbreviations.

/** Where an operand stands: E r/m, G reg field, M memory only, R register only, S segment register, C and D control and debug registers, Z register in
 *  the opcode, B the register in VEX.vvvv, I immediate, J relative target, O offset, A far pointer, or a fixed register or value; `implied` names what the meaning finds itself. */
export type Place = 'E' | 'G' | 'M' | 'R' | 'S' | 'C' | 'D' | 'Z' | 'I' | 'J' | 'O' | 'A' | 'B' | 'acc' | 'CL' | 'DX' | 'one';
/** b 1, w 2, d 4, q 8, v operand size, z operand size at most 4, y 4 or 8 by operand size, s immediate 8 sign-extended, p far pointer, t table of limit and
 *  base, a pair of bounds, n no access (an address only), x twice y. */
export type Width = 'b' | 'w' | 'd' | 'q' | 'v' | 'z' | 'y' | 's' | 'p' | 't' | 'a' | 'n' | 'x';
export interface Operand {
  readonly at: Place;
  readonly width: Width;
}
export type Topic =
  | 'move'
  | 'alu'
  | 'shift'
  | 'multiply'
  | 'bit'
  | 'string'
  | 'stack'
  | 'branch'
  | 'far'
  | 'interrupt'
  | 'flag'
  | 'segment'
  | 'table'
  | 'probe'
  | 'io'
  | 'control'
  | 'debug'
  | 'msr'
  | 'time'
  | 'call'
  | 'cache'
  | 'undefined';

export type Map = 0 | 1 | 2 | 3 | 4;
export interface Form {
  /** 'ADD Eb,Gb': unique. */
  readonly id: string;
  readonly mnemonic: string;
  /** 0 one byte, 1 after 0FH, 2 after 0F38H; with VEX 3 for its 0F38H, 4 for its 0F3AH. */
  readonly map: Map;
  readonly opcode: number;
  /** The low three bits of the opcode number a register. */
  readonly plus: boolean;
  /** /digit: the reg field of ModRM. */
  readonly digit: number | undefined;
  /** The whole ModRM byte. */
  readonly modrm: number | undefined;
  readonly hasModrm: boolean;
  /** Which mod values the form has. */
  readonly mod: 'any' | 'memory' | 'register';
  /** Mandatory prefix; 'none': none of 66H, F2H, F3H; 'no repeat': neither F2H nor F3H. Absent: 66H is the operand size, F2H and F3H repeat or mean nothing. */
  readonly prefix: 0x66 | 0xf2 | 0xf3 | 'none' | 'no repeat' | undefined;
  readonly operands: readonly Operand[];
  readonly topic: Topic;
  /** LOCK is permitted where the destination is memory. */
  readonly lock: boolean;
  /** Exists outside 64-bit mode only; in 64-bit mode only; in protected mode only (not real-address, not virtual-8086). */
  readonly modes: 'all' | 'not64' | 'only64' | 'protected';
  /** Operand size in 64-bit mode: by REX.W; 64 unless 66H; always 64. */
  readonly size64: 'rex' | 'default' | 'forced';
  /** #GP(0) above CPL 0 (SDM volume 3, Privileged Instructions). */
  readonly privileged: boolean;
  readonly feature: string | undefined;
}

const placeOf: Readonly<Record<string, Operand>> = {
  AL: { at: 'acc', width: 'b' },
  rAX: { at: 'acc', width: 'v' },
  eAX: { at: 'acc', width: 'z' },
  CL: { at: 'CL', width: 'b' },
  DX: { at: 'DX', width: 'w' },
  1: { at: 'one', width: 'b' },
};
const operandOf = (code: string): Operand => placeOf[code] ?? { at: code[0] as Place, width: code[1] as Width };
const words = new Set(['lock', 'not64', 'only64', 'protected', 'd64', 'f64', 'cpl0']);

/** One line: `[0F|0F38|V38|V3A] OPCODE[+] [/digit|=MODRM] [m|r] [66|F2|F3|NP] MNEMONIC [operands] [lock] [not64|only64|protected] [d64|f64] [cpl0] [?feature]`.
 *  Throws where a line is none. */
const parseLine = (line: string, topic: Topic): Form => {
  const rest = line.trim().split(/\s+/);
  const take = (pattern: RegExp): string | undefined => (rest[0] !== undefined && pattern.test(rest[0]) ? rest.shift() : undefined);
  const map = ({ '0F:': 1, '0F38': 2, V38: 3, V3A: 4 } as const)[take(/^(0F:|0F38|V38|V3A)$/) ?? ''] ?? 0;
  const opcode = take(/^[0-9A-F]{2}\+?$/);
  if (opcode === undefined) throw new Error(`no opcode in ${line}`);
  const digit = take(/^\/[0-7r]$/);
  const modrm = take(/^=[0-9A-F]{2}$/);
  const mod = take(/^[mr]$/);
  const prefix = take(/^(66|F2|F3|NP|NR)$/);
  const mnemonic = rest.shift();
  if (mnemonic === undefined) throw new Error(`no mnemonic in ${line}`);
  const operands: string[] = [];
  const marks = new Set<string>();
  let feature: string | undefined;
  for (const word of rest) {
    if (word.startsWith('?')) feature = word.slice(1);
    else if (words.has(word)) marks.add(word);
    else operands.push(...word.split(','));
  }
  const parsed = operands.map(operandOf);
  const needsModrm = parsed.some((o) => 'EGMRSCD'.includes(o.at));
  return {
    id: [mnemonic, operands.join(',')].filter((s) => s !== '').join(' '),
    mnemonic,
    map,
    opcode: Number.parseInt(opcode, 16),
    plus: opcode.endsWith('+'),
    // Forms are read in every case: all have one shape.
    digit: digit === undefined || digit === '/r' ? undefined : Number(digit[1]),
    modrm: modrm === undefined ? undefined : Number.parseInt(modrm.slice(1), 16),
    hasModrm: needsModrm || digit !== undefined || modrm !== undefined,
    mod: mod === 'm' || parsed.some((o) => o.at === 'M') ? 'memory' : mod === 'r' || parsed.some((o) => o.at === 'R') ? 'register' : 'any',
    prefix:
      prefix === undefined
        ? undefined
        : prefix === 'NP'
          ? 'none'
          : prefix === 'NR'
            ? 'no repeat'
            : (Number.parseInt(prefix, 16) as 0x66 | 0xf2 | 0xf3),
    operands: parsed,
    topic,
    lock: marks.has('lock'),
    modes: marks.has('not64') ? 'not64' : marks.has('only64') ? 'only64' : marks.has('protected') ? 'protected' : 'all',
    size64: marks.has('f64') ? 'forced' : marks.has('d64') ? 'default' : 'rex',
    privileged: marks.has('cpl0'),
    feature,
  };
};
/** Lines of a table; blank lines part groups. */
export const parse = (topic: Topic, text: string): readonly Form[] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => parseLine(line, topic));

/** Condition codes in the order of their numbers. SDM volume 1, appendix B. */
export const conditions = ['O', 'NO', 'B', 'NB', 'Z', 'NZ', 'BE', 'NBE', 'S', 'NS', 'P', 'NP', 'L', 'NL', 'LE', 'NLE'] as const;
export const byte = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
