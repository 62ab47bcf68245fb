// Checks that JSON has a schema's shape, by one compiled validator for each schema, and says what is wrong: the field, what it must be, what came.
// Compiled on first use, because a run meets few event kinds.

import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Schema } from './schema.ts';

/** JSON that is not what the wire format asks for. The message names the field and the fix. */
export interface WireError extends Error {
  readonly kind: 'wire';
}
export const wireError = (message: string): WireError => Object.assign(new Error(message), { kind: 'wire' as const });
export const isWireError = (error: unknown): error is WireError => error instanceof Error && 'kind' in error && error.kind === 'wire';

/** Throws a WireError whose message starts with `what`. */
export type Check = (json: unknown) => void;

const ajv = new Ajv2020({ strict: true, verbose: true, ownProperties: true });

/** A short excerpt of what came. */
export const excerpt = (json: unknown): string => {
  const text = JSON.stringify(json) ?? 'nothing';
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
};

const plain = (pointer: string): string => pointer.slice(1).replaceAll('~1', '/').replaceAll('~0', '~').replaceAll('/', '.');
const fieldAt = (path: string): string => (path === '' ? 'the line' : `field "${path}"`);

const complain = (error: ErrorObject): string => {
  const path = plain(error.instancePath);
  const within = (name: string): string => fieldAt(path === '' ? name : `${path}.${name}`);
  const parent = error.parentSchema as Schema;
  if (error.keyword === 'required') {
    const name = String(error.params['missingProperty']);
    const wanted = (parent['properties'] as Readonly<Record<string, Schema>>)[name];
    return `${within(name)} is missing: add ${String(wanted?.['description'])}`;
  }
  if (error.keyword === 'additionalProperties') {
    const known = Object.keys(parent['properties'] as Schema);
    const have = known.length === 0 ? 'there are no fields here' : `the fields here are ${known.join(', ')}`;
    return `${within(String(error.params['additionalProperty']))} is unknown: remove it (${have})`;
  }
  return `${fieldAt(path)} must be ${String(parent['description'])}, but is ${excerpt(error.data)}`;
};

/** An error inside the chosen alternative of an anyOf says more than the anyOf; of several take the deepest. */
const tell = (errors: readonly ErrorObject[]): string => {
  const depth = (e: ErrorObject): number =>
    e.instancePath.split('/').length + (e.keyword === 'required' || e.keyword === 'additionalProperties' ? 1 : 0);
  const last = errors[errors.length - 1];
  if (last === undefined) return 'the line is wrong';
  if (last.keyword !== 'anyOf') return complain(last);
  const deeper = errors.filter((e) => depth(e) > depth(last));
  return complain(deeper[0] ?? last);
};

export const checkOf = (what: string, schema: () => Schema): Check => {
  let validate: ValidateFunction | undefined;
  return (json) => {
    validate ??= ajv.compile(schema());
    if (!validate(json)) throw wireError(`${what}: ${tell(validate.errors ?? [])}`);
  };
};
