// Whether any code in guest memory could change model-specific or debug registers, so that they are read back only then.
// Every byte that a guest executes was furnished, written by the program, or written by the guest; each is looked at when it comes.

export interface SpecialCode {
  /** WRMSR, WRMSRNS or SWAPGS stands somewhere. */
  readonly msrs: boolean;
  /** MOV to a debug register does, or what sets TF or raises #DB: POPF, IRET, SYSRET, INT1. */
  readonly debug: boolean;
  readonly furnish: (pristine: Buffer) => void;
  /** The bytes that have just changed, with their neighbours: an opcode may straddle the edge. */
  readonly look: (at: number, length: number) => void;
  /** The program's bytes are gone. */
  readonly forget: () => void;
}

/** Intel SDM volume 2, Opcode Maps: 0F 30 WRMSR; 0F 01 C6 WRMSRNS; 0F 01 F8 SWAPGS; 0F 23 MOV DR; 0F 07 SYSRET; 9D POPF; CF IRET; F1 INT1. */
const changesMsrs = (second: number, third: number): boolean => second === 0x30 || (second === 0x01 && (third === 0xc6 || third === 0xf8));

export const specialCode = (memory: Buffer): SpecialCode => {
  let furnished = false;
  let msrs = false;
  let debug = false;
  return {
    get msrs() {
      return msrs || furnished;
    },
    get debug() {
      return debug;
    },
    furnish: (pristine) => {
      furnished = false;
      for (let i = pristine.indexOf(0x0f); i >= 0 && !furnished; i = pristine.indexOf(0x0f, i + 1))
        furnished = changesMsrs(pristine[i + 1] ?? 0, pristine[i + 2] ?? 0);
    },
    look: (at, length) => {
      const end = Math.min(at + length, memory.length);
      for (let i = at < 2 ? 0 : at - 2; i < end; i++) {
        const first = memory[i];
        if (first === 0x0f) {
          const second = memory[i + 1] ?? 0;
          if (changesMsrs(second, memory[i + 2] ?? 0)) msrs = true;
          if (second === 0x23 || second === 0x07) debug = true;
        } else if (first === 0x9d || first === 0xcf || first === 0xf1) debug = true;
      }
    },
    forget: () => {
      msrs = false;
      debug = false;
    },
  };
};
