// Where what was seen differs from a permitted ending: field by field, byte by byte, each difference with what it is about.
// What a target does not show, and what the manual leaves undefined, is skipped.

import type { Memory } from '../clause.ts';
import { bigOf, flag, gpr, hex, low, numberOf, segments, statusFlags } from './bits.ts';
import { type Difference, type Ending, type FrameWord, type InstructionsGhost, type Kind, wordOf } from './ghost.ts';
import { asForetold, generalAsForetold, segmentsAsForetold, systemAsForetold } from './same.ts';
import { tablesOf } from './tables.ts';
import type { CpuState, SeenSegment, SeenState, Segment, TableRegister } from './vocabulary.ts';

/** Selector apart, what a segment register holds; AVL counts, undefined bits of the access rights do not. */
const accessMask = 0x1f0ff;
const systemNames = [
  'cr0',
  'cr3',
  'cr4',
  'cr8',
  'efer',
  'dr0',
  'dr1',
  'dr2',
  'dr3',
  'dr7',
  'star',
  'lstar',
  'cstar',
  'sfmask',
  'kernelGsBase',
  'sysenterCs',
  'sysenterEsp',
  'sysenterEip',
  'tscAux',
] as const;
const systemSegments = ['ldtr', 'tr'] as const;
const none: readonly never[] = [];
type Add = (kind: Kind, what: string, expected: bigint | number | string, saw: bigint | number | string, bits?: number) => void;

const segmentDiffers = (e: Ending, name: string, expected: Segment, saw: SeenSegment, add: Add, kind: Kind): void => {
  if (((expected.selector ^ saw.selector) & ~low(e.open.get(`${name}.rpl`) ?? 0n)) !== 0) add(kind, name, expected.selector, saw.selector);
  const hidden: Kind = kind === 'segment' || kind === 'handler' ? 'hidden' : kind;
  const unusable = (expected.access & 0x10000) !== 0;
  // A null selector in SS of 64-bit mode: that it is unusable shows nowhere.
  if (unusable && name === 'ss' && (expected.selector & 0xfffc) === 0) return;
  if (saw.access !== undefined) {
    const open = low(e.open.get(`${name}.access`) ?? 0n);
    // A null selector in SS of 64-bit mode and an unusable register have no other attributes that an instruction could find.
    const mask = (unusable ? 0x10000 : accessMask) & ~open;
    const seen = (saw.access & 0x80) === 0 ? saw.access | 0x10000 : saw.access;
    if ((expected.access & mask) !== (seen & mask)) add(hidden, `${name}.access`, expected.access, saw.access);
  }
  if (unusable) return;
  if (saw.base !== undefined && ((expected.base ^ saw.base) & ~(e.open.get(`${name}.base`) ?? 0n)) !== 0n)
    add(hidden, `${name}.base`, expected.base, saw.base);
  if (saw.limit !== undefined && !e.open.has(`${name}.limit`) && expected.limit !== saw.limit)
    add(hidden, `${name}.limit`, expected.limit, saw.limit);
};
const sameSegment = (a: Segment, b: Segment): boolean =>
  a === b || (a.selector === b.selector && a.base === b.base && a.limit === b.limit && a.access === b.access);

const compareFlags = (g: InstructionsGhost, e: Ending, saw: bigint, rest: Kind, expected: bigint, mask: number, add: Add): void => {
  const open = low(e.open.get('rflags') ?? 0n);
  const differs = (low(saw) ^ low(expected)) & mask & ~open;
  if (differs === 0) return;
  const say = (kind: Kind, bits: number): void => add(kind, 'rflags', hex(low(expected) & mask), hex(low(saw) & mask), bits);
  const status = statusFlags | flag.DF;
  const mnemonic = g.expected.instruction?.form.mnemonic;
  const silent = !e.fault && (mnemonic === 'POPF' || mnemonic === 'IRET');
  // The flags of a task that an event has led to are not the instruction's.
  const written = e.switched && e.frame?.task !== true ? 0 : e.flagsWritten;
  const others = differs & ~written;
  if ((differs & written) !== 0) say('flags', differs & written);
  if ((others & flag.RF) !== 0) say(rest, others);
  else if (others !== 0) say(silent && rest !== 'handler' ? 'flags.silent' : (others & status) !== 0 ? 'flags.kept' : rest, others);
};

