// Plays one small program on the reference processor for the tests of it: furniture, code as hex, edits of state and memory; and what came of it.
// Expectations never come from here: they are worked out by hand from the manual.

import type { CpuFeature, CpuMode, CpuState, PagingMode } from '../../spec/instructions/vocabulary.ts';
import type { Gpa } from '../../spec/units.ts';
import type { Observation } from '../../spec/vocabulary.ts';
import { type RefTarget, refTarget } from '../targets/ref/ref.ts';
import { machineFor } from './furniture.ts';
import * as at from './layout.ts';
import { startState } from './state.ts';

export interface Play {
  readonly mode: CpuMode;
  readonly paging?: PagingMode;
  readonly features?: readonly CpuFeature[];
  readonly cpl?: number;
  /** Hex; blanks are ignored. INT3 follows: memory is full of it. */
  readonly code: string;
  readonly state?: Partial<CpuState> | ((start: CpuState) => Partial<CpuState>);
  /** Hex at addresses, before the run. */
  readonly memory?: Readonly<Record<number, string>>;
  readonly limit?: number;
  readonly interrupt?: { readonly vector: number; readonly after: number };
}
export interface Played {
  readonly by: string;
  /** Vector of the gate that led to the stop. */
  readonly vector: number | undefined;
  readonly state: CpuState;
  readonly seen: readonly Observation[];
  /** Little-endian value that memory holds now. */
  readonly read: (address: number, bytes: number) => bigint;
  /** Error code on top of the handler's stack, or undefined where the vector has none. */
  readonly error: number | undefined;
  /** Saved instruction pointer, CS and flags of the handler's frame. */
  readonly frame: { readonly rip: bigint; readonly cs: number; readonly flags: number };
}
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const WITH_ERROR: readonly number[] = [8, 10, 11, 12, 13, 14, 17, 21];
const target: RefTarget = refTarget();

export const play = (p: Play): Played => {
  const config = machineFor(p.mode, p.paging ?? (p.mode === 'long64' || p.mode === 'compat' ? '4-level' : 'none'), p.features ?? []);
  const granted = target.reset(config);
  if (!('granted' in granted)) throw new Error(JSON.stringify(granted));
  const start = startState(config, p.cpl ?? (p.mode === 'v86' ? 3 : 0));
  const bytes = new Uint8Array(config.memory).fill(config.fill);
  for (const piece of config.image ?? []) bytes.set(piece.bytes, Number(piece.at));
  const put = (address: number, data: Uint8Array): void => {
    bytes.set(data, address);
    target.apply({ do: 'memory.write', at: BigInt(address) as Gpa, bytes: data });
  };
  put(at.code, hex(p.code));
  for (const [address, data] of Object.entries(p.memory ?? {})) put(Number(address), hex(data));
  const state = { ...start, ...(typeof p.state === 'function' ? p.state(start) : p.state) };
  const answer = target.apply({ do: 'cpu.run', state, limit: p.limit ?? 100, ...(p.interrupt && { interrupt: p.interrupt }) });
  if (!('saw' in answer)) throw new Error(JSON.stringify(answer));
  for (const o of answer.saw) if (o.saw === 'memory.changed') for (const w of o.writes) bytes.set(w.bytes, Number(w.at));
  const stopped = answer.saw.at(-1);
  if (stopped?.saw !== 'cpu.stopped') throw new Error('the run did not stop');
  const after = stopped.state as CpuState;
  const read = (address: number, n: number): bigint => {
    let value = 0n;
    for (let i = n - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[address + i] ?? 0xff);
    return value;
  };
  const word = p.mode === 'long64' || p.mode === 'compat' ? 8 : p.mode === 'real' ? 2 : 4;
  const top = Number(after.ss.base) + Number(after.rsp);
  const hasError = p.mode !== 'real' && stopped.stop !== undefined && WITH_ERROR.includes(stopped.stop);
  const frame = top + (hasError ? word : 0);
  return {
    by: stopped.by,
    vector: stopped.stop,
    state: after,
    seen: answer.saw,
    read,
    error: hasError ? Number(read(top, 4)) : undefined,
    frame: { rip: read(frame, word), cs: Number(read(frame + word, 2)), flags: Number(read(frame + 2 * word, word === 2 ? 2 : 4)) },
  };
};
