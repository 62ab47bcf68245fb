// Machine-readable output keeps its shape: each report is what its shipped JSON Schema says, and the committed tables are today's.

import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { areas } from '../areas.ts';
import { connect, probes } from '../connect.ts';
import { explore } from '../explore.ts';
import { createJudge } from '../judge.ts';
import type { Target } from '../../spec/units.ts';
import { adapterError } from '../targets/exec/blame.ts';
import { clauseTable, clauseTableText } from './clauses.ts';
import { consoleReport } from './console.ts';
import { reports } from './formats.ts';
import { jsonReport } from './json.ts';
import type { CheckResult } from './result.ts';

const read = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8');
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
/** What is wrong with it, by the schema; null: nothing. */
const objections = (name: string, value: unknown): unknown => {
  const validate = ajv.getSchema(name) ?? ajv.compile({ $id: name, ...JSON.parse(read(`schemas/${name}.schema.json`)) });
  return validate(value) ? null : validate.errors;
};
const checked = async (name: string, runs: number): Promise<CheckResult> => {
  const target = await connect(name);
  try {
    return await explore({ target, name, areas: ['virtio.split'], runs, seed: 1, strict: false });
  } finally {
    await target.close();
  }
};

describe('check --report json', () => {
  test.each(['ref', 'fault:VB-011'])('of %s is what the schema says', async (name) => {
    const report = JSON.parse(jsonReport(await checked(name, 200)));
    expect(objections('check', report)).toBeNull();
    expect(report.verdict === 'broken').toBe(name !== 'ref');
    expect(report.findings.length > 0).toBe(name !== 'ref');
  });
  test('is the same bytes for the same seed', async () => {
    expect(jsonReport(await checked('ref', 40))).toBe(jsonReport(await checked('ref', 40)));
  });
  test('and its schema is closed: one field more is an objection', async () => {
    const report = { ...JSON.parse(jsonReport(await checked('ref', 1))), more: 1 };
    expect(objections('check', report)).not.toBeNull();
  });
});

test('a short program of a processor is told by its choices, as many as the fault needs', async () => {
  const name = 'fault:course-carry';
  const target = await connect(name);
  const result = await explore({ target, name, areas: ['instructions.course'], runs: 64, seed: 1, strict: false });
  await target.close();
  const first = result.counterexamples[0] as (typeof result.counterexamples)[number];
  expect(first).toMatchObject({ partly: false, program: { choices: { length: 8 } } });
  expect(consoleReport(result, name, new Map())).toMatch(/\n {2}8 choices of \d\d, \d+ shrinks; shown by/);
});

