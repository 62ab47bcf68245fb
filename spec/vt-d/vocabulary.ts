// A DMA-remapping unit with requesters behind it: registers, requests of devices, what came of them. Types only.
// Intel Virtualization Technology for Directed I/O 4.1; PCI Express Base (ATS, PRI, SR-IOV) for the functions.

import type { Gpa, Iova } from '../units.ts';

/** What a requester can be made to do. */
export type RequesterAbility =
  | 'read'
  | 'read.bytes' // the bytes that a read fetched can be seen
  | 'write'
  | 'atomic'
  | 'execute' // requests with execute and privileged attributes
  | 'pasid' // requests with PASID
  | 'translated' // requests whose address is translated already
  | 'ats'
  | 'pri'
  | 'msi' // raises any address and data pair as an interrupt request
  | 'config'; // has a configuration space that function.config.* reaches

export interface Requester {
  /** Bus 15:8, device 7:3, function 2:0. */
  readonly sourceId: number;
  readonly kind: 'endpoint' | 'bridge' | 'ioapic' | 'hpet';
  readonly can: readonly RequesterAbility[];
  /** Index of the physical function whose virtual function this is: it exists while SR-IOV has it enabled. */
  readonly physical?: number;
}
/** One remapping unit. A target that cannot build exactly this answers `unsupported`. */
export interface VtdMachine {
  /** CAP_REG and ECAP_REG, whole. */
  readonly cap: bigint;
  readonly ecap: bigint;
  /** Host address width in bits. */
  readonly hostAddressWidth: number;
  readonly requesters: readonly Requester[];
  /** Reserved memory regions as firmware reports them, both ends inclusive; known to software only, no hardware meaning. */
  readonly reserved?: readonly { readonly base: bigint; readonly limit: bigint; readonly sourceId: number }[];
}

/** Attributes of a memory request. */
interface Attributes {
  readonly requester: number;
  readonly at: Iova;
  readonly pasid?: number;
  readonly privileged?: boolean;
  /** Address type 10b: the address is a translation that the device got by ATS. */
  readonly translated?: boolean;
}
export type VtdStimulus =
  /** A register of the unit; `at` is the offset from its base. */
  | { readonly do: 'vtd.read'; readonly at: number; readonly width: 4 | 8 }
  | { readonly do: 'vtd.write'; readonly at: number; readonly width: 4 | 8; readonly value: bigint }
  /** A memory request of requester number `requester`. */
  | (Attributes & { readonly do: 'dma.read'; readonly length: number; readonly execute?: boolean })
  | (Attributes & { readonly do: 'dma.write'; readonly bytes: Uint8Array })
  /** Fetch-and-add, 4 or 8 bytes, little endian. */
  | (Attributes & { readonly do: 'dma.atomic'; readonly width: 4 | 8; readonly operand: bigint })
  /** Translation request for `pages` pages of 4 KiB. */
  | (Attributes & { readonly do: 'ats.request'; readonly pages: number; readonly noWrite?: boolean; readonly execute?: boolean })
  /** Page request of group `group`; `last` asks for a response. */
  | (Attributes & {
      readonly do: 'pri.request';
      readonly read: boolean;
      readonly write: boolean;
      readonly last: boolean;
      readonly group: number;
    })
  /** How the device answers invalidation requests from now on. */
  | { readonly do: 'ats.answers'; readonly requester: number; readonly answers: boolean }
  /** A write of 32-bit `data` to an interrupt address (FEEx_xxxxH), as an interrupt request. */
  | { readonly do: 'msi.send'; readonly requester: number; readonly address: bigint; readonly data: number; readonly pasid?: number }
  /** Configuration space of the requester's function. */
  | { readonly do: 'function.config.read'; readonly requester: number; readonly at: number; readonly width: 1 | 2 | 4 }
  | {
      readonly do: 'function.config.write';
      readonly requester: number;
      readonly at: number;
      readonly width: 1 | 2 | 4;
      readonly value: number;
    }
  /** Function-level reset. */
  | { readonly do: 'function.reset'; readonly requester: number }
  /** Hardware reset of the remapping unit. */
  | { readonly do: 'vtd.reset' };

