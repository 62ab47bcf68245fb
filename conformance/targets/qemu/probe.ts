// Whether this machine can run a QEMU model: the binary, its version, and the properties its device has.

import { spawnSync } from 'node:child_process';
import type { Model } from './models.ts';

export type Probe =
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly install: string };

const install = 'apt-get install -y --no-install-recommends qemu-system-x86';

export interface Found {
  readonly binary: string;
  readonly version: string;
  /** Of the model's device. */
  readonly properties: ReadonlySet<string>;
}

const output = (binary: string, args: readonly string[]): string | undefined => {
  const ran = spawnSync(binary, args, { encoding: 'latin1', timeout: 20_000 });
  return ran.status === 0 ? ran.stdout : undefined;
};

/** The first binary that has the machine and the device, or why none does. */
export function find(model: Model, binary?: string): Found | { readonly reason: string } {
  const reasons: string[] = [];
  if (process.platform !== 'linux') return { reason: `needs Linux, this is ${process.platform}` };
  for (const helper of ['setpriv', 'mkfifo', 'sh']) {
    if (spawnSync(helper, ['--help'], { stdio: 'ignore' }).error !== undefined) return { reason: `${helper}: not found` };
  }
  for (const candidate of binary === undefined ? model.binaries : [binary]) {
    const version = /version (.+)/.exec(output(candidate, ['--version']) ?? '')?.[1];
    if (version === undefined) {
      reasons.push(`${candidate}: not found`);
      continue;
    }
    const machines = output(candidate, ['-machine', 'help']) ?? '';
    const help = output(candidate, ['-device', `${model.device},help`]);
    if (!new RegExp(`^${model.machine} `, 'm').test(machines)) reasons.push(`${candidate}: no machine ${model.machine}`);
    else if (help === undefined) reasons.push(`${candidate}: no device ${model.device}`);
    else return { binary: candidate, version, properties: new Set([...help.matchAll(/^ {2}([\w-]+)=/gm)].map((m) => m[1] ?? '')) };
  }
  return { reason: reasons.join('; ') };
}

export function probe(model: Model, binary?: string): Probe {
  const found = find(model, binary);
  return 'reason' in found
    ? { available: false, reason: found.reason, install }
    : { available: true, detail: `${found.binary}, version ${found.version}` };
}