const registers = (g: InstructionsGhost, e: Ending, state: SeenState, before: CpuState, memory: Memory, add: Add): void => {
  const delivered = e.frame !== undefined;
  const task = e.switched;
  const image = wordOf(e.frame, 'rflags')?.at;
  // Where the frame was seen, its image tells of the instruction, and the running flags of delivery alone.
  const told = image !== undefined && memory.known(image, e.frame?.size ?? 2);
  for (const name of generalAsForetold(e.s, state) ? none : gpr) {
    const saw = state[name];
    if (saw === undefined) continue;
    const expected = e.s[name];
    if (expected === saw) continue;
    if (((expected ^ saw) & ~(e.open.get(name) ?? 0n)) === 0n) continue;
    const changed = e.completed[name] !== before[name];
    if (task && expected !== e.completed[name]) add('task', name, expected, saw);
    else add(name === 'rsp' && delivered ? 'handler' : changed ? 'result' : 'kept', name, expected, saw);
  }
  if (state.rip !== undefined && state.rip !== e.s.rip && !e.open.has('rip'))
    add(task ? 'task' : delivered ? 'handler' : 'rip', 'rip', e.s.rip, state.rip);
  if (state.rflags !== undefined) {
    const mask = g.ring3 ? 0x3fffff & ~(delivered ? 0 : flag.RF) : statusFlags | flag.DF;
    if (!told) compareFlags(g, e, state.rflags, delivered ? 'handler' : 'flags.kept', e.s.rflags, mask, add);
    else {
      const bits = (low(state.rflags) ^ low(e.s.rflags)) & mask & ~low(e.open.get('rflags') ?? 0n);
      if (bits !== 0) add(task ? 'task' : 'handler', 'rflags', low(e.s.rflags) & mask, low(state.rflags) & mask, bits);
    }
  }
  if (!g.ring3) return;
  for (const name of segmentsAsForetold(e.s, state) ? none : segments) {
    const saw = state[name];
    if (saw === undefined) continue;
    if (e.open.get(`${name}.null`) === BigInt(saw.selector) || e.open.has(`${name}.selector`)) continue;
    const expected = e.s[name];
    // Of a null selector a host's own return to ring 3 takes the RPL away: which of the four it was is not to be seen.
    if (!g.system && saw.selector < 4 && expected.selector < 4) continue;
    const delivery = !sameSegment(expected, e.completed[name]);
    const kind: Kind = delivery ? (task ? 'task' : 'handler') : sameSegment(expected, before[name]) ? 'segment.kept' : 'segment';
    segmentDiffers(e, name, expected, saw, add, kind);
  }
};
const tableDiffers = (name: string, expected: TableRegister, saw: TableRegister | undefined, before: TableRegister, add: Add): void => {
  if (saw === undefined || (saw.base === expected.base && saw.limit === expected.limit)) return;
  const kept = expected.base === before.base && expected.limit === before.limit;
  add(kept ? 'system.kept' : 'system', name, `${hex(expected.base)}/${hex(expected.limit)}`, `${hex(saw.base)}/${hex(saw.limit)}`);
};
const systemFields = (e: Ending, state: SeenState, before: CpuState, add: Add): void => {
  for (const name of systemNames) {
    const saw = state[name];
    if (saw === undefined || saw === e.s[name]) continue;
    if (((e.s[name] ^ saw) & ~(e.open.get(name) ?? 0n)) === 0n) continue;
    if (e.switched && e.s[name] !== e.completed[name]) add('task', name, e.s[name], saw);
    else add(e.s[name] === before[name] ? 'system.kept' : 'system', name, e.s[name], saw);
  }
};
const systemRegisters = (e: Ending, state: SeenState, before: CpuState, add: Add): void => {
  if (!systemAsForetold(e.s, state)) systemFields(e, state, before, add);
  for (const name of asForetold(e.s.ldtr, state.ldtr) && asForetold(e.s.tr, state.tr) ? none : systemSegments) {
    const saw = state[name];
    if (saw === undefined) continue;
    const switched = e.switched && !sameSegment(e.s[name], e.completed[name]);
    segmentDiffers(e, name, e.s[name], saw, add, switched ? 'task' : sameSegment(e.s[name], before[name]) ? 'system.kept' : 'system');
  }
  tableDiffers('gdtr', e.s.gdtr, state.gdtr, before.gdtr, add);
  tableDiffers('idtr', e.s.idtr, state.idtr, before.idtr, add);
  const { cr2, dr6 } = state;
  if (cr2 !== undefined && cr2 !== e.s.cr2 && !e.open.has('cr2'))
    add(e.s.cr2 === before.cr2 ? 'system.kept' : e.vector === 14 ? 'cr2' : 'system', 'cr2', e.s.cr2, cr2);
  if (dr6 !== undefined && dr6 !== e.s.dr6 && ((dr6 ^ e.s.dr6) & ~(e.open.get('dr6') ?? 0n)) !== 0n)
    add(e.s.dr6 === before.dr6 ? 'system.kept' : 'dr6', 'dr6', e.s.dr6, dr6);
};

