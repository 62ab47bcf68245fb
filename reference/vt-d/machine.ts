// Decides what a machine with a remapping unit is: guest memory, the unit, its requesters, answering one stimulus at a time.
// It is synchronous: an answer holds all that the stimulus caused, in the order it happened, replies last.

import type { Answer, Capability, Gpa, Granted, Iova, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Requester, RequesterAbility, VtdMachine } from '../../spec/vt-d/vocabulary.ts';
import type { Machine } from '../machine.ts';
import { createMemory, inside, refill } from '../memory.ts';
import { type Completion, translationRequest } from './ats.ts';
import { writeRegister } from './commands.ts';
import { dmaAtomic, dmaRead, dmaWrite } from './dma.ts';
import { createFunctions, functionsRefusal } from './functions.ts';
import { decodeProfile, inconsistent } from './profile.ts';
import { pageRequest } from './pri.ts';
import { readWord } from './registers.ts';
import { createUnit, resetUnit } from './unit.ts';

const MEMORY_LIMIT = 1 << 30;
const REQUESTERS_LIMIT = 64;
/** One DMA request of a stimulus. */
const LENGTH_LIMIT = 1 << 20;
/** Accesses of one stimulus: a full invalidation queue has 2^15 descriptors of at most 8 words and a status write each. */
const BUDGET = 1 << 20;
/** Pages of one translation request. */
const PAGES_LIMIT = 512;
/** A function that is not there, or must not send, gets nothing. */
const unsent: Completion = { status: 'unsupported-request', entries: [] };

/** Why no such machine can be built. */
export const vtdRefusal = (config: MachineConfig): string | undefined => {
  const { vtd, memory } = config;
  if (vtd === undefined) return 'a machine without a remapping unit';
  if (config.bus !== 'none' && config.bus !== 'pci') return `a remapping unit on bus ${config.bus}`;
  if (memory <= 0 || memory % 4096 !== 0 || memory > MEMORY_LIMIT) return `memory of ${memory} bytes`;
  if (memory > 2 ** vtd.hostAddressWidth) return `memory of ${memory} bytes in ${vtd.hostAddressWidth} address bits`;
  if (vtd.requesters.length > REQUESTERS_LIMIT) return `${vtd.requesters.length} requesters`;
  return inconsistent(vtd.cap, vtd.ecap, vtd.hostAddressWidth) ?? functionsRefusal(vtd.requesters);
};

