// The forms of the integer instructions that any program uses, as opcode tables.
// Intel SDM volume 2, appendix A, Opcode Map, and the instruction pages.

import { byte, conditions, type Form, parse } from './form.ts';

const alu = ['ADD', 'OR', 'ADC', 'SBB', 'AND', 'SUB', 'XOR', 'CMP'] as const;
const locked = (name: string): string => (name === 'CMP' ? '' : 'lock');
const aluLines = alu.flatMap((name, i) => [
  `${byte(i * 8)}      ${name} Eb,Gb ${locked(name)}`,
  `${byte(i * 8 + 1)}      ${name} Ev,Gv ${locked(name)}`,
  `${byte(i * 8 + 2)}      ${name} Gb,Eb`,
  `${byte(i * 8 + 3)}      ${name} Gv,Ev`,
  `${byte(i * 8 + 4)}      ${name} AL,Ib`,
  `${byte(i * 8 + 5)}      ${name} rAX,Iz`,
  `80 /${i}   ${name} Eb,Ib ${locked(name)}`,
  `81 /${i}   ${name} Ev,Iz ${locked(name)}`,
  `83 /${i}   ${name} Ev,Is ${locked(name)}`,
]);
const aliasLines = alu.map((name, i) => `82 /${i}   ${name}82 Eb,Ib not64 ${locked(name)}`);

const shifts = ['ROL', 'ROR', 'RCL', 'RCR', 'SHL', 'SHR', '', 'SAR'] as const;
const shiftLines = shifts.flatMap((name, i) =>
  name === ''
    ? []
    : [
        `C0 /${i} ${name} Eb,Ib`,
        `C1 /${i} ${name} Ev,Ib`,
        `D0 /${i} ${name} Eb,1`,
        `D1 /${i} ${name} Ev,1`,
        `D2 /${i} ${name} Eb,CL`,
        `D3 /${i} ${name} Ev,CL`,
      ],
);
const each = (line: (name: string, code: number) => string): string => conditions.map(line).join('\n');

export const integerForms: readonly Form[] = [
  ...parse(
    'alu',
    `${aluLines.join('\n')}
    ${aliasLines.join('\n')}
    84       TEST Eb,Gb
    85       TEST Ev,Gv
    A8       TEST AL,Ib
    A9       TEST rAX,Iz
    F6 /0    TEST Eb,Ib
    F7 /0    TEST Ev,Iz
    40+      INC Zv not64
    48+      DEC Zv not64
    FE /0    INC Eb lock
    FF /0    INC Ev lock
    FE /1    DEC Eb lock
    FF /1    DEC Ev lock
    F6 /2    NOT Eb lock
    F7 /2    NOT Ev lock
    F6 /3    NEG Eb lock
    F7 /3    NEG Ev lock
    0F: C0   XADD Eb,Gb lock
    0F: C1   XADD Ev,Gv lock
    0F: B0   CMPXCHG Eb,Gb lock
    0F: B1   CMPXCHG Ev,Gv lock
    0F: C7 /1 CMPXCHG8B Mx lock
    0F38 F6 66 ADCX Gy,Ey ?adx
    0F38 F6 F3 ADOX Gy,Ey ?adx
    27       DAA not64
    2F       DAS not64
    37       AAA not64
    3F       AAS not64`,
  ),
  ...parse(
    'shift',
    `${shiftLines.join('\n')}
    0F: A4   SHLD Ev,Gv,Ib
    0F: A5   SHLD Ev,Gv,CL
    0F: AC   SHRD Ev,Gv,Ib
    0F: AD   SHRD Ev,Gv,CL`,
  ),
  ...parse(
    'multiply',
    `
    F6 /4    MUL Eb
    F7 /4    MUL Ev
    F6 /5    IMUL Eb
    F7 /5    IMUL Ev
    0F: AF   IMUL Gv,Ev
    69       IMUL Gv,Ev,Iz
    6B       IMUL Gv,Ev,Is
    F6 /6    DIV Eb
    F7 /6    DIV Ev
    F6 /7    IDIV Eb
    F7 /7    IDIV Ev
    D4       AAM Ib not64
    D5       AAD Ib not64`,
  ),
  ...parse(
    'bit',
    `
    0F: A3    BT Ev,Gv
    0F: AB    BTS Ev,Gv lock
    0F: B3    BTR Ev,Gv lock
    0F: BB    BTC Ev,Gv lock
    0F: BA /4 BT Ev,Ib
    0F: BA /5 BTS Ev,Ib lock
    0F: BA /6 BTR Ev,Ib lock
    0F: BA /7 BTC Ev,Ib lock
    0F: BC NR BSF Gv,Ev
    0F: BD NR BSR Gv,Ev
    0F: B8 F3 POPCNT Gv,Ev ?popcnt
    0F: BC F3 TZCNT Gv,Ev ?bmi1
    0F: BD F3 LZCNT Gv,Ev ?lzcnt`,
  ),
  ...parse(
    'move',
    `
    88       MOV Eb,Gb
    89       MOV Ev,Gv
    8A       MOV Gb,Eb
    8B       MOV Gv,Ev
    A0       MOV AL,Ob
    A1       MOV rAX,Ov
    A2       MOV Ob,AL
    A3       MOV Ov,rAX
    B0+      MOV Zb,Ib
    B8+      MOV Zv,Iv
    C6 /0    MOV Eb,Ib
    C7 /0    MOV Ev,Iz
    0F: B6   MOVZX Gv,Eb
    0F: B7   MOVZX Gv,Ew
    0F: BE   MOVSX Gv,Eb
    0F: BF   MOVSX Gv,Ew
    63       MOVSXD Gv,Ez only64
    8D       LEA Gv,Mn
    86       XCHG Eb,Gb lock
    87       XCHG Ev,Gv lock
    90+      XCHG Zv,rAX
    0F: C8+  BSWAP Zy
    98       CBW
    99       CWD
    D7       XLAT
    0F: 1F /r NOP Ev
    0F38 F0 NR MOVBE Gv,Mv ?movbe
    0F38 F1 NR MOVBE Mv,Gv ?movbe
    ${each((name, i) => `0F: ${byte(0x40 + i)} CMOV${name} Gv,Ev`)}
    ${each((name, i) => `0F: ${byte(0x90 + i)} SET${name} Eb`)}`,
  ),
  ...parse(
    'stack',
    `
    50+      PUSH Zv d64
    58+      POP Zv d64
    68       PUSH Iz d64
    6A       PUSH Is d64
    FF /6    PUSH Ev d64
    8F /0    POP Ev d64
    60       PUSHA not64
    61       POPA not64
    C8       ENTER Iw,Ib d64
    C9       LEAVE d64`,
  ),
  ...parse(
    'branch',
    `
    EB       JMP Jb f64
    E9       JMP Jz f64
    FF /4    JMP Ev f64
    E8       CALL Jz f64
    FF /2    CALL Ev f64
    C3       RET f64
    C2       RET Iw f64
    E0       LOOPNE Jb f64
    E1       LOOPE Jb f64
    E2       LOOP Jb f64
    E3       JCXZ Jb f64
    ${each((name, i) => `${byte(0x70 + i)} J${name} Jb f64`)}
    ${each((name, i) => `0F: ${byte(0x80 + i)} J${name} Jz f64`)}
    62       BOUND Gv,Ma not64`,
  ),
  ...parse(
    'string',
    `
    A4 MOVSB
    A5 MOVS
    A6 CMPSB
    A7 CMPS
    AA STOSB
    AB STOS
    AC LODSB
    AD LODS
    AE SCASB
    AF SCAS`,
  ),
];
