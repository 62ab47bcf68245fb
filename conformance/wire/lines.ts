// The lines of the adapters' protocol: a request has `seq` and one verb, a reply the same `seq` and one result.
// {"seq":1,"hello":1} · {"seq":2,"reset":{…},"file":"…"} · {"seq":3,"apply":{"do":…}} · {"seq":4,"bye":true}

import type { Answer, Granted, Hello, MachineConfig } from '../../spec/units.ts';
import type { GrantedCpu } from '../../spec/instructions/vocabulary.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import type { BlkMachine, VirtioMachine } from '../../spec/virtio/vocabulary.ts';
import {
  codecOf,
  decodeAnswer,
  decodeHello,
  decodeMachine,
  decodeStimulus,
  encodeAnswer,
  encodeHello,
  encodeMachine,
  encodeLine,
  isRecord,
} from './events.ts';
import { grantedPart } from './shapes.ts';
import { excerpt, wireError } from './validate.ts';

export type Verb =
  | { readonly hello: 1 }
  /** `file`: the guest's memory, for whoever wants to map it. */
  | { readonly reset: MachineConfig; readonly file?: string }
  | { readonly apply: Stimulus }
  | { readonly bye: true };
export type Request = Verb & { readonly seq: number };

/** Only what differs from the machine asked for. Without `memory`, the file of the reset is guest memory and the suite looks for itself. */
export interface GrantedPart extends Partial<Omit<Granted, 'virtio' | 'cpu'>> {
  readonly virtio?: 'unknown' | (Partial<Omit<VirtioMachine, 'blk'>> & { readonly blk?: Partial<BlkMachine> });
  /** Of a processor, `has`, `physicalBits` and `vendor` are the adapter's to tell. */
  readonly cpu?: Partial<GrantedCpu>;
}
export type Result = { readonly hello: Hello } | { readonly granted: GrantedPart } | Answer | { readonly error: string };
/** `seq` is null in an error about a line whose seq could not be read. */
export type Reply = Result & { readonly seq: number | null };

const isSeq = (json: unknown): json is number => Number.isSafeInteger(json) && (json as number) >= 0;
/** The seq of a line, as far as it can be read. */
export const seqOf = (json: unknown): number | null => (isRecord(json) && isSeq(json['seq']) ? json['seq'] : null);

const parse = (line: string): Readonly<Record<string, unknown>> => {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw wireError(`the line must be one JSON object, but is ${excerpt(line)}`);
  }
  if (!isRecord(json)) throw wireError(`the line must be one JSON object, but is ${excerpt(json)}`);
  return json;
};

/** The one verb or result of a line, after checking that nothing else stands there. */
const only = (json: Readonly<Record<string, unknown>>, among: readonly string[], beside: Readonly<Record<string, string>> = {}): string => {
  const keys = Object.keys(json).filter((key) => key !== 'seq');
  const main = keys.filter((key) => among.includes(key));
  const [key] = main;
  if (key === undefined || main.length > 1) {
    throw wireError(`the line must have exactly one of the fields ${among.join(', ')} beside "seq", but has ${excerpt(keys)}`);
  }
  const extra = keys.find((k) => k !== key && beside[key] !== k);
  if (extra !== undefined) throw wireError(`field ${excerpt(extra)} is unknown: remove it (beside "seq" and "${key}")`);
  return key;
};

export const encodeRequest = (request: Request): string => {
  const { seq } = request;
  if ('apply' in request) return `{"seq":${seq},"apply":${encodeLine(request.apply)}}`;
  if ('hello' in request) return JSON.stringify({ seq, hello: 1 });
  if ('bye' in request) return JSON.stringify({ seq, bye: true });
  return JSON.stringify({ seq, reset: encodeMachine(request.reset), ...(request.file !== undefined && { file: request.file }) });
};

