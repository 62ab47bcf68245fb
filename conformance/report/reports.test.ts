// Machine-readable output keeps its shape: each report is what its shipped JSON Schema says, and the committed tables are today's.

import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { connect, probes } from '../connect.ts';
import { explore } from '../explore.ts';
import { clauseTable, clauseTableText } from './clauses.ts';
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
    const report = JSON.parse(jsonReport(await checked(name, 40)));
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
