// Turns a typed record into JSON and back along its field table: keys in declared order, bigint ⇄ hex string, bytes ⇄ hex string.
// The decoder assumes that the shape was checked.

import type { Field, Fields } from './fields.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonRecord = { [key: string]: Json };

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
const digit = (code: number): number => (code < 58 ? code - 48 : (code | 32) - 87);
export const bytesOf = (hex: string): Uint8Array => {
  const bytes = new Uint8Array(hex.length >>> 1);
  if (bytes.length <= 32) {
    // Most are a few bytes, and asking a small array for its buffer costs more than decoding it.
    for (let i = 0; i < bytes.length; i++) bytes[i] = (digit(hex.charCodeAt(2 * i)) << 4) | digit(hex.charCodeAt(2 * i + 1));
    return bytes;
  }
  Buffer.from(bytes.buffer).write(hex, 'hex');
  return bytes;
};

/** Digits of a number that is exact. */
const exactDigits = 13;
const bigintOf = (hex: string): bigint => {
  if (hex.length > 2 + exactDigits) return BigInt(hex);
  // Most are short, and letting BigInt read a string costs twice as much.
  let value = 0;
  for (let i = 2; i < hex.length; i++) value = value * 16 + digit(hex.charCodeAt(i));
  return BigInt(value);
};

type Convert<From, To> = (value: From) => To;
const asIs = (value: unknown): unknown => value;

const encoderOf = (field: Field): Convert<unknown, Json> => {
  if (field === 'u64') return (value) => `0x${(value as bigint).toString(16)}`;
  if (field === 'bytes') return (value) => hexOf(value as Uint8Array);
  if (typeof field === 'string' || 'numbers' in field) return asIs as Convert<unknown, Json>;
  if ('optional' in field) return encoderOf(field.optional);
  if ('list' in field) {
    const encode = encoderOf(field.list);
    return (value) => (value as readonly unknown[]).map(encode);
  }
  if ('record' in field) return recordEncoder(field.record);
  const other = field.or === undefined ? (asIs as Convert<unknown, Json>) : encoderOf(field.or);
  return (value) => (typeof value === 'string' && value in field.words ? value : other(value));
};

const decoderOf = (field: Field): Convert<Json, unknown> => {
  if (field === 'u64') return (json) => bigintOf(json as string);
  if (field === 'bytes') return (json) => bytesOf(json as string);
  if (typeof field === 'string' || 'numbers' in field) return asIs;
  if ('optional' in field) return decoderOf(field.optional);
  if ('list' in field) {
    const decode = decoderOf(field.list);
    return (json) => (json as readonly Json[]).map(decode);
  }
  if ('record' in field) return recordDecoder(field.record);
  const other = field.or === undefined ? asIs : decoderOf(field.or);
  return (json) => (typeof json === 'string' && json in field.words ? json : other(json));
};

/** `first` comes before all fields: the discriminator. Absent fields stay absent. */
export const recordEncoder = (fields: Fields, first?: readonly [key: string, name: string]): Convert<unknown, JsonRecord> => {
  const each = Object.entries(fields).map(([name, field]) => [name, encoderOf(field)] as const);
  return (value) => {
    const from = value as Readonly<Record<string, unknown>>;
    const json: JsonRecord = first ? { [first[0]]: first[1] } : {};
    for (const [name, encode] of each) {
      const part = from[name];
      if (part !== undefined) json[name] = encode(part);
    }
    return json;
  };
};

export const recordDecoder = (fields: Fields, first?: readonly [key: string, name: string]): Convert<Json, unknown> => {
  const names = Object.keys(fields);
  const decoders = Object.values(fields).map(decoderOf);
  return (json) => {
    const from = json as JsonRecord;
    const value: Record<string, unknown> = first ? { [first[0]]: first[1] } : {};
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string;
      const part = from[name];
      if (part !== undefined) value[name] = (decoders[i] as Convert<Json, unknown>)(part);
    }
    return value;
  };
};
