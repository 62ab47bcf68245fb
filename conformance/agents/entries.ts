// How the agent starts: from the reset vector, from a multiboot or PVH loader, from Linux's 64-bit entry. All lead to one 32-bit routine that
// unpacks the payload, builds 4 GiB of identity mapping and enters 64-bit mode. SDM volume 3, First Instruction Executed; Initializing IA-32e Mode;
// Multiboot 0.6.96, Machine state; Xen public/arch-x86/hvm/start_info.h (PVH); Linux Documentation/arch/x86/boot.rst (64-bit entry).

import type { Assembler } from './assembler.ts';
import {
  agentCode,
  agentStack,
  before,
  compared,
  control,
  controlAt,
  controlSize,
  ends,
  magic,
  ownGdt,
  ownGdtLimit,
  ownPml4,
  pristine,
  results,
  stateIn,
  stateSize,
  usual,
  vars,
} from './map.ts';
import { emitWayBack } from './escape.ts';
import { EFER } from './launch.ts';
import { emitGreet } from './serial.ts';
import { emitFindWay, emitVectorsOn } from './vectors.ts';
import { emitWatchdog } from './watchdog.ts';

/** Offsets in the payload: what the host put together. */
export const payloadAt = {
  magic: 0,
  /** Of its code, in words of 4 bytes. */ agentSize: 4,
  control: 0x40,
  usual: 0x200,
  agent: 0x1000,
  image: 0x11000,
} as const;
/** The cases follow the image. */
export const payloadCases: number = payloadAt.image + compared;

const imm32 = (a: Assembler, r: number, value: number): void => {
  a.put(0xb8 | r);
  a.u32(value);
};
/** 32-bit protected mode, flat segments, paging off, ESI = the payload. */
export const emitUnpack = (a: Assembler): void => {
  const copy = (from: number, to: number, size: number): void => {
    a.put(0x8d, 0xb5);
    a.u32(from); // lea esi, [ebp+from]
    imm32(a, 7, to);
    imm32(a, 1, size >> 2);
    a.put(0xf3, 0xa5);
  };
  a.bits(32);
  a.label('unpack');
  a.put(0xfa, 0xfc); // cli; cld
  imm32(a, 4, agentStack);
  a.put(0x89, 0xf5); // mov ebp, esi
  for (const [port, value] of [
    [0x21, 0xff],
    [0xa1, 0xff],
  ] as const)
    a.put(0xb0, value, 0xe6, port); // all lines of both interrupt controllers masked
  emitResume(a);
  copy(payloadAt.control, control, controlSize);
  copy(payloadAt.image, 0, compared);
  copy(payloadAt.image, pristine, compared);
  copy(payloadAt.image, before, compared);
  copy(payloadAt.agent, agentCode, 0x10000);
  copy(payloadAt.usual, usual, stateSize);
  copy(payloadAt.usual, stateIn, stateSize);
  for (const at of [0, 4]) a.memory([0xc7], 0, pristine + vars.also + at, { imm: le32(0) });
  // Page tables: one PML4 entry, four PDPT entries, 2,048 pages of 2 MiB.
  imm32(a, 7, ownPml4);
  imm32(a, 1, 0x6000 >> 2);
  a.put(0x31, 0xc0, 0xf3, 0xab); // xor eax, eax; rep stosd
  a.memory([0xc7], 0, ownPml4, { imm: le32(ownPml4 + 0x1003) });
  for (let i = 0; i < 4; i++) a.memory([0xc7], 0, ownPml4 + 0x1000 + 8 * i, { imm: le32(ownPml4 + 0x2003 + 0x1000 * i) });
  imm32(a, 7, ownPml4 + 0x2000);
  imm32(a, 0, 0x83);
  imm32(a, 1, 2048);
  a.label('map');
  a.put(0x89, 0x07, 0x83, 0xc7, 0x08, 0x05); // mov [edi], eax; add edi, 8; add eax, 2 MiB
  a.u32(0x200000);
  a.put(0x49, 0x75); // dec ecx; jnz
  a.rel8('map');
  // Variables: next case and result, how many.
  a.memory([0x8b], 0, control + controlAt.casesAt);
  a.put(0x01, 0xe8); // add eax, ebp
  a.memory([0x89], 0, vars.nextCase);
  a.memory([0xc7], 0, vars.nextCase + 4, { imm: le32(0) });
  a.memory([0xc7], 0, vars.nextResult, { imm: le32(results) });
  a.memory([0xc7], 0, vars.nextResult + 4, { imm: le32(0) });
  a.memory([0x8b], 0, control + controlAt.cases);
  a.memory([0x89], 0, vars.casesLeft);
  a.memory([0xc7], 0, vars.casesLeft + 4, { imm: le32(0) });
  a.memory([0xc7], 0, vars.index, { imm: le32(0) });
  a.memory([0xc7], 0, vars.index + 4, { imm: le32(0) });
  a.memory([0xc7], 0, vars.stop, { imm: le32(0) });
  a.label('enterLong');
  a.memory([0x0f, 0x01], 2, vars.ownGdtr);
  imm32(a, 0, 0x220);
  a.put(0x0f, 0x22, 0xe0); // CR4: PAE, OSFXSR
  imm32(a, 0, ownPml4);
  a.put(0x0f, 0x22, 0xd8);
  imm32(a, 1, EFER);
  imm32(a, 0, 0x100);
  a.put(0x31, 0xd2, 0x0f, 0x30);
  imm32(a, 0, 0x80050031);
  a.put(0x0f, 0x22, 0xc0);
  a.put(0xea);
  a.u32(agentCode + 0x60); // the agent's start, by its own 64-bit code segment
  a.put(0x10, 0x00);
};
const le32 = (value: number): readonly number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];

