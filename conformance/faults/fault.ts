// Decides what a seeded fault is: a one-line edit of the reference, where it comes from, and the clause that must notice it.

/** A fault as data: the reference carries no fault switches. */
export interface Fault {
  /** Row of a known bug ('VB-014'), or area and topic of a rule ('blk-id-length'). Never renamed. */
  readonly id: string;
  /** The system that had it, with evidence; or 'rule': seeded from the clause alone. */
  readonly origin: string;
  /** File below reference/. */
  readonly file: string;
  /** `before` occurs exactly once in the file; it becomes `after`. */
  readonly swap: readonly [before: string, after: string];
  /** The clause that names the broken rule. */
  readonly killedBy: string;
  /** One line: what the device now does. */
  readonly story: string;
}
