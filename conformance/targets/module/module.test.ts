// Modules of the user's: one that is a target, and each way of not being one, told in a sentence.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { moduleTarget } from './module.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'vmmc-module-'));
afterAll(() => rmSync(dir, { recursive: true }));
let n = 0;
const written = (text: string): string => {
  const file = path.join(dir, `target-${n++}.mjs`);
  writeFileSync(file, text);
  return file;
};
const hello = "{ protocol: 1, name: 'mine', version: '1', offers: [] }";

test('a module with all verbs is a target', async () => {
  const file = written(`export const target = async () => ({ hello: ${hello}, reset() {}, apply: () => ({ saw: [] }), close() {} });`);
  const target = await moduleTarget(file);
  expect(target.hello.name).toBe('mine');
  expect(target.apply({ do: 'settle' })).toEqual({ saw: [] });
});
test.each([
  ['', 'exports no function target()'],
  ['export const target = () => 1;', 'gave no object'],
  ['export const target = () => ({});', 'no hello'],
  ['export const target = () => ({ hello: { protocol: 2 } });', 'hello.protocol is 2, not 1'],
  [`export const target = () => ({ hello: ${hello}, reset() {}, apply() {} });`, 'no function close'],
  ["export const target = () => { throw new Error('no device'); };", 'threw: no device'],
  ['export const target = ;', 'does not load'],
])('%j is refused', async (text, why) => {
  await expect(moduleTarget(written(text))).rejects.toThrow(why);
});
test('a file that is not there', async () => {
  await expect(moduleTarget(path.join(dir, 'none.mjs'))).rejects.toThrow('there is no such file');
});
test.each([
  ['reset: () => { throw new Error("no disk"); }, apply: () => ({ saw: [] })', 'reset() threw: no disk'],
  ['reset: async () => { throw new Error("no disk"); }, apply: () => ({ saw: [] })', 'reset() threw: no disk'],
])("what a verb throws is the module's: %s", async (verbs, why) => {
  const file = written(`export const target = () => ({ hello: ${hello}, ${verbs}, close() {} });`);
  const target = await moduleTarget(file);
  const reset = async (): Promise<unknown> => target.reset({ memory: 4096, fill: 0, bus: 'none' });
  await expect(reset()).rejects.toMatchObject({ kind: 'adapter', message: expect.stringContaining(why) as string });
});
const thrown = (body: () => unknown): Promise<unknown> =>
  (async () => body())().then(
    () => 'nothing',
    (error: unknown) => error,
  );
const machine = { memory: 4096, fill: 0, bus: 'none' } as const;
test('what promises of other libraries, close() and sideBySide() come to is told too', async () => {
  const file = written(
    `const fails = (why) => ({ then: (_, no) => no(new Error(why)) });
     export const target = () => ({ hello: ${hello}, reset: () => fails('no disk'), apply: () => ({ saw: [] }), sideBySide: () => fails('no lanes'), close: () => fails('stuck') });`,
  );
  const target = await moduleTarget(file);
  expect(await thrown(() => target.reset(machine))).toMatchObject({
    kind: 'adapter',
    message: expect.stringContaining('no disk') as string,
  });
  expect(await thrown(() => target.sideBySide?.(machine, []))).toMatchObject({ kind: 'adapter' });
  expect(await thrown(() => target.close())).toMatchObject({
    kind: 'adapter',
    message: expect.stringContaining('close() threw: stuck') as string,
  });
});
test('but not what a program of ours throws inside sideBySide()', async () => {
  const file = written(
    `export const target = () => ({ hello: ${hello}, reset() {}, apply() {}, sideBySide: async (machine, courses) => { for (const c of courses) c({}).next(); }, close() {} });`,
  );
  const target = await moduleTarget(file);
  const own = new TypeError('ours');
  // oxlint-disable-next-line require-yield
  const course = function* (): Generator<never, void, never> {
    throw own;
  };
  expect(await thrown(() => target.sideBySide?.(machine, [course]))).toBe(own);
});
test('a target may be an object of a class', async () => {
  const file = written(
    `class T { hello = ${hello}; n = 7; reset() {} apply() { return { saw: [{ saw: 'virtio.status', value: this.n }] }; } close() {} } export const target = () => new T();`,
  );
  expect((await moduleTarget(file)).apply({ do: 'virtio.status.read' })).toEqual({ saw: [{ saw: 'virtio.status', value: 7 }] });
});