/** The start of the agent proper, behind the landings: 64-bit mode, own tables. */
export const emitStart = (a: Assembler): void => {
  a.bits(64);
  a.put(0xe9);
  a.rel32('start');
  a.align(0x10);
};
export const emitStartBody = (a: Assembler): void => {
  a.bits(64);
  a.label('start');
  a.memory([0x0f, 0x01], 3, vars.ownIdtr);
  imm32(a, 0, 0x18);
  for (const field of [0, 2, 3, 4, 5]) a.put(0x8e, 0xc0 | (field << 3));
  a.put(0x48, 0xc7, 0xc4);
  a.u32(agentStack);
  emitWatchdog(a);
  emitWayBack(a);
  emitFindWay(a);
  emitVectorsOn(a, 'start');
  emitGreet(a);
  a.memory([0x80], 7, vars.stop + 1, { imm: [ends.shutdown] }); // cmp byte [stop+1], shutdown
  a.put(0x0f, 0x84);
  a.rel32('landed');
  a.put(0xe9);
  a.rel32('loop');
};
/** A triple fault resets the machine and leaves memory: the case that ran is over, and what it wrote is looked at. EBP = the payload. */
const emitResume = (a: Assembler): void => {
  a.memory([0x81], 7, control + controlAt.magic, { imm: le32(magic) });
  a.put(0x75);
  a.rel8('fresh');
  a.memory([0x83], 7, control + controlAt.resume, { imm: [1] });
  a.put(0x75);
  a.rel8('fresh');
  a.memory([0x83], 7, control + controlAt.done, { imm: [0] });
  a.put(0x75);
  a.rel8('fresh');
  // A second reset in the same case is the agent's own: rest, so that the deadline tells.
  a.memory([0x80], 7, vars.stop + 1, { imm: [ends.shutdown] });
  a.put(0x75);
  a.rel8('firstReset');
  a.put(0xfa, 0xf4, 0xeb, 0xfc);
  a.label('firstReset');
  // Code and tables anew, variables as they were; code only if it was changed, since a translator would translate all of it again.
  const from = (address: number, size: () => void): void => {
    a.put(0x8d, 0xb5);
    a.u32(payloadAt.agent + address - agentCode); // lea esi, [ebp+from]
    imm32(a, 7, address);
    size();
  };
  const codeSize = (): void => a.put(0x8b, 0x4d, payloadAt.agentSize); // mov ecx, [ebp+agentSize]
  from(agentCode, codeSize);
  a.put(0xf3, 0xa7, 0x74); // repe cmpsd; je
  a.rel8('codeStands');
  from(agentCode, codeSize);
  a.put(0xf3, 0xa5); // rep movsd
  a.label('codeStands');
  from(ownGdt, () => imm32(a, 1, (ownGdtLimit + 1) >> 2));
  a.put(0xf3, 0xa5);
  a.memory([0xc7], 0, vars.stop, { imm: le32(ends.shutdown << 8) });
  a.put(0xe9);
  a.rel32('enterLong');
  a.label('fresh');
};
/** The reset vector's 16 bytes at FFFFFFF0H, and the code it jumps to in the same 64 KiB: into protected mode, ESI = the payload. */
export const emitReset = (a: Assembler, payload: number): void => {
  a.bits(16);
  a.label('reset');
  a.put(0xfa, 0x66, 0x2e, 0x0f, 0x01, 0x16); // cli; lgdt cs:[]
  a.abs16('bootGdtr');
  a.put(0x0f, 0x20, 0xc0, 0x66, 0x25);
  a.u32(0x9fffffff);
  a.put(0x0c, 0x01, 0x0f, 0x22, 0xc0); // CR0: caches on, PE
  a.put(0x66, 0xea);
  a.abs32('reset32');
  a.put(0x08, 0x00);
  a.bits(32);
  a.label('reset32');
  flatSegments(a);
  imm32(a, 6, payload);
  a.put(0xe9);
  a.rel32('unpack');
  emitBootGdt(a);
};
export const flatSegments = (a: Assembler): void => {
  a.put(0x66, 0xb8, 0x18, 0x00);
  for (const field of [0, 2, 3, 4, 5]) a.put(0x8e, 0xc0 | (field << 3));
};
/** Flat 32-bit code at 08H, 64-bit code at 10H, data at 18H, as in the agent's own table. */
export const emitBootGdt = (a: Assembler): void => {
  a.align(8);
  a.label('bootGdt');
  a.u64(0n);
  a.u64(0x00cf9b000000ffffn);
  a.u64(0x00af9b000000ffffn);
  a.u64(0x00cf93000000ffffn);
  a.label('bootGdtr');
  a.put(0x1f, 0x00);
  a.abs32('bootGdt');
};
/** The payload begins with this. */
export const payloadMagic: number = magic;

