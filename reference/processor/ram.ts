// Decides what guest-physical memory is: bytes from address 0; all ones and nothing kept beyond; a device's page where one is plugged in.
// A store to a page that asks for it (flags) is noted: for the log of the run, for cheap resets, and for code decoded from the page.

/** A page's flags: what must happen on a store. */
export const CLEAN = 1;
export const CODE = 2;
export const LOGGED = 4;
const PAGE = 4096;
/** Numbers of changes that are taken back one by one; of more, whole pages are. */
export const FEW = 128;

/** A device's registers in physical memory. Offsets below `length`, naturally aligned widths of 1, 2 or 4. */
export interface Registers {
  readonly at: number;
  readonly length: number;
  readonly read: (offset: number, width: number) => number;
  readonly write: (offset: number, width: number, value: number) => void;
}
export interface Ram {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly flags: Uint8Array;
  /** Counts stores to a page that held decoded code. */
  readonly versions: Int32Array;
  /** Pages that are no longer as after the last reset. */
  readonly dirty: number[];
  readonly registers: Registers[];
  /** Stores in order: address and length of each (so many numbers), their bytes one after the other. */
  readonly log: { on: boolean; entries: Int32Array; count: number; bytes: Uint8Array; used: number };
  /** What the host has put in place since the last reset, as long as it is little: so many numbers, address and length of each. */
  readonly poked: Int32Array;
  pokes: number;
  /** Whether that and the log are all that has changed since then. */
  known: boolean;
  /** Set by a store to a page with decoded code: the block at hand ends. */
  codeChanged: boolean;
}

export const createRam = (size: number): Ram => {
  const bytes = new Uint8Array(size);
  const pages = Math.ceil(size / PAGE);
  return {
    size,
    bytes,
    view: new DataView(bytes.buffer),
    flags: new Uint8Array(pages).fill(CLEAN),
    versions: new Int32Array(pages),
    dirty: [],
    registers: [],
    log: { on: false, entries: new Int32Array(1024), count: 0, bytes: new Uint8Array(4096), used: 0 },
    poked: new Int32Array(FEW),
    pokes: 0,
    known: false,
    codeChanged: false,
  };
};

/** Called before a store inside one page whose flags are not 0. */
export const note = (ram: Ram, at: number): void => {
  const page = at >>> 12;
  const flags = ram.flags[page]!;
  if ((flags & CLEAN) !== 0) ram.dirty.push(page);
  if ((flags & CODE) !== 0) {
    ram.versions[page]!++;
    ram.codeChanged = true;
  }
  ram.flags[page] = flags & LOGGED;
};
/** Called after a store inside one page that is logged. */
export const logStore = (ram: Ram, at: number, length: number): void => {
  const { log } = ram;
  if (log.count === log.entries.length) {
    const more = new Int32Array(2 * log.entries.length);
    more.set(log.entries);
    log.entries = more;
  }
  log.entries[log.count] = at;
  log.entries[log.count + 1] = length;
  log.count += 2;
  if (log.used + length > log.bytes.length) {
    const more = new Uint8Array(2 * log.bytes.length);
    more.set(log.bytes);
    log.bytes = more;
  }
  for (let i = 0; i < length; i++) log.bytes[log.used + i] = ram.bytes[at + i]!;
  log.used += length;
};

const device = (ram: Ram, at: number): Registers | undefined => {
  for (const r of ram.registers) if (at >= r.at && at < r.at + r.length) return r;
  return undefined;
};

/** Loads `length` bytes inside one page into `into`. */
export const loadBytes = (ram: Ram, at: number, length: number, into: Uint8Array, offset: number): void => {
  if (at + length <= ram.size) {
    for (let i = 0; i < length; i++) into[offset + i] = ram.bytes[at + i]!;
    return;
  }
  const found = ram.registers.length === 0 ? undefined : device(ram, at);
  if (found === undefined) {
    into.fill(0xff, offset, offset + length);
    return;
  }
  for (let i = 0; i < length; ) {
    const width = length - i >= 4 ? 4 : length - i >= 2 ? 2 : 1;
    const value = found.read(at + i - found.at, width);
    for (let k = 0; k < width; k++) into[offset + i + k] = value >>> (8 * k);
    i += width;
  }
};
/** Stores `length` bytes of `from` inside one page. */
export const storeBytes = (ram: Ram, at: number, length: number, from: Uint8Array, offset: number): void => {
  if (at + length <= ram.size) {
    if (ram.flags[at >>> 12] !== 0) note(ram, at);
    for (let i = 0; i < length; i++) ram.bytes[at + i] = from[offset + i]!;
    if (ram.log.on) logStore(ram, at, length);
    return;
  }
  const found = ram.registers.length === 0 ? undefined : device(ram, at);
  if (found === undefined) return;
  for (let i = 0; i < length; ) {
    const width = length - i >= 4 ? 4 : length - i >= 2 ? 2 : 1;
    let value = 0;
    for (let k = 0; k < width; k++) value |= from[offset + i + k]! << (8 * k);
    found.write(at + i - found.at, width, value);
    i += width;
  }
};

/** Whether stores are reported from now on. */
export const logging = (ram: Ram, on: boolean): void => {
  const { log } = ram;
  if (log.count !== 0 || !log.on) ram.known = false;
  log.count = 0;
  log.used = 0;
  // Every page keeps its flag while the log is on.
  if (log.on === on) return;
  log.on = on;
  for (let page = 0; page < ram.flags.length; page++) {
    if (on) ram.flags[page]! |= LOGGED;
    else ram.flags[page]! &= ~LOGGED;
  }
};
/** Puts the host's bytes in place: not a store of the processor, but code decoded from there is stale. */
export const poke = (ram: Ram, at: number, bytes: Uint8Array): void => {
  for (let page = at >>> 12; page * PAGE < at + bytes.length; page++) if (ram.flags[page] !== 0) note(ram, page * PAGE);
  ram.bytes.set(bytes, at);
  if (ram.pokes === FEW) {
    ram.known = false;
    return;
  }
  ram.poked[ram.pokes] = at;
  ram.poked[ram.pokes + 1] = bytes.length;
  ram.pokes += 2;
};
/** Memory page by page, for restoring. */
export const pagesOf = (bytes: Uint8Array): readonly Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / PAGE) }, (_, page) => bytes.subarray(page * PAGE, (page + 1) * PAGE));
/** Everything back to what `from` holds, all of it and page by page. */
export const restore = (ram: Ram, from: Uint8Array, pages: readonly Uint8Array[]): void => {
  const { log } = ram;
  const few = ram.known && log.count <= FEW;
  if (few) {
    takeBack(ram, from, ram.poked, ram.pokes);
    takeBack(ram, from, log.entries, log.count);
  }
  // Taken off one by one: to set an array's length is a call out of compiled code, and what is put in next makes it grow anew.
  for (let page = ram.dirty.pop(); page !== undefined; page = ram.dirty.pop()) {
    if (!few) ram.bytes.set(pages[page]!, page * PAGE);
    ram.versions[page]!++;
    ram.flags[page] = (ram.flags[page]! & LOGGED) | CLEAN;
  }
  log.count = 0;
  log.used = 0;
  ram.pokes = 0;
  ram.known = log.on;
};
const takeBack = (ram: Ram, from: Uint8Array, changes: Int32Array, count: number): void => {
  for (let i = 0; i < count; i += 2) {
    const at = changes[i]!;
    const end = at + changes[i + 1]!;
    for (let k = at; k < end; k++) ram.bytes[k] = from[k]!;
  }
};
