// What a register read must show: stored bits, reserved and write-only bits, constants, and status that has a life of its own.
// VT-d 4.1, Register Descriptions; one check a rule, told together.

import { invalidationRead, statusChecks } from './command.ts';
import { pending } from './faults.ts';
import { behindBy } from './page-queue.ts';
import type { Cell, VtdGhost } from './ghost.ts';
import { CCMD, FECTL, FSTS, GCMD, GSTS, ICS, IECTL, IQERCD, IQH, PECTL, PMEN, PQT, PRS, VER } from './layout.ts';
import type { Line } from './line.ts';
import type { Event } from '../vocabulary.ts';
import type { VtdCheck } from './vocabulary.ts';

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
const check = (rule: string, ok: boolean, expected: string, got: string): VtdCheck => ({ rule, ok, expected, got });
const one = (b: boolean): string => (b ? '1' : '0');

const cellChecks = (g: VtdGhost, at: number, c: Cell, value: number, list: VtdCheck[]): void => {
  const { name } = c.register;
  const got = `${name} ${hex(value)}`;
  if (c.zero !== 0) {
    const rule =
      at === GCMD || name === 'IVA_REG'
        ? 'vt-d.register.write-only'
        : name === 'CCMD_REG'
          ? 'vt-d.register.command-id'
          : 'vt-d.register.reserved';
    list.push(check(rule, (value & c.zero) === 0, `0 in ${hex(c.zero)}`, got));
  }
  if (c.fixed !== undefined) list.push(check('vt-d.register.read-only', value >>> 0 === c.fixed >>> 0, hex(c.fixed), got));
  if (at === VER) {
    list.push(check('vt-d.register.version', (value & 0xff) !== 0, 'a version', got));
    if (c.seen !== undefined) list.push(check('vt-d.register.read-only', c.seen === value >>> 0, hex(c.seen), got));
  }
  // Bit 4 of the tail is reserved where descriptors are wide.
  const stored = name === 'IQT_REG' && g.queue.width === 32 ? c.judged & ~0x10 : c.judged;
  if (stored !== 0)
    list.push(
      check(c.written ? 'vt-d.register.read-write' : 'vt-d.register.reset', ((value ^ c.value) & stored) === 0, hex(c.value & stored), got),
    );
};
/** A bit that was read. Where it may be either, it is no evidence. */
const decided = (list: VtdCheck[], rule: string, seen: boolean, states: readonly boolean[], name: string, value: number): void => {
  const may = [...new Set(states)];
  if (may.length === 1) list.push(check(rule, may.includes(seen), `${name} ${may.map(one).join(' or ')}`, hex(value)));
};
const faultStatus = (g: VtdGhost, value: number, list: VtdCheck[]): void => {
  if (g.faultsUnknown !== undefined) return;
  const states = g.faults;
  const flag = (rule: string, n: number, of: (s: (typeof states)[number]) => boolean): void => {
    const seen = ((value >>> n) & 1) === 1;
    decided(list, rule, seen, states.map(of), `bit ${n}`, value);
  };
  flag('vt-d.fault.pending', 1, pending);
  flag('vt-d.fault.overflow', 0, (s) => s.pfo);
  flag('vt-d.queue.error', 4, (s) => s.iqe);
  if (g.a.dt) {
    flag('vt-d.queue.completion-error', 5, (s) => s.ice);
    flag('vt-d.queue.timeout', 6, (s) => s.ite);
  }
  const withRecords = states.filter(pending);
  if (((value >>> 1) & 1) === 1 && withRecords.length > 0) {
    const fri = (value >>> 8) & 0xff;
    const may = [...new Set(withRecords.map((s) => s.fri))];
    if (may.length === 1 || !may.includes(fri))
      list.push(check('vt-d.fault.index', may.includes(fri), `FRI ${may.join(' or ')}`, hex(value)));
  }
};
const ipCheck = (rule: string, states: readonly boolean[], value: number, list: VtdCheck[]): void =>
  decided(list, rule, ((value >>> 30) & 1) === 1, states, 'IP', value);
