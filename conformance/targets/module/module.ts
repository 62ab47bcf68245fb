// The target `module:FILE`: a JavaScript or TypeScript module of the user's that exports `target`, a function giving a Target.
// Its shape is checked before the first verb, so that a mistake in it is told as such and not as a device's.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Course, Target } from '../../../spec/units.ts';

/** A module that is no target: the adapter's mistake. */
export interface ModuleError extends Error {
  readonly kind: 'adapter';
}
const mistake = (message: string, cause?: unknown): ModuleError =>
  Object.assign(new Error(message, { cause }), { kind: 'adapter' as const });
const said = (error: unknown): string => (error instanceof Error ? error.message : String(error));
/** Promises of other libraries too. */
const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null;

/** What is wrong with it, or undefined. */
const fault = (target: unknown): string | undefined => {
  if (!isObject(target)) return 'target() gave no object';
  const { hello } = target;
  if (!isObject(hello)) return 'the target has no hello';
  if (hello['protocol'] !== 1) return `hello.protocol is ${JSON.stringify(hello['protocol'])}, not 1`;
  for (const name of ['name', 'version']) if (typeof hello[name] !== 'string') return `hello.${name} is no string`;
  const { offers } = hello;
  if (!Array.isArray(offers) || !offers.every((o) => typeof o === 'string')) return 'hello.offers is no array of strings';
  for (const verb of ['reset', 'apply', 'close']) if (typeof target[verb] !== 'function') return `the target has no function ${verb}`;
  for (const verb of ['applyAll', 'runAll', 'sideBySide'])
    if (target[verb] !== undefined && typeof target[verb] !== 'function') return `${verb} is no function`;
  return undefined;
};

/** The same target; what one of its verbs throws is told as the module's, and not as ours. */
const blaming = (target: Target, file: string): Target => {
  /** What programs of ours threw that a module runs side by side. */
  const ours = new Set<unknown>();
  const remembering = (course: Course): Course =>
    function* (granted) {
      try {
        yield* course(granted);
      } catch (error) {
        ours.add(error);
        throw error;
      }
    };
  const guarded = <A extends readonly unknown[], R>(name: string, verb: (...given: A) => R): ((...given: A) => R) => {
    const blame = (error: unknown): never => {
      throw (error instanceof Error && 'kind' in error) || ours.has(error)
        ? error
        : mistake(`module:${file}: ${name}() threw: ${said(error)}`, error);
    };
    return (...given) => {
      try {
        const answer = verb.apply(target, given as unknown as A & unknown[]);
        return isThenable(answer) ? (Promise.resolve(answer).catch(blame) as R) : answer;
      } catch (error) {
        return blame(error);
      }
    };
  };
  const { sideBySide } = target;
  return {
    hello: target.hello,
    ...(target.prompt === undefined ? {} : { prompt: target.prompt }),
    ...(target.atOnce === undefined ? {} : { atOnce: target.atOnce }),
    ...(target.overlaps === undefined ? {} : { overlaps: target.overlaps }),
    reset: guarded('reset', target.reset),
    apply: guarded('apply', target.apply),
    ...(target.applyAll === undefined ? {} : { applyAll: guarded('applyAll', target.applyAll) }),
    ...(target.runAll === undefined ? {} : { runAll: guarded('runAll', target.runAll) }),
    ...(sideBySide === undefined
      ? {}
      : { sideBySide: guarded('sideBySide', (machine, programs) => sideBySide.call(target, machine, programs.map(remembering))) }),
    close: guarded('close', target.close),
  };
};

export const moduleTarget = async (file: string): Promise<Target> => {
  const at = path.resolve(file);
  if (!existsSync(at)) throw Object.assign(new Error(`module:${file}: there is no such file`), { kind: 'usage' as const });
  let module: unknown;
  try {
    module = await import(pathToFileURL(at).href);
  } catch (error) {
    throw mistake(`module:${file} does not load: ${said(error)}`, error);
  }
  const make = isObject(module) ? module['target'] : undefined;
  if (typeof make !== 'function')
    throw mistake(`module:${file} exports no function target(); it must: export const target = () => ({ hello, reset, apply, close })`);
  let target: unknown;
  try {
    target = await (make as () => unknown)();
  } catch (error) {
    throw mistake(`module:${file}: target() threw: ${said(error)}`, error);
  }
  const wrong = fault(target);
  if (wrong !== undefined) throw mistake(`module:${file}: ${wrong}`);
  return blaming(target as Target, file);
};
