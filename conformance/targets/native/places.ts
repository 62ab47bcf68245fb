// Where the parts of the native runner stand: file offsets of what it shares with its parent, and addresses that no guest can guess.
// The first part of the shared memory is that of every processor target (kvm/layout.ts).

import { sharedBytes as commonBytes } from '../kvm/layout.ts';

/** Guest memory, bytes at most; its three copies: as the guest has it, as it is known, as it was furnished. */
export const guestMax: number = 1 << 20;
export const guestAt: number = commonBytes;
export const knownAt: number = guestAt + guestMax;
export const pristineAt: number = knownAt + guestMax;
/** What a program has touched: pairs of u32, address and length. */
export const logAt: number = pristineAt + guestMax;
export const logBytes: number = 1 << 20;
/** Pages the guest can write: a count u64, then the address u64 of each. */
export const writableAt: number = logAt + logBytes;
/** The fill byte, 16 times. */
export const fillAt: number = writableAt + (1 << 16);
/** A byte for each page: 1 where it is furnished with the fill byte alone. */
export const plainAt: number = fillAt + 64;
export const plainBytes: number = guestMax >> 12;
export const sharedBytes: number = writableAt + (1 << 17);

/** Lowest address that the kernel lets a process map by default is below it (vm.mmap_min_addr), and guest code starts here. */
export const lowest = 0x10000;
export const codeBase = 0x3a57_9c41_0000n;
export const dataBase: bigint = codeBase + 0x10_0000n;
export const dataBytes = 0x4_0000;
export const sharedBase: bigint = codeBase + 0x1000_0000n;
