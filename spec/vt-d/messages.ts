// Messages that should reach the interrupt fabric: what an address and data pair means to an APIC, and what is still awaited.
// SDM volume 3, Message Signalled Interrupts; VT-d 4.1, Remapping Hardware Event Interrupt Programming.

import type { VtdObservation } from './vocabulary.ts';

export type Seen = Extract<VtdObservation, { readonly saw: 'apic.interrupt' }>;
/** An interrupt in APIC terms. `level` and `redirectionHint` undefined: not said. */
export interface Message {
  readonly vector: number;
  readonly delivery: number;
  readonly destination: number;
  readonly logical: boolean;
  readonly level: boolean | undefined;
  readonly redirectionHint: boolean | undefined;
}
/** Sent, and what is permitted to arrive of it: any one of the messages. */
export interface Sent {
  readonly by: 'request' | 'fault' | 'completion' | 'page';
  readonly requester: number;
  readonly form: 'remapped' | 'posted' | 'compatibility' | 'off';
  readonly may: readonly { readonly message: Message; readonly rule?: string }[];
  /** Reasons with which it may be blocked instead. */
  readonly reasons: readonly number[];
  /** Something of it must arrive. */
  readonly must: boolean;
  readonly rules: readonly string[];
  /** The state is not known well enough to judge. */
  unknown: string | undefined;
  /** Where its table entry stands. */
  readonly entry?: bigint;
  arrived: boolean;
}
/** An interrupt request in the clear. Bits 63:40 of the address extend the destination where x2APIC is on. */
export const decode = (address: bigint, data: number): Message => ({
  vector: data & 0xff,
  delivery: (data >>> 8) & 7,
  destination: Number((address >> 12n) & 0xffn) | (Number((address >> 40n) & 0xffffffn) << 8),
  logical: ((address >> 2n) & 1n) === 1n,
  level: ((data >>> 15) & 1) === 1,
  redirectionHint: ((address >> 3n) & 1n) === 1n,
});
/** SMI, NMI, INIT and ExtINT have no vector, and the first three are edges whatever was programmed (SDM volume 3, Message Data Register Format). */
const vectorless = (delivery: number): boolean => delivery === 2 || delivery === 4 || delivery === 5 || delivery === 7;
const edge = (delivery: number): boolean => vectorless(delivery) && delivery !== 7;
export const agrees = (m: Message, s: Seen): boolean =>
  (m.vector === s.vector || (s.vector === 0 && vectorless(m.delivery))) &&
  m.delivery === s.delivery &&
  m.destination >>> 0 === s.destination >>> 0 &&
  m.logical === s.logical &&
  (m.level === undefined || m.level === s.level || (!s.level && edge(m.delivery))) &&
  (m.redirectionHint === undefined || m.redirectionHint === s.redirectionHint);
export const tell = (m: Message): string =>
  `vector 0x${m.vector.toString(16)}, delivery mode ${m.delivery}, destination 0x${(m.destination >>> 0).toString(16)} ${m.logical ? 'logical' : 'physical'}${m.level === true ? ', level' : ''}`;
/** Something that may raise any interrupt. */
export const unknownMessage = (requester: number): Sent => ({
  by: 'request',
  requester,
  form: 'off',
  may: [],
  reasons: [],
  must: false,
  rules: [],
  unknown: 'a write to interrupt addresses',
  arrived: false,
});