describe('a run that its adapter ends with a line that is no protocol', () => {
  const cutShort = async (name: string): Promise<CheckResult> => {
    const target = await connect(name);
    let programs = 0;
    const breaks: Target = {
      hello: target.hello,
      reset: (machine) => {
        if (programs++ > 40) throw adapterError('the adapter sent "oops"', 'print nothing else', 'last words');
        return target.reset(machine);
      },
      apply: (stimulus) => target.apply(stimulus),
      close: () => target.close(),
    };
    try {
      return await explore({ target: breaks, name, areas: ['virtio.split'], runs: 500, seed: 1, strict: false });
    } finally {
      await target.close();
    }
  };
  test('keeps what was judged before, and is undecided', async () => {
    const result = await cutShort('ref');
    expect(result).toMatchObject({ verdict: 'undecided', exit: 2, programs: 41, cutShort: { stderr: 'last words' } });
    expect(result.clauses.filter((c) => c.verdict === 'kept').length).toBeGreaterThan(5);
    const report = JSON.parse(jsonReport(result));
    expect(objections('check', report)).toBeNull();
    expect(report.cutShort).toBe('after 41 programs: the adapter sent "oops"; print nothing else');
  });
  test('is broken where something was, with the finding', async () => {
    const result = await cutShort('fault:VB-112');
    expect(result).toMatchObject({ verdict: 'broken', exit: 1 });
    expect(result.counterexamples.length).toBeGreaterThan(0);
  });
  test('in the middle of a program tells what that had shown, as it came', async () => {
    const target = await connect('fault:VB-112');
    // The first program in which the judge objects ends right after the objection with words that are none.
    const wrong = new Set<number>();
    let programs = 0;
    const judge = createJudge(areas);
    let ended = false;
    const breaks: Target = {
      hello: target.hello,
      reset: async (machine) => {
        if (ended) throw adapterError('the adapter sent "oops"', 'print nothing else', '');
        programs++;
        const granting = await target.reset(machine);
        if ('granted' in granting) judge.reset(granting.granted, machine.image);
        return granting;
      },
      apply: async (stimulus) => {
        if (wrong.has(programs)) {
          ended = true;
          throw adapterError('the adapter sent "oops"', 'print nothing else', '');
        }
        const answer = await target.apply(stimulus);
        if ('saw' in answer) for (const event of [stimulus, ...answer.saw]) if (judge.see(event).length > 0) wrong.add(programs);
        return answer;
      },
      close: () => target.close(),
    };
    const result = await explore({ target: breaks, name: 'ref', areas: ['virtio.split'], runs: 500, seed: 1, strict: false });
    await target.close();
    expect(result).toMatchObject({ verdict: 'broken', exit: 1, programs });
    expect(result.cutShort?.why).toContain('the adapter sent "oops"');
    expect(result.counterexamples.map((c) => [c.finding.clause.split('.')[0], c.repeated])).toContainEqual(['virtio', false]);
    expect(result.clauses.filter((c) => c.because?.includes('left without a trace'))).toEqual([]);
  });
  test('is told by every report', async () => {
    const result = await cutShort('ref');
    for (const report of Object.values(reports)) expect(report(result, 'ref')).toMatch(/cut short|Cut short|Bail out!|<error/);
    expect(consoleReport(result, 'ref', new Map())).toContain('after 41 programs: the adapter sent "oops"');
  });
  test('before anything was judged is an error', async () => {
    const target = await connect('ref');
    const mute: Target = {
      ...target,
      reset: () => {
        throw adapterError('the adapter sent "oops"', 'print nothing else', '');
      },
    };
    await expect(explore({ target: mute, name: 'ref', areas: ['virtio.split'], runs: 9, seed: 1, strict: false })).rejects.toThrow('oops');
    await target.close();
  });
});

describe('a target that stops answering', () => {
  test('is not waited for in program after program', async () => {
    const target = await connect('ref');
    let [resets, asked] = [0, 0];
    const silent: Target = {
      hello: target.hello,
      reset: (machine) => {
        resets++;
        asked = 0;
        return target.reset(machine);
      },
      apply: (stimulus) => (resets > 40 && ++asked > 12 ? { broke: 'did not answer within 1 s' } : target.apply(stimulus)),
      close: () => target.close(),
    };
    const result = await explore({ target: silent, name: 'ref', areas: ['virtio.split'], runs: 500, seed: 1, strict: false });
    await target.close();
    expect(result).toMatchObject({ verdict: 'broken', exit: 1, programs: 48 });
    expect(result.cutShort?.why).toBe('after 48 programs: 8 of them hung');
    // 40 that were answered, 8 that were not, and few to make four of those shorter.
    expect(resets).toBeLessThan(100);
  });
});

describe('clauses', () => {
  test('--json is what the schema says', () => {
    expect(objections('clauses', clauseTable([]))).toBeNull();
  });
  test('as committed are those of today: else run vmmc clauses --write', () => {
    expect(clauseTableText(clauseTable([])) === read('../clauses.json')).toBe(true);
  });
});

test('faults --json is what the schema says, as committed', () => {
  expect(objections('faults', JSON.parse(read('../faults/matrix.json')))).toBeNull();
});
test('targets --json is what the schema says', async () => {
  expect(objections('targets', await probes())).toBeNull();
});