/** Throws a WireError. */
export const decodeRequest = (line: string): Request => {
  const json = parse(line);
  const { seq } = json;
  if (!isSeq(seq)) throw wireError(`field "seq" must be a whole number, but is ${excerpt(seq)}`);
  const verb = only(json, ['hello', 'reset', 'apply', 'bye'], { reset: 'file' });
  if (verb === 'apply') return { seq, apply: decodeStimulus(json['apply']) };
  if (verb === 'hello') {
    if (json['hello'] !== 1) throw wireError(`field "hello" must be 1, the version of this protocol, but is ${excerpt(json['hello'])}`);
    return { seq, hello: 1 };
  }
  if (verb === 'bye') {
    if (json['bye'] !== true) throw wireError(`field "bye" must be true, but is ${excerpt(json['bye'])}`);
    return { seq, bye: true };
  }
  const { file } = json;
  const reset = decodeMachine(json['reset']);
  if (file === undefined) return { seq, reset };
  if (typeof file !== 'string') throw wireError(`field "file" must be a path, but is ${excerpt(file)}`);
  return { seq, reset, file };
};

const parts = codecOf<GrantedPart>('granted', grantedPart);

export const encodeReply = (reply: Reply): string => {
  const { seq } = reply;
  if ('saw' in reply) return JSON.stringify({ seq, ...encodeAnswer({ saw: reply.saw }) });
  if ('hello' in reply) return JSON.stringify({ seq, hello: encodeHello(reply.hello) });
  if ('granted' in reply) return JSON.stringify({ seq, granted: parts.encode(reply.granted) });
  if ('unsupported' in reply) return JSON.stringify({ seq, unsupported: reply.unsupported });
  return 'broke' in reply ? JSON.stringify({ seq, broke: reply.broke }) : JSON.stringify({ seq, error: reply.error });
};

/** Throws a WireError. */
export const decodeReply = (line: string): Reply => {
  const json = parse(line);
  const seq = seqOf(json);
  const result = only(json, ['hello', 'granted', 'saw', 'unsupported', 'broke', 'error']);
  if (seq === null && !(result === 'error' && json['seq'] === null)) {
    throw wireError(`field "seq" must be the seq of the line answered, but is ${excerpt(json['seq'])}`);
  }
  if (result === 'hello') return { seq, hello: decodeHello(json['hello']) };
  if (result === 'granted') return { seq, granted: parts.decode(json['granted']) };
  if (result === 'error') return { seq, error: typeof json['error'] === 'string' ? json['error'] : excerpt(json['error']) };
  return { seq, ...decodeAnswer({ [result]: json[result] }) };
};

const levels = { none: 'queue', mmio: 'mmio', pci: 'pci', 'vhost-user': 'vhost-user' } as const;

/** What a grant of a processor must tell and does not. */
export const untold = (part: GrantedPart, machine: MachineConfig): readonly string[] =>
  machine.cpu === undefined ? [] : (['has', 'physicalBits', 'vendor'] as const).filter((fact) => part.cpu?.[fact] === undefined);

/** What was granted in full: everything that was left out is as asked. Of a processor nothing may be `untold`. */
export const completed = (part: GrantedPart, machine: MachineConfig, hello: Hello): Granted => {
  const asked = machine.virtio;
  const virtio =
    part.virtio === 'unknown' || asked === undefined ? undefined : { ...asked, ...part.virtio, blk: { ...asked.blk, ...part.virtio?.blk } };
  return {
    memory: part.memory ?? { size: machine.memory, fill: machine.fill, seen: 'compared' },
    level: part.level ?? (machine.vtd === undefined ? levels[machine.bus] : 'mmio'),
    reset: part.reset ?? 'device',
    offers: part.offers ?? hello.offers,
    ...(virtio && { virtio }),
    ...(machine.cpu && { cpu: { ...machine.cpu, ...part.cpu } as GrantedCpu }),
    ...(machine.vtd && { vtd: part.vtd ?? machine.vtd }),
  };
};
