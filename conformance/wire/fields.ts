// What a field can be on the wire, and which field each TypeScript type demands: a table of type FieldsOf<T> forgets nothing of T.
// Numbers up to 53 bits are JSON numbers, 64-bit ones minimal lower-case hex strings, bytes lower-case hex strings without a prefix.

/** Whole numbers that are JSON numbers. */
export type Whole = 'u8' | 'u16' | 'u32' | 'u53';
export type Leaf = Whole | 'u64' | 'bytes' | 'bool' | 'string';
export type Field =
  | Leaf
  /** One of these words, or the other field. */
  | { readonly words: Readonly<Record<string, true>>; readonly or?: Field }
  /** One of these numbers. */
  | { readonly numbers: Readonly<Record<number, true>> }
  | { readonly list: Field }
  | { readonly record: Fields }
  | { readonly optional: Field };
/** Fields in wire order. */
export interface Fields {
  readonly [name: string]: Field;
}

/** The field that carries exactly T. */
export type FieldFor<T> = [T] extends [bigint]
  ? 'u64'
  : [T] extends [Uint8Array]
    ? 'bytes'
    : [T] extends [boolean]
      ? 'bool'
      : [T] extends [string]
        ? string extends T
          ? 'string'
          : { readonly words: Readonly<Record<T, true>> }
        : [T] extends [number]
          ? number extends T
            ? Whole
            : { readonly numbers: Readonly<Record<T, true>> }
          : [T] extends [number | string]
            ? { readonly words: Readonly<Record<Extract<T, string>, true>>; readonly or: Whole }
            : [T] extends [readonly (infer E)[]]
              ? { readonly list: FieldFor<E> }
              : { readonly record: FieldsOf<T> };

/** One entry for each property of T, `optional` exactly where T says so. */
export type FieldsOf<T> = {
  readonly [K in keyof T]-?: Record<never, never> extends Pick<T, K>
    ? { readonly optional: FieldFor<Exclude<T[K], undefined>> }
    : FieldFor<T[K]>;
};

const largest: Readonly<Record<Whole, number>> = { u8: 2 ** 8 - 1, u16: 2 ** 16 - 1, u32: 2 ** 32 - 1, u53: Number.MAX_SAFE_INTEGER };
export const isWhole = (field: Field): field is Whole => typeof field === 'string' && field in largest;
export const largestOf = (field: Whole): number => largest[field];