const frameKind: Readonly<Record<FrameWord, Kind>> = {
  error: 'frame.error',
  rip: 'frame.rip',
  rflags: 'frame.flags',
  cs: 'frame.selector',
  ss: 'frame.stack',
  rsp: 'frame.stack',
  es: 'frame.selector',
  ds: 'frame.selector',
  fs: 'frame.selector',
  gs: 'frame.selector',
};
/** A word of memory, little-endian; undefined where it was never seen. */
export const word = (memory: Memory, at: number, size: number): bigint | undefined => {
  if (!memory.known(at, size)) return undefined;
  const whole = size === 8 ? memory.u64(at) : size === 4 ? memory.u32(at) : memory.u16(at);
  return typeof whole === 'number' ? bigOf(whole) : whole;
};
/** Where the handler's stack pointer is not where the frame is due, what stands there tells nothing of the words: whether a byte that was
 *  changed lies in the frame that was pushed elsewhere. */
const elsewhere = (e: Ending, state: SeenState): ((d: Difference) => boolean) | undefined => {
  if (e.frame === undefined || e.frame.task === true || state.rsp === undefined || state.rsp === e.s.rsp) return undefined;
  const start = Number(state.rsp + (e.frame.size === 8 ? 0n : (state.ss?.base ?? 0n)));
  const end = start + 4 * (e.frame.words.length + 1) + 4 * e.frame.size;
  return ({ what }) => what.startsWith('byte ') && parseInt(what.slice(5), 16) >= start && parseInt(what.slice(5), 16) < end;
};
/** Whether a byte ends the page below one whose first byte faults. */
const splits = (e: Ending, { what }: Difference): boolean =>
  e.vector === 14 && (e.s.cr2 & 0xfffn) === 0n && what.startsWith('byte ') && (parseInt(what.slice(5), 16) & 0xfff) >= 0xff8;