const lineChecks = ({ states }: Line, rule: string, value: number, list: VtdCheck[], overflow: boolean): void => {
  decided(
    list,
    rule,
    (value & 1) === 1,
    states.map((s) => s.status),
    'bit 0',
    value,
  );
  if (!overflow) return;
  decided(
    list,
    'vt-d.pri.overflow',
    (value & 2) === 2,
    states.map((s) => s.overflow),
    'bit 1',
    value,
  );
};
const queueHead = (g: VtdGhost, value: number, list: VtdCheck[]): void => {
  const { queue: q } = g;
  if (q.unknown !== undefined) return;
  const head = q.head * q.width;
  if (q.rested || (value & 0x7fff0) === head) {
    const rule = q.error !== undefined ? 'vt-d.queue.error-head' : q.enabled ? 'vt-d.queue.head' : 'vt-d.queue.head-reset';
    list.push(check(rule, (value & 0x7fff0) === head, `IQH ${hex(head)}`, hex(value)));
  }
};
const errorRecord = (g: VtdGhost, value: number, list: VtdCheck[]): void => {
  const { error, errorRule, rested, unknown } = g.queue;
  const code = value & 0xf;
  if (error === undefined || unknown !== undefined || (!rested && (code === 0 || !error.includes(code)))) return;
  list.push(check('vt-d.queue.error-info', error.includes(code), `IQEI ${error.join(' or ')} (${errorRule})`, hex(value)));
};

/** One 32-bit half that was read. */
const dword = (g: VtdGhost, at: number, value: number, list: VtdCheck[]): void => {
  const cell = g.cells.get(at);
  if (cell !== undefined) cellChecks(g, at, cell, value, list);
  switch (at) {
    case GSTS:
      list.push(...statusChecks(g, value));
      break;
    case FSTS:
      faultStatus(g, value, list);
      break;
    case FECTL:
      if (g.faultsUnknown === undefined)
        ipCheck(
          'vt-d.fault.event-pending',
          g.faults.map((s) => s.ip),
          value,
          list,
        );
      break;
    case IQH:
      queueHead(g, value, list);
      break;
    case ICS:
      if (g.a.qi && g.completionUnknown === undefined && g.queue.unknown === undefined)
        lineChecks(g.completion, 'vt-d.queue.completion', value, list, false);
      break;
    case IECTL:
      if (g.a.qi && g.completionUnknown === undefined && g.queue.unknown === undefined)
        ipCheck(
          'vt-d.queue.completion-pending',
          g.completion.states.map((s) => s.ip),
          value,
          list,
        );
      break;
    case IQERCD:
      errorRecord(g, value, list);
      break;
    case PMEN:
      if (cell !== undefined && g.pmenRested)
        list.push(check('vt-d.pmr.status', (value & 1) === cell.value >>> 31, `PRS ${cell.value >>> 31}`, hex(value)));
      break;
    case PQT:
      if (g.a.prs && g.pageQueue.tail !== undefined) {
        const behind = behindBy(g, value);
        // With requests on their way more than one place is right, and no evidence.
        if (behind === undefined || g.pageQueue.behind === 0)
          list.push(check('vt-d.pri.tail', behind !== undefined, `PQT ${hex(g.pageQueue.tail * 32)}`, hex(value)));
      }
      break;
    case PRS:
      if (g.a.prs && g.pageQueue.tail !== undefined) lineChecks(g.page, 'vt-d.pri.pending', value, list, true);
      break;
    case PECTL:
      if (g.a.prs && g.pageQueue.tail !== undefined)
        ipCheck(
          'vt-d.pri.event-pending',
          g.page.states.map((s) => s.ip),
          value,
          list,
        );
      break;
    default:
  }
};
export interface Read {
  readonly at: number;
  readonly width: 4 | 8;
  readonly value: bigint;
}
/** Checks, and what the read shows of invalidations by register. */
export const readChecks = (g: VtdGhost, e: Read): { readonly checks: readonly VtdCheck[]; readonly events: readonly Event[] } => {
  const checks: VtdCheck[] = [];
  const events: Event[] = [];
  for (let i = 0; i < e.width; i += 4) dword(g, e.at + i, Number((e.value >> BigInt(i * 8)) & 0xffffffffn), checks);
  for (const at of [CCMD, g.a.iro + 8]) {
    // The half that tells the end is the upper one.
    const upper = e.at === at && e.width === 8 ? e.value : e.at === at + 4 && e.width === 4 ? e.value << 32n : undefined;
    if (upper === undefined) continue;
    const r = invalidationRead(g, at, upper);
    checks.push(...r.checks);
    events.push(...r.events);
  }
  return { checks, events };
};
