// The vt-d player: every subsequence of choices is a legal program, lowering is deterministic, and no duty is broken but the one that is tagged.
// Judged on the reference: what software owes is asked by the duties themselves.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Granted, MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { areas } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { play, stimuliLimit } from '../run.ts';
import { programsOf } from '../sample.ts';
import { refTarget } from '../targets/ref/ref.ts';
import type { VtdChoice } from './choices.ts';
import { vtdMachines } from './machines.ts';
import { playVtd } from './player.ts';
import { vtdSuite } from './suite.ts';
import { DUTIES } from './violations.ts';

const suite = vtdSuite as unknown as Suite;
const machine = fc.constantFrom(...vtdMachines);
const grant = (m: MachineConfig, rich: boolean): Granted => ({
  memory: { size: m.memory, fill: m.fill, seen: rich ? 'ordered' : 'compared' },
  level: 'pci',
  reset: 'device',
  offers: rich
    ? ['memory.seen', 'vt-d', 'vt-d.register', 'vt-d.dma', 'vt-d.interrupt', 'vt-d.reset']
    : ['memory.seen', 'vt-d', 'vt-d.register'],
  ...(m.vtd === undefined ? {} : { vtd: m.vtd }),
});
const lowered = (choices: readonly VtdChoice[], granted: Granted): readonly Stimulus[] => {
  const stimuli: Stimulus[] = [];
  const player = playVtd(choices, granted);
  for (let step = player.next([]); !step.done; step = player.next([])) stimuli.push(...step.value.do);
  return stimuli;
};
/** Every address within memory, every register within the page, every requester one that there is and that can. */
const fits = (s: Stimulus, granted: Granted): boolean => {
  const requesters = granted.vtd?.requesters ?? [];
  switch (s.do) {
    case 'memory.write':
      return s.at >= 0n && s.at + BigInt(s.bytes.length) <= BigInt(granted.memory.size) && s.bytes.length > 0;
    case 'vtd.read':
    case 'vtd.write':
      return s.at >= 0 && s.at + s.width <= 4096;
    case 'dma.read':
      return requesters[s.requester]?.can.includes('read') === true && s.at + BigInt(s.length) <= 2n ** 64n;
    case 'dma.write':
      return requesters[s.requester]?.can.includes('write') === true && s.bytes.length > 0 && s.at + BigInt(s.bytes.length) <= 2n ** 64n;
    case 'dma.atomic':
      return requesters[s.requester]?.can.includes('atomic') === true;
    case 'msi.send':
      return requesters[s.requester]?.can.includes('msi') === true && s.address >> 20n === 0xfeen;
    case 'ats.request':
      return requesters[s.requester]?.can.includes('ats') === true;
    case 'pri.request':
      return requesters[s.requester]?.can.includes('pri') === true;
    default:
      return true;
  }
};

describe('the vt-d player', () => {
  test('makes only stimuli that the machine can be given, from any subsequence, and ends with a look and a settle', () => {
    fc.assert(
      fc.property(vtdSuite.choices, machine, fc.boolean(), fc.infiniteStream(fc.boolean()), (choices, m, rich, keep) => {
        const granted = grant(m, rich);
        const some = choices.filter(() => keep.next().value);
        for (const program of [choices, some]) {
          const stimuli = lowered(program, granted);
          expect(stimuli.filter((s) => !fits(s, granted))).toEqual([]);
          expect(stimuli.at(-1)).toEqual({ do: 'settle' });
          expect(stimuli.filter((s) => s.do === 'vtd.read').length).toBeGreaterThan(3);
          expect(stimuli.length).toBeLessThan(stimuliLimit);
        }
      }),
      { numRuns: 60, seed: 4 },
    );
  });

  test('lowers the same choices to the same stimuli', () => {
    fc.assert(
      fc.property(vtdSuite.choices, machine, (choices, m) => {
        const granted = grant(m, true);
        expect(lowered(choices, granted)).toEqual(lowered(choices, granted));
      }),
      { numRuns: 20, seed: 5 },
    );
  });

  test('keeps every duty where no violation is chosen, and breaks the one that is', async () => {
    const target = refTarget();
    const judge = createJudge(areas);
    const broken = new Set<string>();
    for (const [i, m] of vtdMachines.entries())
      for (const program of programsOf(suite, m, 11 + i, 0).slice(0, 6)) {
        const legal = { ...program, choices: program.choices.filter((c) => c.op !== 'violate') };
        await play(target, suite, legal, judge);
        expect(judge.breaches.map((b) => `${b.duty} in ${i}`)).toEqual([]);
        const duty = DUTIES[(i + broken.size) % DUTIES.length] as string;
        const bad = { ...legal, choices: [...legal.choices, { op: 'violate', duty, n: 1 }] };
        await play(target, suite, bad, judge);
        for (const b of judge.breaches) broken.add(b.duty);
        expect(judge.breaches.every((b) => b.duty === duty || judge.breaches[0]?.duty === duty)).toBe(true);
      }
    expect(broken.size).toBeGreaterThan(4);
  }, 60_000);

  test('names only duties that the area has', () => {
    const known = new Set(areas.flatMap((a) => a.duties.map((d) => d.id)));
    expect(DUTIES.filter((d) => !known.has(d))).toEqual([]);
  });

  test('makes simpler choices of the same kind, until there are none', () => {
    fc.assert(
      fc.property(vtdSuite.choices, (choices) => {
        for (const c of choices) {
          let now: VtdChoice = c;
          for (let i = 0; i < 100; i++) {
            const [next] = vtdSuite.simpler(now);
            if (next === undefined) break;
            expect(next.op).toBe(c.op);
            now = next;
          }
          expect(vtdSuite.simpler(now)).toEqual([]);
        }
      }),
      { numRuns: 20, seed: 6 },
    );
  });
});
