// One virtual machine with one vCPU on /dev/kvm, its registers in the kvm_run page (KVM_CAP_SYNC_REGS), and a clock that interrupts long runs.
// Numbers: linux/kvm.h and asm/kvm.h for x86-64; Linux, Documentation/virt/kvm/api.rst.

const io = (n: number): number => 0xae00 | n;
const iow = (n: number, size: number): number => 0x4000_0000 + size * 0x10000 + io(n);
const ior = (n: number, size: number): number => 0x8000_0000 + size * 0x10000 + io(n);
const iowr = (n: number, size: number): number => 0xc000_0000 + size * 0x10000 + io(n);
const KVM_GET_API_VERSION = io(0x00);
const KVM_CREATE_VM = io(0x01);
const KVM_CHECK_EXTENSION = io(0x03);
const KVM_GET_VCPU_MMAP_SIZE = io(0x04);
const KVM_GET_SUPPORTED_CPUID = iowr(0x05, 8);
const KVM_CREATE_VCPU = io(0x41);
const KVM_SET_USER_MEMORY_REGION = iow(0x46, 32);
const KVM_GET_DIRTY_LOG = iow(0x42, 16);
const KVM_RUN = io(0x80);
const KVM_GET_SREGS = ior(0x83, 312);
const KVM_GET_MSRS = iowr(0x88, 8);
const KVM_SET_MSRS = iow(0x89, 8);
const KVM_SET_CPUID2 = iow(0x90, 8);
const KVM_GET_DEBUGREGS = ior(0xa1, 128);
const KVM_SET_DEBUGREGS = iow(0xa2, 128);
const KVM_ENABLE_CAP = iow(0xa3, 104);
const KVM_GET_STATS_FD = io(0xce);
const KVM_CAP_SYNC_REGS = 74;
const KVM_CAP_BINARY_STATS_FD = 203;
const KVM_CAP_EXIT_ON_EMULATION_FAILURE = 204;
const apiVersion = 12;

/** Byte offsets in struct kvm_run. */
export const run = {
  immediateExit: 1,
  reason: 8,
  /** Taken at each KVM_RUN where the local APIC is not in the kernel, over what KVM_SET_SREGS has set. */
  cr8: 16,
  /** KVM_EXIT_IO: direction u8, size u8, port u16, count u32, data offset u64. KVM_EXIT_MMIO: data at + 8. KVM_EXIT_INTERNAL_ERROR: suberror u32. */
  exit: 32,
  validRegs: 288,
  dirtyRegs: 296,
  regs: 304,
  sregs: 448,
  events: 760,
} as const;
export const exits = { io: 2, hlt: 5, mmio: 6, shutdown: 8, failEntry: 9, internalError: 17 } as const;
const KVM_MEM_LOG_DIRTY_PAGES = 1;
const EINTR = 4;

export interface Kvm {
  readonly memory: Buffer;
  readonly page: Buffer;
  /** Enters the guest: 0, 'interrupted' by the clock, or the name of the error. */
  readonly enter: () => 0 | 'interrupted' | string;
  /** Records of 16 bytes (index u32, 0, data u64) after a count u32 and 4 bytes; how many the kernel took. */
  readonly setMsrs: (list: Buffer) => number;
  readonly getMsrs: (list: Buffer) => number;
  readonly setDebugRegs: (bytes: Buffer) => boolean;
  readonly getDebugRegs: (bytes: Buffer) => void;
  /** sregs as the vCPU has them, for what a user does not choose. */
  readonly sregs: () => Buffer;
  /** Gives the guest that much memory, and forgets every translation that the kernel or the processor keeps. */
  readonly place: (size: number) => void;
  /** One bit a page of 4 KiB: what the guest wrote since the last call. The same words each time. */
  readonly dirtyPages: () => Uint32Array;
  /** A count u32, 4 bytes, and entries of 40 bytes: function, index, flags, eax, ebx, ecx, edx. */
  readonly cpuid: Buffer;
  /** Whether what the kernel cannot emulate is told from an undefined instruction, in every ring. */
  readonly tellsFailures: boolean;
  /** Instructions that the kernel's emulator has taken on for this vCPU so far; 0 for ever where the kernel does not count them. */
  readonly emulated: () => number;
  /** A signal each so many milliseconds, or none: it makes `enter` return. */
  readonly clock: (milliseconds: number) => void;
}

