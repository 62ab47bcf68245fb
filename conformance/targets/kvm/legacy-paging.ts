// Whether KVM runs a guest with paging outside IA-32e mode at all: one that halts at once is tried, with 32-bit paging and with PAE paging.
// The module kvm_pvm of Linux 6.18 runs none; then each such run would be a shutdown after a dozen microseconds, and nothing more.

import { exits, type Kvm, run } from '../host/kvm.ts';
import { sregs } from './layout.ts';

export interface LegacyPaging {
  readonly bits32: boolean;
  readonly pae: boolean;
}
const HLT = 0xf4;
const size = 0x10000;
const [directory, lower] = [0x1000, 0x2000];
/** Present, writable, page size. SDM volume 3, 32-Bit Paging; PAE Paging. */
const [present, largePage] = [0x01, 0x83];
const [PSE, PAE, PG_PE] = [0x10n, 0x20n, 0x8000_0001n];

/** Before guest memory is anybody's: it is overwritten, and left so. */
export const legacyPaging = (kvm: Kvm): LegacyPaging => {
  const tried = (cr4: bigint, tables: readonly (readonly [at: number, entry: number])[]): boolean => {
    kvm.memory.fill(0, 0, size);
    kvm.memory[0] = HLT;
    for (const [at, entry] of tables) kvm.memory.writeUInt32LE(entry, at);
    const system = kvm.sregs();
    // A flat 32-bit code segment; asm/kvm.h, struct kvm_segment.
    system.writeBigUInt64LE(0n, 0);
    system.writeUInt32LE(0xffff_ffff, 8);
    system.writeUInt16LE(8, 12);
    system.set([0xb, 1, 0, 1, 1, 0, 1, 0, 0], 14);
    system.writeBigUInt64LE(system.readBigUInt64LE(sregs.cr0) | PG_PE, sregs.cr0);
    system.writeBigUInt64LE(BigInt(directory), sregs.cr3);
    system.writeBigUInt64LE(cr4, sregs.cr4);
    kvm.page.fill(0, run.regs, run.regs + 144);
    kvm.page.writeBigUInt64LE(2n, run.regs + 136);
    system.copy(kvm.page, run.sregs);
    kvm.page.writeBigUInt64LE(3n, run.dirtyRegs);
    return kvm.enter() === 0 && kvm.page.readUInt32LE(run.reason) === exits.hlt;
  };
  kvm.place(size);
  return {
    bits32: tried(PSE, [[directory, largePage]]),
    pae: tried(PAE, [
      [directory, lower | present],
      [lower, largePage],
    ]),
  };
};
