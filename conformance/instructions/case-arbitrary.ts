// An arbitrary of cases, drawn field by field: what a record of the same fields draws, without the lists and maps that shrinking would need. Cases are
// made simpler by their suite, never by their arbitrary.

import fc, { type Arbitrary } from 'fast-check';
import type { Case } from './choice.ts';

export type Fields = { readonly [K in keyof Case]: Arbitrary<Case[K]> };

class CaseArbitrary extends fc.Arbitrary<Case> {
  readonly #fields: Fields;
  constructor(fields: Fields) {
    super();
    this.#fields = fields;
  }
  /** In the order in which the fields are declared, each whatever it is. */
  override generate(random: fc.Random, bias: number | undefined): fc.Value<Case> {
    const f = this.#fields;
    const drawn: Case = {
      op: f.op.generate(random, bias).value,
      level: f.level.generate(random, bias).value,
      form: f.form.generate(random, bias).value,
      size: f.size.generate(random, bias).value,
      reg: f.reg.generate(random, bias).value,
      rm: f.rm.generate(random, bias).value,
      memory: f.memory.generate(random, bias).value,
      place: f.place.generate(random, bias).value,
      addressing: f.addressing.generate(random, bias).value,
      value: f.value.generate(random, bias).value,
      value2: f.value2.generate(random, bias).value,
      count: f.count.generate(random, bias).value,
      imm: f.imm.generate(random, bias).value,
      selector: f.selector.generate(random, bias).value,
      rpl: f.rpl.generate(random, bias).value,
      prefix: f.prefix.generate(random, bias).value,
      tweaks: f.tweaks.generate(random, bias).value,
    };
    return new fc.Value(drawn, undefined);
  }
  override canShrinkWithoutContext(value: unknown): value is Case {
    return typeof value === 'object' && value !== null && 'op' in value && value.op === 'case';
  }
  override shrink(): fc.Stream<fc.Value<Case>> {
    return fc.Stream.nil();
  }
}
export const caseFrom = (fields: Fields): Arbitrary<Case> => new CaseArbitrary(fields);
