// Programs side by side on machines of paper: who goes when, and that each course gets its own answers, whatever the others do.

import { describe, expect, it, vi } from 'vitest';
import type { Answer, Course, Granted, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { createJudge } from '../../judge.ts';
import type { Program, Suite } from '../../program.ts';
import { playBlock } from '../../run-block.ts';
import { abreast, inTurn, type Lane, ownTime, waited } from './lanes.ts';

const granted: Granted = { memory: { size: 4096, fill: 0, seen: 'unseen' }, level: 'queue', reset: 'device', offers: [] };
const notify = (queue: number): Stimulus => ({ do: 'virtq.notify', queue });
const answerTo = (s: Stimulus): Answer => ({ unsupported: s.do === 'virtq.notify' ? `queue ${s.queue}` : s.do });

/** A lane that waits as often as the queue's number says for each notification, and logs. */
const laneOf = (name: string, log: string[], resets: (() => Answer | undefined)[] = []): Lane => ({
  reset: function* () {
    log.push(`${name} reset`);
    yield;
    const why = resets.shift()?.();
    return why === undefined || 'saw' in why ? { granted } : why;
  },
  applyAll: function* (stimuli) {
    const answers: Answer[] = [];
    for (const s of stimuli) {
      log.push(`${name} ${s.do === 'virtq.notify' ? s.queue : s.do}`);
      for (let i = 0; s.do === 'virtq.notify' && i < s.queue; i++) yield;
      answers.push(s.do === 'settle' ? { broke: 'gone' } : answerTo(s));
      if (s.do === 'settle') break;
    }
    return answers;
  },
});
const course = (...steps: readonly (readonly Stimulus[])[]): Course =>
  function* () {
    for (const step of steps) expect(yield step).toHaveLength(step.length);
  };

describe('programs side by side', () => {
  it('take turns where they wait, on the lane of their number, and tell their results by program', () => {
    const log: string[] = [];
    const ran = abreast([laneOf('a', log), laneOf('b', log)], [course([notify(5)]), course([notify(1)], [notify(1)]), course([notify(0)])]);
    expect(ran).toEqual([
      { granted, answers: [[{ unsupported: 'queue 5' }]] },
      { granted, answers: [[{ unsupported: 'queue 1' }], [{ unsupported: 'queue 1' }]] },
      { granted, answers: [[{ unsupported: 'queue 0' }]] },
    ]);
    expect(log).toEqual(['a reset', 'b reset', 'a 5', 'b 1', 'b 1', 'a reset', 'a 0']);
  });

  it('end alone: a death and a mistake of one are not another’s', () => {
    const log: string[] = [];
    const odd = laneOf('odd', log, [() => ({ broke: 'dead' })]);
    const bad: Course = function* () {
      yield [notify(1)];
      throw new Error('of the course');
    };
    expect(abreast([odd], [course([notify(0)]), bad, course([notify(0), { do: 'settle' }, notify(0)], [notify(9)])])).toEqual([
      { broke: 'dead' },
      { threw: new Error('of the course') },
      { granted, answers: [[{ unsupported: 'queue 0' }, { broke: 'gone' }]] },
    ]);
    expect(log.filter((l) => l === 'odd 9')).toEqual([]);
  });

  it('ask once for a machine that is refused', () => {
    const log: string[] = [];
    const lanes = ['a', 'b'].map((name) => laneOf(name, log, [() => ({ unsupported: 'no' })]));
    expect(
      abreast(
        lanes,
        Array.from({ length: 5 }, () => course([notify(0)])),
      ),
    ).toEqual(Array(5).fill({ unsupported: 'no' }));
    expect(log).toEqual(['a reset', 'b reset']);
  });

  it('are not left in the middle of something by a mistake in another lane', () => {
    const log: string[] = [];
    const lanes = [
      laneOf('a', log, [
        () => {
          throw new Error('of the lane');
        },
      ]),
      laneOf('b', log),
    ];
    expect(() => abreast(lanes, [course([notify(0)]), course([notify(3)], [notify(4)]), course([notify(9)])])).toThrow('of the lane');
    expect(log).toEqual(['a reset', 'b reset', 'b 3', 'b 4']);
  });

  it('may take one another’s turns, each machine resting while another works', () => {
    const log: string[] = [];
    const lanes = ['a', 'b'].map((name) => laneOf(name, log));
    const rest = (lane: number): void => void log.push(`${lane} rests`);
    expect(inTurn(lanes, [course([notify(2)]), course([notify(1)]), course([notify(0)])], rest)).toHaveLength(3);
    expect(log).toEqual(['a reset', 'a 2', '0 rests', 'b reset', 'b 1', '1 rests', 'a reset', 'a 0', '0 rests']);
    const refused = laneOf('no', log, [() => ({ unsupported: 'no' })]);
    expect(inTurn([refused], [course(), course()], rest)).toEqual([{ unsupported: 'no' }, { unsupported: 'no' }]);
  });

  it('count a wait’s own time and not what others took', () => {
    const spy = vi.spyOn(performance, 'now');
    const at = (ms: number): void => void spy.mockReturnValue(ms);
    at(0);
    const expired = ownTime(100);
    const seen = [20, 5020, 5040, 5070].map((ms) => {
      at(ms);
      return expired();
    });
    spy.mockRestore();
    expect(seen).toEqual([false, false, false, true]);
  });

  it('wait their waits out when alone', () => {
    expect(waited(laneOf('a', []).applyAll([notify(7)]))).toEqual([{ unsupported: 'queue 7' }]);
  });

  it('are judged in order, as if they had been played one by one', async () => {
    const machine: MachineConfig = { memory: 4096, fill: 0, bus: 'none' };
    const suite = {
      id: 'paper',
      play: function* (choices: readonly { readonly op: string }[]) {
        for (const { op } of choices) yield { plan: { op }, do: [notify(Number(op)), notify(0)] };
      },
    } as unknown as Suite;
    const programs: readonly Program[] = Array.from({ length: 70 }, (_, i) => ({
      suite: 'paper',
      machine,
      choices: [{ op: String(i % 7) }, { op: '1' }],
    }));
    const target = {
      hello: { protocol: 1 as const, name: 'paper', version: '', offers: [] },
      reset: () => ({ granted }),
      apply: answerTo,
      close: () => undefined,
    };
    const lines = async (of: typeof target): Promise<readonly unknown[]> => {
      const all: unknown[] = [];
      for await (const { program, played } of playBlock(of, suite, programs, createJudge([]))) all.push({ program, played });
      return all;
    };
    const side = {
      ...target,
      sideBySide: (_: MachineConfig, courses: readonly Course[]) => abreast([laneOf('a', []), laneOf('b', [])], courses),
    };
    const alone = await lines(target);
    expect(alone).toHaveLength(70);
    expect(await lines(side)).toEqual(alone);
  });
});
