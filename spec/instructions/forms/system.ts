// The forms of the system instructions, privileged, sensitive or harmless, and of the opcodes that are defined to be undefined.
// Intel SDM volume 2, appendix A, Opcode Map, and the instruction pages; volume 3, Privileged Instructions.

import { type Form, parse } from './form.ts';

export const systemForms: readonly Form[] = [
  ...parse(
    'flag',
    `
    9C  PUSHF d64
    9D  POPF d64
    9E  SAHF
    9F  LAHF
    F5  CMC
    F8  CLC
    F9  STC
    FA  CLI
    FB  STI
    FC  CLD
    FD  STD
    0F: 01 =CA NP CLAC ?smap
    0F: 01 =CB NP STAC ?smap`,
  ),
  ...parse(
    'segment',
    `
    8C  MOV Ev,Sw
    8E  MOV Sw,Ew
    06  PUSHES not64
    0E  PUSHCS not64
    16  PUSHSS not64
    1E  PUSHDS not64
    0F: A0 PUSHFS d64
    0F: A8 PUSHGS d64
    07  POPES not64
    17  POPSS not64
    1F  POPDS not64
    0F: A1 POPFS d64
    0F: A9 POPGS d64
    C4  LES Gz,Mp not64
    C5  LDS Gz,Mp not64
    0F: B2 LSS Gv,Mp
    0F: B4 LFS Gv,Mp
    0F: B5 LGS Gv,Mp
    0F: 01 =F8 NP SWAPGS only64 cpl0
    0F: AE /0 r F3 RDFSBASE Ry only64 ?fsgsbase
    0F: AE /1 r F3 RDGSBASE Ry only64 ?fsgsbase
    0F: AE /2 r F3 WRFSBASE Ry only64 ?fsgsbase
    0F: AE /3 r F3 WRGSBASE Ry only64 ?fsgsbase`,
  ),
  ...parse(
    'far',
    `
    9A     CALLF Ap not64
    EA     JMPF Ap not64
    FF /3  CALLF Mp
    FF /5  JMPF Mp
    CB     RETF
    CA     RETF Iw
    CF     IRET`,
  ),
  ...parse(
    'interrupt',
    `
    CC  INT3
    CD  INT Ib
    CE  INTO not64
    F1  INT1`,
  ),
  ...parse(
    'table',
    `
    0F: 01 /0 SGDT Mt
    0F: 01 /1 SIDT Mt
    0F: 01 /2 LGDT Mt cpl0
    0F: 01 /3 LIDT Mt cpl0
    0F: 00 /0 SLDT Ev protected
    0F: 00 /1 STR Ev protected
    0F: 00 /2 LLDT Ew protected cpl0
    0F: 00 /3 LTR Ew protected cpl0`,
  ),
  ...parse(
    'probe',
    `
    0F: 02    LAR Gv,Ew protected
    0F: 03    LSL Gv,Ew protected
    0F: 00 /4 VERR Ew protected
    0F: 00 /5 VERW Ew protected
    63        ARPL Ew,Gw protected`,
  ),
  ...parse(
    'control',
    `
    0F: 01 /4 SMSW Ev
    0F: 01 /6 LMSW Ew cpl0
    0F: 06    CLTS cpl0
    0F: 20    MOV Rq,Cq cpl0
    0F: 22    MOV Cq,Rq cpl0
    F4        HLT cpl0`,
  ),
  ...parse(
    'debug',
    `
    0F: 21 MOV Rq,Dq cpl0
    0F: 23 MOV Dq,Rq cpl0`,
  ),
  ...parse(
    'msr',
    `
    0F: 30 WRMSR cpl0
    0F: 32 RDMSR cpl0
    0F: 01 =D0 NP XGETBV
    0F: 01 =D1 NP XSETBV cpl0`,
  ),
  ...parse(
    'time',
    `
    0F: 31 RDTSC
    0F: 33 RDPMC
    0F: A2 CPUID
    0F: 01 =F9 NP RDTSCP ?rdtscp
    0F: C7 /7 r F3 RDPID Rq ?rdpid`,
  ),
  ...parse(
    'cache',
    `
    90 F3         PAUSE
    90            NOP
    0F: 08        INVD cpl0
    0F: 09        WBINVD cpl0
    0F: 01 /7 m   INVLPG Mb cpl0
    0F38 82 66    INVPCID Gy,Mx cpl0 ?invpcid
    0F: AE /7 m NP CLFLUSH Mb
    0F: AE /5 r NP LFENCE
    0F: AE /6 r NP MFENCE
    0F: AE /7 r NP SFENCE
    0F: 01 =C8 NP MONITOR cpl0 ?monitor
    0F: 01 =C9 NP MWAIT cpl0 ?monitor
    9B            WAIT`,
  ),
  ...parse(
    'call',
    `
    0F: 05 SYSCALL
    0F: 07 SYSRET cpl0
    0F: 34 SYSENTER
    0F: 35 SYSEXIT cpl0`,
  ),
  ...parse(
    'io',
    `
    E4 IN AL,Ib
    E5 IN eAX,Ib
    EC IN AL,DX
    ED IN eAX,DX
    E6 OUT Ib,AL
    E7 OUT Ib,eAX
    EE OUT DX,AL
    EF OUT DX,eAX
    6C INSB
    6D INS
    6E OUTSB
    6F OUTS`,
  ),
  ...parse(
    'undefined',
    `
    0F: 0B        UD2
    0F: B9        UD1 Gv,Ev
    0F: FF        UD0 Gv,Ev
    FE /2         UDFE2 Eb
    FE /3         UDFE3 Eb
    FE /4         UDFE4 Eb
    FE /5         UDFE5 Eb
    FE /6         UDFE6 Eb
    FE /7         UDFE7 Eb
    FF /7         UDFF7 Ev
    0F: BA /0     UDBA0 Ev
    0F: BA /1     UDBA1 Ev
    0F: BA /2     UDBA2 Ev
    0F: BA /3     UDBA3 Ev
    0F: 78 NP     VMREAD Ey,Gy
    0F: 79 NP     VMWRITE Gy,Ey
    0F: 01 =C2 NP VMLAUNCH
    0F: 01 =C3 NP VMRESUME
    0F: 01 =C4 NP VMXOFF
    0F: C7 /6 m NP VMPTRLD Mq
    0F: C7 /7 m NP VMPTRST Mq
    0F: C7 /6 m 66 VMCLEAR Mq
    0F: C7 /6 m F3 VMXON Mq`,
  ),
];
