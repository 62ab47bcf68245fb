// The JSON Schema of a field table. The description of each leaf finishes the sentence "must be …", so that errors can quote it.
// Every object is closed: a misspelt field is an error, not a default.

import { type Field, type Fields, isWhole, type Leaf, largestOf } from './fields.ts';

export type Schema = { readonly [keyword: string]: unknown };

const leaf: Readonly<Record<Exclude<Leaf, 'u8' | 'u16' | 'u32' | 'u53'>, Schema>> = {
  u64: {
    type: 'string',
    pattern: '^0x(?:0|[1-9a-f][0-9a-f]{0,15})$',
    description: 'a 64-bit number as minimal lower-case hex in a string, such as "0x1f"',
  },
  bytes: { type: 'string', pattern: '^(?:[0-9a-f]{2})*$', description: 'bytes as lower-case hex in a string, such as "00ff"' },
  bool: { type: 'boolean', description: 'true or false' },
  string: { type: 'string', description: 'a string' },
};

const listed = (values: readonly unknown[]): string => values.map((v) => JSON.stringify(v)).join(', ');

export const schemaOfField = (field: Field): Schema => {
  if (isWhole(field))
    return { type: 'integer', minimum: 0, maximum: largestOf(field), description: `a whole number from 0 to ${largestOf(field)}` };
  if (typeof field === 'string') return leaf[field];
  if ('optional' in field) return schemaOfField(field.optional);
  if ('list' in field) return { type: 'array', items: schemaOfField(field.list), description: 'a list' };
  if ('record' in field) return schemaOfRecord(field.record);
  if ('numbers' in field) {
    const values = Object.keys(field.numbers).map(Number);
    return { enum: values, description: `one of ${listed(values)}` };
  }
  const words = Object.keys(field.words);
  const word: Schema = { enum: words, description: `one of ${listed(words)}` };
  if (field.or === undefined) return word;
  const other = schemaOfField(field.or);
  return { anyOf: [word, other], description: `${listed(words)} or ${String(other['description'])}` };
};

/** The object that holds these fields, after its discriminator, if it has one. */
export const schemaOfRecord = (fields: Fields, discriminator?: readonly [key: string, name: string]): Schema => {
  const entries = Object.entries(fields);
  return {
    type: 'object',
    properties: {
      ...(discriminator && { [discriminator[0]]: { const: discriminator[1], description: JSON.stringify(discriminator[1]) } }),
      ...Object.fromEntries(entries.map(([name, field]) => [name, schemaOfField(field)])),
    },
    required: [
      ...(discriminator ? [discriminator[0]] : []),
      ...entries.filter(([, field]) => typeof field === 'string' || !('optional' in field)).map(([name]) => name),
    ],
    additionalProperties: false,
    description: 'an object',
  };
};