/** Throws with a one-line reason where the device is missing or not usable. `memoryMax` in bytes. */
export const openKvm = async (memoryMax: number): Promise<Kvm> => {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const open = libc.func('open', 'int', ['str', 'int']);
  const ioctlInt = libc.func('ioctl', 'int', ['int', 'ulong', 'int64']);
  const ioctlBuffer = libc.func('ioctl', 'int', ['int', 'ulong', 'void *']);
  const mmap = libc.func('mmap', 'int64', ['uint64', 'size_t', 'int', 'int', 'int', 'int64']);
  const sigaction = libc.func('sigaction', 'int', ['int', 'void *', 'void *']);
  const setitimer = libc.func('setitimer', 'int', ['int', 'void *', 'void *']);
  const names = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));
  const errno = (): string => names.get(koffi.errno()) ?? String(koffi.errno());
  const checked = (call: string, value: number | bigint): number => {
    if (value < 0) throw new Error(`${call}: ${errno()}`);
    return Number(value);
  };
  const [PROT_RW, PROT_RWX, SHARED, PRIVATE_ANONYMOUS] = [3, 7, 1, 0x22];
  const map = (size: number, protection: number, flags: number, fd: number): bigint => {
    const got = BigInt(mmap(0n, size, protection, flags, fd, 0));
    if (got === -1n) throw new Error(`mmap: ${errno()}`);
    return got;
  };
  const O_RDWR_CLOEXEC = 0o2000002;
  const device = checked('/dev/kvm', open('/dev/kvm', O_RDWR_CLOEXEC));
  const version = checked('KVM_GET_API_VERSION', ioctlInt(device, KVM_GET_API_VERSION, 0));
  if (version !== apiVersion) throw new Error(`KVM API version ${version}, not ${apiVersion}`);
  const has = (capability: number): boolean => ioctlInt(device, KVM_CHECK_EXTENSION, capability) > 0;
  if (!has(KVM_CAP_SYNC_REGS)) throw new Error('this KVM lacks KVM_CAP_SYNC_REGS');
  const cpuid = Buffer.alloc(8 + 40 * 256);
  cpuid.writeUInt32LE(256, 0);
  checked('KVM_GET_SUPPORTED_CPUID', ioctlBuffer(device, KVM_GET_SUPPORTED_CPUID, cpuid));

  const vm = checked('KVM_CREATE_VM', ioctlInt(device, KVM_CREATE_VM, 0));
  const tellsFailures = has(KVM_CAP_EXIT_ON_EMULATION_FAILURE);
  if (tellsFailures) {
    const enable = Buffer.alloc(104);
    enable.writeUInt32LE(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 0);
    enable.writeBigUInt64LE(1n, 8);
    checked('KVM_ENABLE_CAP', ioctlBuffer(vm, KVM_ENABLE_CAP, enable));
  }
  const memoryAt = map(memoryMax, PROT_RW, PRIVATE_ANONYMOUS, -1);
  const region = Buffer.alloc(32);
  region.writeUInt32LE(KVM_MEM_LOG_DIRTY_PAGES, 4);
  region.writeBigUInt64LE(memoryAt, 24);
  const bitmap = Buffer.alloc(Math.max(4096, memoryMax >> 15));
  const log = Buffer.alloc(16);
  log.writeBigUInt64LE(BigInt(koffi.address(bitmap)), 8);
  const bits = new Uint32Array(bitmap.buffer, bitmap.byteOffset, bitmap.length >> 2);
  let placed = 0;
  const place = (size: number): void => {
    for (const length of placed === 0 ? [size] : [0, size]) {
      region.writeBigUInt64LE(BigInt(length), 16);
      checked('KVM_SET_USER_MEMORY_REGION', ioctlBuffer(vm, KVM_SET_USER_MEMORY_REGION, region));
    }
    placed = size;
  };
  const vcpu = checked('KVM_CREATE_VCPU', ioctlInt(vm, KVM_CREATE_VCPU, 0));
  checked('KVM_SET_CPUID2', ioctlBuffer(vcpu, KVM_SET_CPUID2, cpuid));
  const pageBytes = checked('KVM_GET_VCPU_MMAP_SIZE', ioctlInt(device, KVM_GET_VCPU_MMAP_SIZE, 0));
  const page = Buffer.from(koffi.view(map(pageBytes, PROT_RW, SHARED, vcpu), pageBytes));

  // struct kvm_stats_header: flags, name_size, num_desc, id_offset, desc_offset, data_offset, u32 each; kvm_stats_desc: flags u32, exponent s16,
  // size u16, offset u32, bucket_size u32, name. Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD.
  const pread = libc.func('pread', 'int64', ['int', 'void *', 'size_t', 'int64']);
  const count = Buffer.alloc(8);
  const statistic = (name: string): (() => number) => {
    if (!has(KVM_CAP_BINARY_STATS_FD)) return () => 0;
    const fd = checked('KVM_GET_STATS_FD', ioctlInt(vcpu, KVM_GET_STATS_FD, 0));
    const header = Buffer.alloc(24);
    checked('pread', pread(fd, header, header.length, 0));
    const bytes = 16 + header.readUInt32LE(4);
    const all = Buffer.alloc(bytes * header.readUInt32LE(8));
    checked('pread', pread(fd, all, all.length, header.readUInt32LE(16)));
    for (let i = 0; i < all.length; i += bytes) {
      if (!all.toString('latin1', i + 16, i + bytes).startsWith(`${name}\0`)) continue;
      const where = header.readUInt32LE(20) + all.readUInt32LE(i + 8);
      return () => (pread(fd, count, 8, where) === 8 ? Number(count.readBigUInt64LE(0)) : 0);
    }
    return () => 0;
  };

  // The handler of the clock's signal is one RET: that it came is enough to make KVM_RUN return.
  const [SIGALRM, ITIMER_REAL] = [14, 0];
  const handler = map(4096, PROT_RWX, PRIVATE_ANONYMOUS, -1);
  Buffer.from(koffi.view(handler, 4096)).writeUInt8(0xc3, 0);
  const action = Buffer.alloc(152); // glibc's struct sigaction
  action.writeBigUInt64LE(handler, 0);
  checked('sigaction', sigaction(SIGALRM, action, null));
  const interval = Buffer.alloc(32);
  return {
    memory: Buffer.from(koffi.view(memoryAt, memoryMax)),
    page,
    enter: () => {
      if (ioctlInt(vcpu, KVM_RUN, 0) >= 0) return 0;
      return koffi.errno() === EINTR ? 'interrupted' : errno();
    },
    setMsrs: (list) => ioctlBuffer(vcpu, KVM_SET_MSRS, list) as number,
    getMsrs: (list) => ioctlBuffer(vcpu, KVM_GET_MSRS, list) as number,
    setDebugRegs: (bytes) => ioctlBuffer(vcpu, KVM_SET_DEBUGREGS, bytes) === 0,
    getDebugRegs: (bytes) => void checked('KVM_GET_DEBUGREGS', ioctlBuffer(vcpu, KVM_GET_DEBUGREGS, bytes)),
    sregs: () => {
      const bytes = Buffer.alloc(312);
      checked('KVM_GET_SREGS', ioctlBuffer(vcpu, KVM_GET_SREGS, bytes));
      return bytes;
    },
    place,
    dirtyPages: () => {
      checked('KVM_GET_DIRTY_LOG', ioctlBuffer(vm, KVM_GET_DIRTY_LOG, log));
      return bits;
    },
    cpuid,
    tellsFailures,
    emulated: statistic('insn_emulation'),
    clock: (milliseconds) => {
      for (const half of [0, 16]) interval.writeBigInt64LE(BigInt(milliseconds * 1000), half + 8);
      checked('setitimer', setitimer(ITIMER_REAL, interval, null));
    },
  };
};