/** 32-bit entry of multiboot and PVH loaders: protected mode, flat segments, paging off; and 64-bit entry of Linux's protocol, which leaves long
 *  mode again. `payload`: where the loader put it. */
export const emitLoaded = (a: Assembler, at: number): { readonly entry32: number; readonly entry64: number } => {
  a.bits(32);
  const entry32 = a.here();
  a.put(0xfa);
  a.memory([0x0f, 0x01], 2, a.here() + 0x100000); // lgdt, its address put in below
  const place = a.here() - 4;
  a.put(0xea);
  a.abs32('loaded32');
  a.put(0x08, 0x00);
  a.label('loaded32');
  flatSegments(a);
  imm32(a, 6, at);
  a.put(0xe9);
  a.rel32('unpack');
  a.bits(64);
  const entry64 = a.here();
  a.put(0xfa, 0x0f, 0x01, 0x15); // cli; lgdt [rip+…]
  a.rel32('bootGdtr64');
  a.put(0x6a, 0x08, 0x48, 0x8d, 0x05); // push 08H; lea rax, [left64]
  a.rel32('left64');
  a.put(0x50, 0x48, 0xcb); // push rax; retfq
  a.bits(32);
  a.label('left64');
  a.put(0x0f, 0x20, 0xc0, 0x25);
  a.u32(0x7fffffff);
  a.put(0x0f, 0x22, 0xc0, 0xb9); // CR0.PG off
  a.u32(EFER);
  a.put(0x0f, 0x32, 0x25);
  a.u32(~0x100 >>> 0);
  a.put(0x0f, 0x30, 0xe9); // EFER.LME off
  a.rel32('loaded32');
  emitUnpack(a);
  emitBootGdt(a);
  a.patch32(place, a.here() - 6);
  a.label('bootGdtr64');
  a.put(0x1f, 0x00);
  a.abs32('bootGdt');
  a.u32(0);
  return { entry32, entry64 };
};