/** Throws RangeError where `refusal` gives a reason. */
export const vtdMachine = (config: MachineConfig): Machine => {
  const { vtd } = config;
  const refused = vtdRefusal(config);
  if (vtd === undefined || refused !== undefined) throw new RangeError(`unsupported machine: ${refused}`);
  const { requesters } = vtd;
  const profile = decodeProfile(vtd.cap, vtd.ecap, vtd.hostAddressWidth);
  let saw: Observation[] = [];
  let replies: Observation[] = [];
  let broke: string | undefined;
  const stored = (at: number, bytes: Uint8Array): void => {
    saw.push({ saw: 'memory.changed', writes: [{ at: BigInt(at) as Gpa, bytes }] });
  };
  const memory = createMemory(config.memory, config.fill, stored, config.image);
  const functions = createFunctions(requesters);
  const answering = requesters.map(() => true);
  const indexOf = (sourceId: number): number => requesters.findIndex((r) => r.sourceId === sourceId);
  const unit = createUnit(profile, memory, {
    see: (observation) => void saw.push(observation),
    invalidateDevice: (sourceId, page, pages, pasid) => {
      const index = indexOf(sourceId);
      if (index < 0 || !functions.exists(index) || requesters[index]?.can.includes('ats') !== true) return false;
      saw.push({
        saw: 'ats.invalidation',
        requester: index,
        at: (BigInt(page) << 12n) as Iova,
        pages,
        ...(pasid < 0 ? {} : { pasid }),
      });
      return answering[index] === true;
    },
    respond: (sourceId, group, code, pasid) => {
      const index = indexOf(sourceId);
      if (index < 0) return;
      saw.push({ saw: 'pri.response', requester: index, group, code, ...(pasid < 0 ? {} : { pasid }) });
    },
  });

  const apply = (stimulus: Stimulus): Answer => {
    if (broke !== undefined) return { broke };
    saw = [];
    replies = [];
    memory.left = BUDGET;
    try {
      const unsupported = perform(stimulus);
      return unsupported === undefined ? { saw: saw.concat(replies) } : { unsupported };
    } catch (error) {
      broke = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      return { broke };
    }
  };
  /** The requester, or why the stimulus cannot be. */
  const able = (index: number, ...abilities: readonly (RequesterAbility | false)[]): Requester | string => {
    const requester = requesters[index];
    if (requester === undefined) return `requester ${index}`;
    const lacking = abilities.find((ability) => ability !== false && !requester.can.includes(ability));
    return lacking === undefined ? requester : `requester ${index} without ${lacking}`;
  };
  const done = (requester: number, completed: boolean, bytes?: Uint8Array): void => {
    const outcome = completed ? 'completed' : 'blocked';
    replies.push({ saw: 'dma.done', requester, outcome, ...(bytes === undefined ? {} : { bytes }) });
  };
  const perform = (stimulus: Stimulus): string | undefined => {
    switch (stimulus.do) {
      case 'memory.write':
        if (!inside(memory, Number(stimulus.at), stimulus.bytes.length)) return 'memory.write outside memory';
        memory.bytes.set(stimulus.bytes, Number(stimulus.at));
        return undefined;
      case 'settle':
        replies.push({ saw: 'settled', by: 'sync' });
        return undefined;
      case 'vtd.read': {
        const { at, width } = stimulus;
        const low = at % 4 === 0 ? readWord(unit.registers, at) : 0;
        const high = at % 4 === 0 && width === 8 ? readWord(unit.registers, at + 4) : 0;
        replies.push({ saw: 'vtd.register', at, width, value: (BigInt(high) << 32n) | BigInt(low) });
        return undefined;
      }
      case 'vtd.write':
        writeRegister(unit, stimulus.at, stimulus.width, stimulus.value);
        return undefined;
      case 'dma.read': {
        const { requester: index, length } = stimulus;
        const r = able(index, 'read', ...attributes(stimulus), stimulus.execute === true && 'execute');
        if (typeof r === 'string') return r;
        if (length > LENGTH_LIMIT) return `dma.read of ${length} bytes`;
        const bytes = functions.masters(index) ? dmaRead(unit, r.sourceId, stimulus, length) : undefined;
        done(index, bytes !== undefined, r.can.includes('read.bytes') ? bytes : undefined);
        return undefined;
      }
      case 'dma.write': {
        const { requester: index, bytes } = stimulus;
        const r = able(index, 'write', ...attributes(stimulus));
        if (typeof r === 'string') return r;
        if (bytes.length > LENGTH_LIMIT) return `dma.write of ${bytes.length} bytes`;
        done(index, functions.masters(index) && dmaWrite(unit, r.sourceId, stimulus, bytes));
        return undefined;
      }
      case 'dma.atomic': {
        const { requester: index, width, operand } = stimulus;
        const r = able(index, 'atomic', ...attributes(stimulus));
        if (typeof r === 'string') return r;
        const bytes = functions.masters(index) ? dmaAtomic(unit, r.sourceId, stimulus, width, operand) : undefined;
        done(index, bytes !== undefined, r.can.includes('read.bytes') ? bytes : undefined);
        return undefined;
      }
      case 'msi.send': {
        const { requester: index, address, data, pasid } = stimulus;
        const r = able(index, 'msi', pasid !== undefined && 'pasid');
        if (typeof r === 'string') return r;
        const bytes = new Uint8Array(4);
        new DataView(bytes.buffer).setUint32(0, data, true);
        if (functions.masters(index)) dmaWrite(unit, r.sourceId, { at: address, ...(pasid === undefined ? {} : { pasid }) }, bytes);
        return undefined;
      }
      case 'ats.request': {
        const { requester: index, pages } = stimulus;
        const r = able(index, 'ats', stimulus.pasid !== undefined && 'pasid');
        if (typeof r === 'string') return r;
        if (pages < 1 || pages > PAGES_LIMIT) return `ats.request of ${pages} pages`;
        const completion = functions.masters(index) ? translationRequest(unit, r.sourceId, stimulus, pages) : unsent;
        replies.push({ saw: 'ats.completion', requester: index, ...completion });
        return undefined;
      }
      case 'pri.request': {
        const r = able(stimulus.requester, 'pri', stimulus.pasid !== undefined && 'pasid');
        if (typeof r === 'string') return r;
        if (functions.masters(stimulus.requester)) pageRequest(unit, r.sourceId, stimulus);
        return undefined;
      }
      case 'ats.answers': {
        const r = able(stimulus.requester, 'ats');
        if (typeof r === 'string') return r;
        answering[stimulus.requester] = stimulus.answers;
        return undefined;
      }
      case 'function.config.read': {
        const { requester, at, width } = stimulus;
        const r = able(requester, 'config');
        if (typeof r === 'string') return r;
        replies.push({ saw: 'function.config', requester, at, width, value: functions.read(requester, at, width) });
        return undefined;
      }
      case 'function.config.write': {
        const r = able(stimulus.requester, 'config');
        if (typeof r === 'string') return r;
        functions.write(stimulus.requester, stimulus.at, stimulus.width, stimulus.value);
        return undefined;
      }
      case 'function.reset': {
        const r = able(stimulus.requester);
        if (typeof r === 'string') return r;
        functions.reset(stimulus.requester);
        answering[stimulus.requester] = true;
        return undefined;
      }
      case 'vtd.reset':
        resetUnit(unit);
        return undefined;
      default:
        return stimulus.do;
    }
  };
  const reset = (): void => {
    broke = undefined;
    refill(memory);
    resetUnit(unit);
    functions.powerOn();
    answering.fill(true);
  };
  return { granted: granting(config, vtd), apply, reset };
};

/** What the attributes of a request demand of its requester. */
const attributes = (asked: { readonly pasid?: number; readonly translated?: boolean }): readonly (RequesterAbility | false)[] => [
  asked.pasid !== undefined && 'pasid',
  asked.translated === true && 'translated',
];

const granting = (config: MachineConfig, vtd: VtdMachine): Granted => {
  const any = (ability: RequesterAbility): boolean => vtd.requesters.some((r) => r.can.includes(ability));
  const profile = decodeProfile(vtd.cap, vtd.ecap, vtd.hostAddressWidth);
  const offers: Capability[] = ['memory.order', 'memory.seen', 'vt-d', 'vt-d.register', 'vt-d.dma', 'vt-d.reset', 'vt-d.interrupt'];
  if (any('atomic')) offers.push('vt-d.atomic');
  if (any('pasid')) offers.push('vt-d.pasid');
  if (any('ats') && profile.deviceTlb) offers.push('vt-d.ats');
  if (any('pri') && profile.pageRequests) offers.push('vt-d.pri');
  if (vtd.requesters.some((r) => r.physical !== undefined)) offers.push('sriov');
  return { memory: { size: config.memory, fill: config.fill, seen: 'ordered' }, level: 'mmio', reset: 'device', offers, vtd };
};
