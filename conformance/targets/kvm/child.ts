// The process that owns /dev/kvm: works through the requests in the memory it shares with its parent, and leaves a record of every run.
// It says hello in the control page, with what KVM offers or why there is none, and ends when its parent does.

import { existsSync } from 'node:fs';
import { bindChild } from '../host/child.ts';
import { openKvm } from '../host/kvm.ts';
import { knownMemory, type Range } from './guest-memory.ts';
import { specialCode } from './special-code.ts';
import { at, control, kind, op, recordAt, recordBytes, requestAt, sharedBytes, sregs } from './layout.ts';
import { legacyPaging } from './legacy-paging.ts';
import { tickMs } from './patience.ts';
import { type Ended, openVcpu, type Stops } from './vcpu.ts';

/** Largest guest memory, bytes. */
export const memoryMax: number = 4 << 20;
const HLT = 0xf4;
const TF = 0x100;
/** Room that a run's record must find: a program's answer never depends on what stands before it. */
const reserve = 1 << 20;

const serve = async (): Promise<void> => {
  const { shared, next, answer } = await bindChild(sharedBytes);
  const words = new Uint32Array(shared.buffer, shared.byteOffset, shared.length >> 2);
  const say = (greeting: object): void => {
    const text = Buffer.from(JSON.stringify(greeting));
    text.copy(shared, control.text);
    words[control.greeting >> 2] = text.length;
  };
  const modules = ['kvm_intel', 'kvm_amd', 'kvm_pvm'].filter((name) => existsSync(`/sys/module/${name}`));
  if (!next()) return;
  const kvm = await openKvm(memoryMax).catch((error: unknown) => {
    say({ reason: error instanceof Error ? error.message : String(error) });
    answer();
    return undefined;
  });
  if (kvm === undefined) return;
  const emulates = modules.includes('kvm_pvm');
  const memory = knownMemory(kvm.memory);
  /** False once KVM's log of written pages was seen to miss one: then all memory is compared after every run. */
  let logged = true;
  /** Pages written in this run, one bit each. */
  const written = new Uint32Array(memoryMax >> 17);
  const dirtied = (): Uint32Array | undefined => {
    if (!logged) return undefined;
    const now = kvm.dirtyPages();
    for (let w = 0; w < written.length; w++) written[w] = (written[w] as number) | (now[w] as number);
    return now;
  };
  const changes = (): readonly Range[] => {
    dirtied();
    const found = memory.changes(logged ? written : undefined);
    written.fill(0);
    return found;
  };
  const paging = emulates ? legacyPaging(kvm) : { bits32: true, pae: true };
  const vcpu = openVcpu(kvm, emulates, paging, memory.furnished, dirtied);
  const entries = kvm.cpuid.readUInt32LE(0);
  const leaves = Array.from({ length: entries }, (_, i) => Array.from({ length: 7 }, (_, k) => kvm.cpuid.readUInt32LE(8 + 40 * i + 4 * k)));
  say({ module: modules.length === 0 ? 'kvm' : modules.join('+'), tellsFailures: kvm.tellsFailures, leaves, paging });
  answer();

  let stops: Stops = { at: 0, stride: 16, count: 0 };
  let record = recordAt;
  const furnish = (from: number): void => {
    const w = from >> 2;
    const word = (i: number): number => words[w + i] as number;
    const pristine = Buffer.alloc(word(2), word(3));
    stops = { at: word(4), stride: word(6), count: word(7) };
    let piece = from + 40;
    for (let i = 0; i < word(8); i++) {
      const [where, length] = [words[piece >> 2] as number, words[(piece >> 2) + 1] as number];
      shared.copy(pristine, where, piece + 8, piece + 8 + length);
      piece += 8 + ((length + 7) & ~7);
    }
    pristine.fill(HLT, stops.at, Math.min(pristine.length, stops.at + stops.stride * stops.count));
    kvm.memory.fill(0);
    memory.furnish(pristine.length, pristine);
    kvm.place(pristine.length);
    structuresOf = '';
    special.furnish(pristine);
  };
  const unsupported = (text: string): void => {
    const bytes = Buffer.from(text);
    words[record >> 2] = kind.unsupported;
    words[(record >> 2) + 2] = bytes.length;
    bytes.copy(shared, record + 16);
    const length = 16 + ((bytes.length + 7) & ~7);
    words[(record >> 2) + 1] = length;
    record += length;
  };
  const ports: number[] = [];
  const special = specialCode(kvm.memory);
  const seen = (from: number, ended: Exclude<Ended, { unsupported: string }>): void => {
    const w = record >> 2;
    const changed = changes();
    for (const { at: where, length } of changed) special.look(where, length);
    const debugged = ended.stop === 1 || ((words[(from + at.regs + 136) >> 2] as number) & TF) !== 0;
    vcpu.read(
      words,
      from,
      record,
      special.msrs,
      special.debug || debugged || ((words[(from + at.debug + 40) >> 2] as number) & 0xff) !== 0,
    );
    const inStops = (where: number): boolean => where >= stops.at && where < stops.at + stops.stride * stops.count;
    let to = record + at.end;
    for (const word of ports) {
      words[to >> 2] = word;
      to += 4;
    }
    let ranges = 0;
    for (const { at: where, length } of changed) {
      if (inStops(where)) continue;
      words[to >> 2] = where;
      words[(to >> 2) + 1] = length;
      if (length > 32) kvm.memory.copy(shared, to + 8, where, where + length);
      else for (let i = 0; i < length; i++) shared[to + 8 + i] = kvm.memory[where + i] as number;
      to += 8 + ((length + 7) & ~7);
      ranges++;
      if (to > recordAt + recordBytes - 4096) return unsupported('more changes of memory than an answer holds');
    }
    words[w] = ended.kind;
    words[w + 1] = to - record;
    words[(record + at.stop) >> 2] = ended.stop;
    words[(record + at.ports) >> 2] = ports.length >> 1;
    words[(record + at.ranges) >> 2] = ranges;
    record = to;
  };

  /** Pages that hold paging structures: 4 levels at most from the run's CR3, wherever a present entry points. */
  const structures = new Set<number>();
  const guestWords = new Uint32Array(kvm.memory.buffer, kvm.memory.byteOffset, kvm.memory.length >> 2);
  let structuresOf = '';
  const walk = (table: number, level: number, wide: boolean, large: boolean): void => {
    if (table >= kvm.memory.length >> 12 || structures.has(table)) return;
    structures.add(table);
    if (level === 1) return;
    const step = wide ? 2 : 1;
    for (let i = table << 10; i < (table + 1) << 10; i += step) {
      const entry = guestWords[i] as number;
      if ((entry & 1) !== 0 && !(large && (entry & 0x80) !== 0)) walk(entry >>> 12, level - 1, wide, true);
    }
  };
  /** Translations are kept by the processor, or by KVM where it shadows the guest's tables; memory that we change behind both makes them stale. */
  let stale = false;
  /** Whether such translations can come to be: any paged run, but where the emulator walks the guest's tables itself. A run that begins in
   *  emulated ring 0 of IA-32e mode may end in ring 3. */
  const translates = (from: number): boolean => {
    const s = from + at.sregs;
    if (((words[(s + sregs.cr0) >> 2] as number) & 0x8000_0000) === 0) return false;
    return !emulates || ((words[(s + sregs.efer) >> 2] as number) & 0x400) !== 0;
  };
  const note = (from: number): void => {
    const s = from + at.sregs;
    const cr4 = words[(s + sregs.cr4) >> 2] as number;
    const long = ((words[(s + sregs.efer) >> 2] as number) & 0x400) !== 0;
    const wide = (cr4 & 0x20) !== 0;
    const levels = long ? ((cr4 & 0x1000) !== 0 ? 5 : 4) : wide ? 3 : 2;
    const cr3 = words[(s + sregs.cr3) >> 2] as number;
    const key = `${cr3} ${levels}`;
    if (key !== structuresOf) {
      structures.clear();
      walk(cr3 >>> 12, levels, wide, levels === 2);
      structuresOf = key;
    }
    watch();
  };
  const watch = (): void => {
    for (const page of memory.touched)
      if (structures.has(page)) {
        stale = true;
        structuresOf = '';
      }
  };

  const work = (): void => {
    let from = requestAt;
    record = recordAt;
    words[control.programs >> 2] = 0;
    words[control.runs >> 2] = 0;
    for (;;) {
      const what = words[from >> 2];
      if (what === op.end) return;
      if (what === op.machine) furnish(from);
      else if (what === op.program) {
        if (record + reserve > recordAt + recordBytes) return;
        memory.restore();
        special.forget();
        words[control.programs >> 2] = (words[control.programs >> 2] as number) + 1;
      } else if (what === op.write) {
        const length = words[(from >> 2) + 3] as number;
        const where = words[(from >> 2) + 2] as number;
        memory.write(where, shared, from + 16, length);
        special.look(where, length);
      } else {
        const native = translates(from);
        if (native) {
          note(from);
          if (stale) kvm.place(memory.size());
          stale = false;
        }
        ports.length = 0;
        const ended = vcpu.run(words, from, stops, ports);
        words[control.runs >> 2] = (words[control.runs >> 2] as number) + 1;
        if ('unsupported' in ended) {
          if (ended.refused !== true) {
            for (const c of changes()) special.look(c.at, c.length); // what it wrote is put back too
            if (!vcpu.stoodStill(words, from)) vcpu.doubt(special.msrs, true);
          }
          unsupported(ended.unsupported);
        } else seen(from, ended);
        if (native) watch();
      }
      from += words[(from >> 2) + 1] as number;
    }
  };
  while (next()) {
    kvm.clock(tickMs);
    work();
    // A page that the log missed would be a change not told: compare everything from now on, and do the round again.
    if (logged && memory.changes().length > 0) {
      logged = false;
      memory.restore();
      work();
    }
    kvm.clock(0);
    answer();
  }
};

await serve();
process.exit(0);
