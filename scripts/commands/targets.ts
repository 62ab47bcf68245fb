// vmmc targets: which implementations this machine can run, each with the reason if not, and the command that would change it.

import { probes } from '../../conformance/connect.ts';

export const targetsCommand = async (options: { readonly json?: boolean }): Promise<number> => {
  const rows = await probes();
  if (options.json) {
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    return 0;
  }
  for (const r of rows) {
    const state = r.available
      ? `available  ${r.detail ?? ''}`
      : `missing    ${r.reason ?? ''}${r.install === undefined ? '' : `; install: ${r.install}`}`;
    process.stdout.write(`${r.name.padEnd(20)} ${state}\n`);
  }
  return 0;
};
