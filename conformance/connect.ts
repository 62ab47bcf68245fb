// Names of targets, and what it takes to reach each: the one place that knows them all.
// Adapters are loaded when asked for, so that a missing library or program costs nothing until then.

import type { Target } from '../spec/units.ts';

/** Whether this machine can run a target, the reason if not, and the command that would change it. */
export interface Availability {
  readonly name: string;
  readonly available: boolean;
  readonly detail?: string;
  readonly reason?: string;
  readonly install?: string;
}
/** A name that no target has, or a target that cannot be reached: exit 64. */
export interface ConnectError extends Error {
  readonly kind: 'connect';
}
const cannot = (message: string): ConnectError => Object.assign(new Error(message), { kind: 'connect' as const });
export const isConnectError = (error: unknown): error is ConnectError =>
  error instanceof Error && 'kind' in error && error.kind === 'connect';

type Probe =
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly install?: string };
interface Kind {
  /** As a user writes it. */
  readonly usage: string;
  readonly matches: (name: string) => boolean;
  readonly open: (rest: string, name: string) => Promise<Target>;
  readonly probe?: () => Promise<Probe> | Probe;
  /** Why there can be no second connection; of some kinds only where they are told what to connect to. */
  readonly once?: string;
}
const named =
  (word: string) =>
  (name: string): boolean =>
    name === word || name.startsWith(`${word}:`);
const needed = (rest: string, what: string, example: string): string => {
  if (rest === '') throw cannot(`${what} is missing: write ${example}`);
  return rest;
};

export const kinds: readonly Kind[] = [
  {
    usage: 'ref[:DISK]',
    matches: named('ref'),
    open: async (rest) => (await import('./targets/ref/ref.ts')).refTarget(rest === '' ? undefined : rest),
    probe: () => ({ available: true, detail: 'in process' }),
    once: 'its disk is one file',
  },
  {
    usage: 'ref-rom',
    matches: (n) => n === 'ref-rom',
    open: async () => (await import('./targets/ref-rom/ref-rom.ts')).refRomTarget(),
    probe: () => ({ available: true, detail: 'the reference processor booting the agent' }),
  },
  {
    usage: 'fault:ID',
    matches: named('fault'),
    open: async (rest) => (await import('./targets/fault/fault.ts')).faultTarget(needed(rest, 'the id of a fault', 'fault:VB-001')),
    probe: () => ({ available: true, detail: 'the reference with one seeded fault' }),
  },
  {
    usage: 'trace:FILE',
    matches: named('trace'),
    open: async (rest) => (await import('./targets/trace/trace.ts')).traceTarget(needed(rest, 'the file', 'trace:recording.jsonl')),
  },
  {
    usage: 'module:FILE',
    matches: named('module'),
    open: async (rest) => (await import('./targets/module/module.ts')).moduleTarget(needed(rest, 'the module', 'module:./target.js')),
  },
  {
    usage: 'exec:COMMAND',
    matches: named('exec'),
    open: async (rest) => (await import('./targets/exec/exec.ts')).execTarget(needed(rest, 'the command', 'exec:./my-adapter')),
  },
  {
    usage: 'qsd',
    matches: (n) => n === 'qsd',
    open: async () => (await import('./targets/vhost-user/target.ts')).qsdTarget(),
    probe: async () => (await import('./targets/vhost-user/target.ts')).probeQsd(),
  },
  {
    usage: 'vhost-user:SOCKET',
    matches: named('vhost-user'),
    open: async (rest) =>
      (await import('./targets/vhost-user/target.ts')).vhostUserTarget(needed(rest, 'the socket', 'vhost-user:/run/blk.sock')),
    once: 'a back end serves one front end at a time',
  },
  {
    usage: 'qemu[:BINARY]',
    matches: named('qemu'),
    open: async (rest) => (await import('./targets/qemu/target.ts')).qemuTarget(rest === '' ? undefined : rest),
    probe: async () => (await import('./targets/qemu/target.ts')).probeQemu(),
  },
  {
    usage: 'qemu-microvm',
    matches: named('qemu-microvm'),
    open: async (rest) => (await import('./targets/qemu/target.ts')).microvmTarget(rest === '' ? undefined : rest),
    probe: async () => (await import('./targets/qemu/target.ts')).probeMicrovm(),
  },
  {
    usage: 'kvm',
    matches: (n) => n === 'kvm',
    open: async () => (await import('./targets/kvm/target.ts')).kvmTarget(),
    probe: async () => (await import('./targets/kvm/target.ts')).probeKvm(),
  },
  {
    usage: 'native',
    matches: (n) => n === 'native',
    open: async () => (await import('./targets/native/target.ts')).nativeTarget(),
    probe: async () => (await import('./targets/native/target.ts')).probeNative(),
  },
  {
    usage: 'bochs[:MODEL]',
    matches: named('bochs'),
    open: async (rest) => (await import('./targets/bochs/bochs.ts')).bochsTarget(rest === '' ? undefined : rest),
    probe: async () => (await import('./targets/bochs/bochs.ts')).probeBochs(),
  },
  {
    usage: 'qemu-tcg[:BINARY]',
    matches: named('qemu-tcg'),
    open: async (rest) => (await import('./targets/qemu-tcg/tcg.ts')).tcgTarget(rest === '' ? undefined : rest),
    probe: async () => (await import('./targets/qemu-tcg/tcg.ts')).probeTcg(),
  },
  {
    usage: 'guest:COMMAND',
    matches: named('guest'),
    open: async (rest) =>
      (await import('./targets/guest/guest.ts')).guestTarget(needed(rest, 'the command', "'guest:my-vmm --serial stdio --kernel {image}'")),
  },
];

/** Opens a target by name. Throws a ConnectError that names what is known, or why this one cannot be reached. */
export const connect = async (name: string): Promise<Target> => {
  const kind = kinds.find((k) => k.matches(name));
  if (kind === undefined) throw cannot(`no target is called ${name}; there are ${kinds.map((k) => k.usage).join(', ')}`);
  const colon = name.indexOf(':');
  try {
    return await kind.open(colon < 0 ? '' : name.slice(colon + 1), name);
  } catch (error) {
    if (isConnectError(error) || (error instanceof Error && 'kind' in error)) throw error;
    throw cannot(`${name} cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
  }
};

/** Why a target can be connected to only once, if so. */
export const onlyOnce = (name: string): string | undefined => (name.includes(':') ? kinds.find((k) => k.matches(name))?.once : undefined);

/** What this machine can run. Kinds that need a file or command of the user's are listed as available. */
export const probes = async (): Promise<readonly Availability[]> => {
  const rows: Availability[] = [];
  for (const kind of kinds) {
    const probed = kind.probe === undefined ? ({ available: true, detail: 'yours' } as const) : await kind.probe();
    rows.push({ name: kind.usage, ...probed });
  }
  return rows;
};
