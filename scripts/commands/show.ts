// vmmc show: a trace for a reader, one line an event and what it means; with --step, what the judge says at each. Exit 2 where the trace ends early.

import pc from 'picocolors';
import { areas } from '../../conformance/areas.ts';
import { createJudge, type Finding, nameOf, type Tally } from '../../conformance/judge.ts';
import { judgeTrace } from '../../conformance/trace/judge.ts';
import type { Entry } from '../../conformance/trace/read.ts';
import { encodeLine } from '../../conformance/wire/events.ts';
import type { Granted, MachineConfig } from '../../spec/units.ts';

const longest = 64;
/** `at 0x40 bytes 00ff…`: a field is its name and its value, in the order of the wire. */
const words = (value: unknown): string => {
  if (typeof value === 'string') return value.length > longest ? `${value.slice(0, longest)}… (${value.length / 2} bytes)` : value;
  if (Array.isArray(value)) return value.map((v) => (typeof v === 'object' ? `{${words(v)}}` : words(v))).join(' ');
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([k, v]) => `${k} ${words(v)}`)
      .join(' ');
  return String(value);
};
type Fields = Readonly<Record<string, unknown>>;
/** Of a state that was seen, what differs from the one before it: a processor's state has some fifty fields. */
const changes = (fields: Fields, before: Fields | undefined): Fields => {
  const { state, ...others } = fields;
  if (before === undefined || typeof state !== 'object' || state === null) return fields;
  const differing = Object.entries(state).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
  return { ...others, changed: Object.fromEntries(differing) };
};
const fieldsOf = (event: Parameters<typeof encodeLine>[0]): Fields => {
  const { do: _, saw: __, ...fields } = JSON.parse(encodeLine(event)) as Fields;
  return fields;
};
const hex = (value: bigint): string => `0x${value.toString(16)}`;
/** The machine, or what was granted of it: what a reader needs to judge a capacity, a length or a feature. */
const machineOf = ({ virtio, vtd, cpu }: Pick<Granted | MachineConfig, 'virtio' | 'vtd' | 'cpu'>): string => {
  const parts: string[] = [];
  if (virtio !== undefined) {
    const { sectors, blockSize, readOnly, serial, disk } = virtio.blk;
    parts.push(
      `${virtio.device}, ${sectors} sectors in blocks of ${blockSize}${readOnly ? ', read-only' : ''}, ${disk === 'pattern' ? 'pattern on it' : 'contents unknown'}, serial ${JSON.stringify(serial)}, ` +
        `${virtio.queues} queue${virtio.queues === 1 ? '' : 's'} of at most ${virtio.queueSizeMax}, offers features ${hex(virtio.offer)}`,
    );
  }
  if (vtd !== undefined)
    parts.push(`remapping unit, CAP_REG ${hex(vtd.cap)}, ECAP_REG ${hex(vtd.ecap)}, host addresses of ${vtd.hostAddressWidth} bits`);
  if (cpu !== undefined) parts.push(`processor in ${cpu.mode}, paging ${cpu.paging}`);
  return parts.map((part) => `; ${part}`).join('');
};
/** Where the area names nothing, its scope does; there is one device. */
const subjectOf = ({ about, scope }: Finding): string => {
  const subject =
    about ??
    scope
      .replace(/^(machine|device:0)\/?/, '')
      .replaceAll('/', ' ')
      .replaceAll(':', ' ');
  return subject === '' ? '' : ` (${subject})`;
};
/** `asked`: the machine of the last reset. */
const shown = (entry: Entry, at: number, state: Fields | undefined, asked: MachineConfig | undefined): string => {
  if ('header' in entry)
    return `${pc.bold(entry.header.story)}\n${entry.header.target.name} ${entry.header.target.version}; about ${entry.header.about.join(', ')}`;
  if ('reset' in entry)
    return `machine: ${entry.reset.memory} bytes of memory filled with ${entry.reset.fill}, bus ${entry.reset.bus}${machineOf(entry.reset)}`;
  if ('granted' in entry) {
    const machine = machineOf(entry.granted);
    const otherwise = asked === undefined || machine !== machineOf(asked) ? machine : '';
    return `granted: ${entry.granted.level}, ${entry.granted.offers.join(' ')}${otherwise}`;
  }
  if ('plan' in entry) return pc.dim(`  plan ${words(entry.plan)}`);
  if ('end' in entry)
    return `verdicts:\n${Object.entries(entry.verdicts)
      .map(([c, v]) => `  ${v.padEnd(10)} ${c}`)
      .join('\n')}`;
  const { event } = entry;
  const fields = 'saw' in event ? changes(fieldsOf(event), state) : fieldsOf(event);
  return `${String(at).padStart(5)} ${'do' in event ? `→ ${event.do}` : `  ← ${pc.cyan(event.saw)}`}  ${words(fields)}`.trimEnd();
};

/** What changed in a clause's tally since the last look, as a line; undefined: nothing. */
const said = (t: Tally, before: Tally | undefined): string | undefined => {
  if (t.kept > (before?.kept ?? 0)) return pc.dim(`          ✓ ${t.id}`);
  if (t.unknown > (before?.unknown ?? 0)) return pc.yellow(`          ? ${t.id}: ${t.why ?? 'unknown'}`);
  return undefined;
};

export const showCommand = async (trace: string, options: { readonly step?: boolean }): Promise<number> => {
  const told: string[] = [];
  const judge = createJudge(areas, (line) => told.push(line));
  const before = new Map<string, Tally>();
  /** As the last event that told one left the processor. */
  let state: Fields | undefined;
  let asked: MachineConfig | undefined;
  const j = await judgeTrace(trace, judge, (entry, findings, at) => {
    if ('reset' in entry) asked = entry.reset;
    process.stdout.write(`${shown(entry, at, state, asked)}\n`);
    if ('event' in entry && (nameOf(entry.event) === 'cpu.run' || nameOf(entry.event) === 'cpu.stopped'))
      state = { ...state, ...(fieldsOf(entry.event)['state'] as Fields | undefined) };
    for (const line of told.splice(0)) process.stdout.write(pc.magenta(`          ${line}\n`));
    if (!options.step) return;
    for (const t of judge.tallies.values()) {
      if (t.applied === (before.get(t.id)?.applied ?? 0)) continue;
      const line = said(t, before.get(t.id));
      before.set(t.id, { ...t });
      if (line !== undefined) process.stdout.write(`${line}\n`);
    }
    for (const f of findings)
      process.stdout.write(pc.red(`          ✗ ${f.clause}${subjectOf(f)}: expected ${f.expected}; saw ${f.saw}\n`));
  });
  if (j.truncated !== undefined) process.stdout.write(`${j.truncated}\n`);
  return j.truncated === undefined ? 0 : 2;
};