export type VtdObservation =
  | { readonly saw: 'vtd.register'; readonly at: number; readonly width: 4 | 8; readonly value: bigint }
  /** `unseen`: the target cannot tell whether the request was completed (its device ignores errors); memory and fault records tell.
   *  Whatever the outcome, the request was looked up: tables that change later do not concern it.
   *  `bytes`: what a completed read fetched, or memory's former value for an atomic. Absent where the target cannot show it. */
  | {
      readonly saw: 'dma.done';
      readonly requester: number;
      readonly outcome: 'completed' | 'blocked' | 'unseen';
      readonly bytes?: Uint8Array;
    }
  /** Translation completion: one entry a page run, or a status. `address` is the translated address of the run's first page. */
  | {
      readonly saw: 'ats.completion';
      readonly requester: number;
      readonly status: 'success' | 'unsupported-request' | 'completer-abort';
      readonly entries: readonly AtsEntry[];
    }
  /** The device got an invalidation request. `pages` of 4 KiB; 0: everything. */
  | {
      readonly saw: 'ats.invalidation';
      readonly requester: number;
      readonly at: Iova;
      readonly pages: bigint;
      readonly pasid?: number;
    }
  | {
      readonly saw: 'pri.response';
      readonly requester: number;
      readonly group: number;
      readonly code: number;
      readonly pasid?: number;
    }
  /** An interrupt message that reached the interrupt fabric, in APIC terms; also the unit's own events. */
  | {
      readonly saw: 'apic.interrupt';
      readonly vector: number;
      /** Delivery mode, 0–7. SDM volume 3, Message Data Register Format. */
      readonly delivery: number;
      /** 32 bits; xAPIC destinations as 8-bit numbers. */
      readonly destination: number;
      readonly logical: boolean;
      readonly level: boolean;
      readonly redirectionHint: boolean;
      /** 'fault', 'completion', 'page': the unit's own event, where the target can tell. */
      readonly event?: 'fault' | 'completion' | 'page';
    }
  | {
      readonly saw: 'function.config';
      readonly requester: number;
      readonly at: number;
      readonly width: 1 | 2 | 4;
      readonly value: number;
    };
export interface AtsEntry {
  readonly address: bigint;
  /** Bytes, a power of two, at least 4096. */
  readonly size: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  readonly global: boolean;
  readonly untranslatedOnly: boolean;
  readonly noSnoop: boolean;
}

export type VtdDerived =
  /** The unit finished an invalidation: what it covered. */
  | {
      readonly saw: 'vtd.invalidated';
      readonly what: 'context' | 'iotlb' | 'pasid' | 'interrupt' | 'device-tlb';
      readonly by: 'register' | 'queue';
    }
  /** Software enabled, disabled or replaced a table. */
  | { readonly saw: 'vtd.table'; readonly what: 'root' | 'interrupt' | 'queue' | 'translation' }
  /** A duty of software towards the caches: a table entry was changed that the unit may have cached. */
  | { readonly saw: 'vtd.stale'; readonly at: Gpa }
  /** What was seen of a memory request, beside what was permitted. */
  | (VtdVerdict & {
      readonly saw: 'vtd.access';
      readonly seen: 'completed' | 'blocked' | 'bytes' | 'landed' | 'missing' | 'translation';
      /** A permitted outcome lets the request through. */
      readonly reach: boolean;
    })
  /** What came of an interrupt request, beside what was permitted. */
  | (VtdVerdict & {
      readonly saw: 'vtd.message';
      readonly seen: 'delivered' | 'nothing';
      readonly reach: boolean;
      /** Remappable format, compatibility format, or remapping is off. */
      readonly form: 'remapped' | 'posted' | 'compatibility' | 'off';
    })
  /** What a fault record was seen to hold, beside the faults that may stand there. */
  | {
      readonly saw: 'vtd.record';
      readonly present: boolean | undefined;
      /** Whether a fault stands there in all, some or none of the states that are possible. */
      readonly may: 'all' | 'some' | 'none';
      /** The record is what FPD would have suppressed. */
      readonly suppressed: boolean;
      /** Reasons that may stand there. */
      readonly reasons: readonly number[];
      readonly fields: readonly { readonly name: string; readonly expected: string; readonly saw: string; readonly ok: boolean }[];
    }
  /** What was seen at once, each with the rule that says what it can be. */
  | { readonly saw: 'vtd.status'; readonly checks: readonly VtdCheck[] }
  /** Memory changed where nothing that was asked for could change it; or it changed, all of it explained. */
  | { readonly saw: 'vtd.changed'; readonly explained: boolean; readonly where: string };
export interface VtdCheck {
  readonly rule: string;
  readonly ok: boolean;
  readonly expected: string;
  readonly got: string;
}
interface VtdVerdict {
  readonly requester: number;
  /** `excluded`: only a stale cache could show it; `rule` names what excludes it. */
  readonly matched: 'permitted' | 'excluded' | 'none';
  readonly rule?: string;
  /** Rules that exclude another outcome that could have been told apart. */
  readonly rules: readonly string[];
  /** Fault reasons with which it may be blocked. */
  readonly reasons: readonly number[];
  readonly expected: string;
  readonly got: string;
}
