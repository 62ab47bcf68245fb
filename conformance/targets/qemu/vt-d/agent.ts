// A firmware image whose processor takes every interrupt and writes its vector to a log: what the interrupt fabric delivered can be read.
// Intel SDM volume 3: First Instruction Executed, Interrupt Descriptor Table, Local APIC registers; 8259A: ICW1 to ICW4. RAM is never touched.

/** Where the log lies: shared memory in a BAR, so that the guest's own memory stays the program's. */
export const logAt = 0xf000_0000;
/** Offsets in the log: entries written so far, 1 once ready, the last barrier asked for and the last answered, the ring of entries (vector, bit 8: level). */
export const log = { count: 0, ready: 4, answered: 8, asked: 12, entries: 16, slots: 512 } as const;
export const logSize = 4096;
/** The line of the 8259A that asks the processor for a sign of life; it waits until no APIC interrupt is pending. */
export const barrierLine = 5;

const picBase = 0x10;
const romBase = 0xffff_0000;
const local = (register: number): number => 0xfee0_0000 + register;
const EOI = 0xb0;
const SPURIOUS = 0xf0;
const LVT0 = 0x350;
const TMR = 0x180;
const enabled = 0x1ff; // APIC software enable, spurious vector 255
const extInt = 0x700;
const code = 0x08;
const data = 0x10;
const at = {
  gdt: 0x80,
  gdtr: 0xa0,
  idtr: 0xa8,
  real: 0x100,
  flat: 0x200,
  common: 0x300,
  stubs: 0x1000,
  idt: 0x3000,
  reset: 0xfff0,
} as const;
const stubSize = 16;

const u16 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff];
const u32 = (v: number): number[] => [...u16(v), ...u16(v >>> 16)];
const store = (address: number, value: number): number[] => [0xc7, 0x05, ...u32(address), ...u32(value)]; // mov dword [address], value
const increment = (address: number): number[] => [0xff, 0x05, ...u32(address)]; // inc dword [address]
const outb = (port: number, value: number): number[] => [0xb0, value, 0xe6, port]; // mov al, value; out port, al
const outl = (port: number, value: number): number[] => [0xba, ...u32(port), 0xb8, ...u32(value), 0xef]; // mov edx; mov eax; out dx, eax
const config = (slot: number, register: number, value: number): number[] => [
  ...outl(0xcf8, 0x8000_0000 + (slot << 11) + register),
  ...outl(0xcfc, value),
];

/** cr0.PE, then 32-bit flat code. */
const realMode: readonly number[] = [
  0xfa, // cli
  [0x66, 0x2e, 0x0f, 0x01, 0x16, ...u16(at.gdtr)], // lgdt cs:[gdtr]
  [0x66, 0x2e, 0x0f, 0x01, 0x1e, ...u16(at.idtr)], // lidt cs:[idtr]
  [0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // mov eax, cr0; or al, 1; mov cr0, eax
  [0x66, 0xea, ...u32(romBase + at.flat), ...u16(code)], // jmp code:flat
].flat();
/** The BAR of the log, stack, local APIC, 8259A with automatic end of interrupt; then take interrupts for ever. */
const flat = (logSlot: number): readonly number[] =>
  [
    [0x66, 0xb8, ...u16(data), 0x8e, 0xd8, 0x8e, 0xd0, 0x8e, 0xc0], // mov ax, data; mov ds, ss, es
    ...config(logSlot, 0x18, logAt),
    ...config(logSlot, 0x1c, 0),
    ...config(logSlot, 0x04, 2), // memory space
    [0xbc, ...u32(logAt + logSize)], // mov esp
    ...store(local(SPURIOUS), enabled),
    ...store(local(LVT0), extInt),
    ...outb(0x20, 0x11),
    ...outb(0x21, picBase),
    ...outb(0x21, 4),
    ...outb(0x21, 3),
    ...outb(0x21, 0xff & ~(1 << barrierLine)),
    // What an interrupt told that came between the clearing of the log and the reset is of an earlier life.
    ...store(logAt + log.count, 0),
    ...store(logAt + log.ready, 1),
    [0xfb, 0xf4, 0xeb, 0xfc], // sti; hlt; jmp to sti
  ].flat();
/** eax holds the vector; it, ecx and edx are restored. Bit 8 of the entry comes from the trigger mode register. */
const common: readonly number[] = [
  [0x51, 0x52], // push ecx, edx
  [0x89, 0xc2, 0xc1, 0xea, 5, 0xc1, 0xe2, 4], // mov edx, eax; shr edx, 5; shl edx, 4
  [0x8b, 0x92, ...u32(local(TMR))], // mov edx, [edx + TMR]
  [0x0f, 0xa3, 0xc2, 0x19, 0xd2], // bt edx, eax; sbb edx, edx
  [0x81, 0xe2, ...u32(0x100), 0x09, 0xd0], // and edx, 256; or eax, edx
  [0x8b, 0x0d, ...u32(logAt + log.count), 0x81, 0xe1, ...u32(log.slots - 1)], // mov ecx, [count]; and ecx, slots - 1
  [0x89, 0x04, 0x8d, ...u32(logAt + log.entries)], // mov [entries + 4 ecx], eax
  ...increment(logAt + log.count),
  ...store(local(EOI), 0),
  // QEMU forgets an 8259A request that waits while an APIC interrupt is taken; masking and unmasking the line makes it ask again.
  ...outb(0x21, 0xff),
  ...outb(0x21, 0xff & ~(1 << barrierLine)),
  [0x5a, 0x59, 0x58, 0xcf], // pop edx, ecx, eax; iretd
].flat();
const stub = (vector: number): readonly number[] => {
  // push eax; mov eax, [asked]; mov [answered], eax; pop eax; iretd
  if (vector === picBase + barrierLine) return [0x50, 0xa1, ...u32(logAt + log.asked), 0xa3, ...u32(logAt + log.answered), 0x58, 0xcf];
  const here = at.stubs + stubSize * vector;
  const head = [0x50, 0xb8, ...u32(vector)]; // push eax; mov eax, vector
  return [...head, 0xe9, ...u32(at.common - (here + head.length + 5))]; // jmp common
};
const gate = (offset: number): readonly number[] => [...u16(offset), ...u16(code), 0, 0x8e, ...u16(offset >>> 16)];

/** 64 KiB below 4 GiB; the log's function sits in slot `logSlot` of bus 0, its memory in BAR 2. */
export const interruptFirmware = (logSlot: number): Uint8Array => {
  const image = new Uint8Array(0x10000).fill(0xf4);
  image.set([...u32(0), ...u32(0), ...u32(0x0000_ffff), ...u32(0x00cf_9a00), ...u32(0x0000_ffff), ...u32(0x00cf_9200)], at.gdt);
  image.set([...u16(0x17), ...u32(romBase + at.gdt)], at.gdtr);
  image.set([...u16(0x7ff), ...u32(romBase + at.idt)], at.idtr);
  image.set(realMode, at.real);
  image.set(flat(logSlot), at.flat);
  image.set(common, at.common);
  for (let vector = 0; vector < 256; vector++) {
    image.set(stub(vector), at.stubs + stubSize * vector);
    image.set(gate(romBase + at.stubs + stubSize * vector), at.idt + 8 * vector);
  }
  image.set([0xe9, ...u16(at.real - (at.reset + 3))], at.reset);
  return image;
};
