// What a #UD means where KVM's software emulator runs the guest (module kvm_pvm: every mode but 64-bit ring 3). The emulator also raises it
// for instructions that it does not know, so only bytes that every processor leaves undefined are believed; all else is unsupported.
//
// Seen on Linux 6.18 with kvm_pvm: UD2 in protected mode gives #UD, and so do INT3, LAR, and SSE; INT3 in ring 0 is told as an emulation failure;
// any fault with paging outside IA-32e mode, and what the module cannot run, ends in KVM_EXIT_SHUTDOWN. Hence no shutdown is believed either.

/** Where an exception came from: the frame on the handler's stack. `at` and `bytes` span the frame. */
export interface Frame {
  readonly at: number;
  readonly length: number;
  readonly rip: bigint;
  readonly cs: number;
  readonly rflags: bigint;
  /** Only where the frame has them. */
  readonly rsp?: bigint;
  readonly ss?: number;
}
export type Kind = 'real' | 'v86' | 'protected' | 'long';

/** SDM volume 3, Interrupt and Exception Handling, Stack Frame; 64-bit Mode Stack Frame. `at` is the linear address of the stack's top. */
export const frameAt = (memory: Buffer, at: number, kind: Kind): Frame | undefined => {
  const slot = kind === 'long' ? 8 : kind === 'real' ? 2 : 4;
  if (at < 0 || at + 9 * slot > memory.length) return undefined;
  const read = (i: number): bigint =>
    slot === 8
      ? memory.readBigUInt64LE(at + 8 * i)
      : BigInt(slot === 4 ? memory.readUInt32LE(at + 4 * i) : memory.readUInt16LE(at + 2 * i));
  const cs = Number(read(1)) & 0xffff;
  const outer = kind === 'long' || (kind !== 'real' && (cs & 3) !== 0);
  const slots = kind === 'v86' ? 9 : outer ? 5 : 3;
  const basic = { at, length: slots * slot, rip: read(0), cs, rflags: read(2) };
  return outer || kind === 'v86' ? { ...basic, rsp: read(3), ss: Number(read(4)) & 0xffff } : basic;
};

const not64 = new Set([
  0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd5, 0xd6, 0xea,
]);
const prefixes = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3]);
/** Index of the opcode, behind legacy prefixes and REX. */
const opcodeAt = (bytes: Uint8Array, code64: boolean): { readonly at: number; readonly locked: boolean } => {
  let at = 0;
  let locked = false;
  while (at < 14 && (prefixes.has(bytes[at] ?? 0) || bytes[at] === 0xf0)) {
    if (bytes[at] === 0xf0) locked = true;
    at++;
  }
  if (code64 && ((bytes[at] ?? 0) & 0xf0) === 0x40) at++;
  return { at, locked };
};
/** Whether these bytes are undefined on every processor: SDM volume 2, UD; Opcode Maps; MOV; Instructions not in 64-bit mode. */
export const undefinedEverywhere = (bytes: Uint8Array, mode: Kind, code64: boolean): boolean => {
  const { at, locked } = opcodeAt(bytes, code64);
  const [first = 0, second = 0] = bytes.subarray(at);
  if (first === 0x0f) {
    if (second === 0x0b || second === 0xb9 || second === 0xff) return true;
    if (second >= 0x20 && second <= 0x23) return true; // the emulator has MOV to and from control and debug registers whole
    if ((mode === 'real' || mode === 'v86') && (second === 0x00 || second === 0x02 || second === 0x03)) return true;
    return locked && second !== 0xc7;
  }
  if (locked) return true;
  if (first === 0x8e) return (second & 0x38) === 0x08 || (second & 0x30) === 0x30;
  if (first === 0x63 && (mode === 'real' || mode === 'v86')) return true;
  return code64 && not64.has(first);
};