const frame = (g: InstructionsGhost, e: Ending, memory: Memory, add: Add): void => {
  if (e.frame === undefined) return;
  const { size, words } = e.frame;
  for (const { name, at, value: expected, loose } of words) {
    const saw = word(memory, at, size);
    if (saw === undefined) continue;
    if (expected === saw || ((expected ^ saw) & ~loose) === 0n) continue;
    if (name === 'rflags') compareFlags(g, e, saw, 'frame.flags', expected, (size === 2 ? 0xffff : 0x3fffff) & ~low(loose), add);
    else add(frameKind[name], `saved ${name}`, expected, saw);
  }
};
/** Whether bytes lie in one word of the frame, whose words start at `starts`. */
const inWord = (starts: readonly number[], size: number, from: number, length: number): boolean => {
  for (const at of starts) if (from >= at && from + length <= at + size) return true;
  return false;
};
const bytes = (g: InstructionsGhost, e: Ending, before: CpuState, memory: Memory, add: Add): void => {
  for (const [at, expected] of e.stores) {
    const mark = e.marks.get(at);
    if (mark === 'frame') continue;
    const saw = memory.u8(at);
    if (saw === undefined || ((saw ^ expected) & ~(e.loose.get(at) ?? 0)) === 0 || !memory.known(at, 1)) continue;
    add(mark ?? 'store', `byte ${hex(at)}`, expected, saw);
  }
  const paging = (low(before.cr0) & 0x80000000) !== 0;
  const wide = (low(before.cr4) & 0x20) !== 0 ? 8 : 4;
  let found: ReadonlySet<number> | undefined;
  const inTable = (where: number): boolean => (found ??= tablesOf(before, memory)).has(where >> 12);
  // Words of a frame lie in one piece, or are among the stores.
  const starts: number[] = [];
  if (e.frame !== undefined && g.written.length > 0) for (const { at } of e.frame.words) starts.push(at);
  const size = e.frame?.size ?? 0;
  for (const { at: start, bytes: seen } of g.written) {
    const at = numberOf(start);
    if (inWord(starts, size, at, seen.length)) continue;
    for (let k = 0; k < seen.length; k++) {
      const where = at + k;
      if (inWord(starts, size, where, 1) || e.stores.has(where) || e.perhaps.has(where)) continue;
      const saw = seen[k] as number;
      if (e.around.get(where) === saw) continue;
      // An accessed flag may be set ahead of need (SDM volume 3, Accessed and Dirty Flags), with the entry written back whole.
      if (paging && inTable(where) && ((memory.u8(where & -wide) ?? 0) & 0x21) === 0x21) continue;
      add('stray', `byte ${hex(where)}`, 'unchanged', saw);
    }
  }
};
const ports = (g: InstructionsGhost, e: Ending, add: Add): void => {
  const show = (list: InstructionsGhost['ports']): string =>
    list.map((p) => `${p.direction} ${hex(p.port)} ${p.width}${p.direction === 'out' ? ` ${hex(p.value)}` : ''}`).join(', ') || 'none';
  if (e.ports.length === 0 && g.ports.length === 0) return;
  const expected = show(e.ports);
  const saw = show(g.ports);
  if (expected !== saw) add('port', 'port accesses', expected, saw);
};

export const differences = (
  g: InstructionsGhost,
  e: Ending,
  state: SeenState,
  before: CpuState,
  memory: Memory,
  seesPorts: boolean,
): readonly Difference[] => {
  const list: Difference[] = [];
  const add: Add = (kind, what, expected, saw, bits) => {
    const show = (v: bigint | number | string): string => (typeof v === 'string' ? v : hex(v));
    list.push({ kind, what, expected: show(expected), saw: show(saw), ...(bits === undefined ? {} : { bits }) });
  };
  if (e.by !== 'shutdown') {
    registers(g, e, state, before, memory, add);
    if (g.system) systemRegisters(e, state, before, add);
    const first = list.length;
    frame(g, e, memory, add);
    const ofFrame = list.length;
    bytes(g, e, before, memory, add);
    for (let i = ofFrame; i < list.length; i++) {
      const d = list[i] as Difference;
      if (d.kind === 'stray' && splits(e, d)) list[i] = { ...d, as: 'part of a store whose other page faults' };
    }
    const there = elsewhere(e, state);
    if (there !== undefined)
      for (let i = first; i < list.length; i++) {
        const d = list[i] as Difference;
        if (i < ofFrame || there(d)) list[i] = { ...d, as: `frame of ${e.frame?.size}-byte words elsewhere` };
      }
  }
  if (seesPorts) ports(g, e, add);
  return list;
};
