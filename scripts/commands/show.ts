// vmmc show: a trace for a reader, one line an event; with --step, what the judge says at each.

import pc from 'picocolors';
import { areas } from '../../conformance/areas.ts';
import { createJudge } from '../../conformance/judge.ts';
import { judgeTrace } from '../../conformance/trace/judge.ts';
import type { Entry } from '../../conformance/trace/read.ts';
import { encodeLine } from '../../conformance/wire/events.ts';

const bytes = (text: string): string => text.replace(/"bytes":"([0-9a-f]{64})[0-9a-f]+"/g, '"bytes":"$1…"');
const shown = (entry: Entry, at: number): string => {
  if ('header' in entry)
    return `${pc.bold(entry.header.story)}\n${entry.header.target.name} ${entry.header.target.version}; about ${entry.header.about.join(', ')}`;
  if ('reset' in entry) return `machine: ${entry.reset.memory} bytes of memory filled with ${entry.reset.fill}, bus ${entry.reset.bus}`;
  if ('granted' in entry) return `granted: ${entry.granted.level}, ${entry.granted.offers.join(' ')}`;
  if ('plan' in entry) return pc.dim(`  plan ${JSON.stringify(entry.plan)}`);
  if ('end' in entry) return `end: ${JSON.stringify(entry.verdicts)}`;
  const { event } = entry;
  const text = bytes(encodeLine(event))
    .replace(/^\{"(do|saw)":"[^"]*",?/, '')
    .replace(/\}$/, '');
  return `${String(at).padStart(5)} ${'do' in event ? `→ ${event.do}` : `  ← ${pc.cyan(event.saw)}`}  ${text}`;
};

export const showCommand = async (trace: string, options: { readonly step?: boolean }): Promise<number> => {
  const judge = createJudge(areas);
  const applied = new Map<string, number>();
  const j = await judgeTrace(trace, judge, (entry, findings, at) => {
    process.stdout.write(`${shown(entry, at)}\n`);
    if (!options.step) return;
    for (const t of judge.tallies.values()) {
      if (t.applied === (applied.get(t.id) ?? 0)) continue;
      applied.set(t.id, t.applied);
      if (!findings.some((f) => f.clause === t.id)) process.stdout.write(pc.dim(`          ${t.id} applies\n`));
    }
    for (const f of findings) process.stdout.write(pc.red(`          ✗ ${f.clause}: expected ${f.expected}; saw ${f.saw}\n`));
  });
  if (j.truncated !== undefined) process.stdout.write(`${j.truncated}\n`);
  return j.truncated === undefined ? 0 : 2;
};
