// vmmc adapter: smoke-tests somebody's adapter, so that a broken adapter is not taken for a broken VMM.

import pc from 'picocolors';
import { smokeTest } from '../../conformance/smoke/adapter.ts';

export const adapterCommand = async (command: string): Promise<number> => {
  let red = 0;
  let checks = 0;
  for await (const c of smokeTest(command)) {
    checks++;
    if (!c.ok) red++;
    process.stdout.write(
      `${c.ok ? pc.green('✓') : pc.red('✗')} ${c.check}: ${c.detail}\n${c.ok || c.fix === undefined ? '' : `    fix: ${c.fix}\n`}`,
    );
  }
  process.stdout.write(
    red === 0 ? `${checks} checks passed: ready for vmmc check "exec:${command}"\n` : `${red} of ${checks} checks failed\n`,
  );
  return red === 0 ? 0 : 1;
};
