#!/usr/bin/env node
// vmmc: the command. Everything it understands is in program.ts.

// First, so that nothing is compiled before.
import '../conformance/compiler.ts';
import { handedOver } from './print.ts';
import { main } from './program.ts';

// Whoever read us has gone: as a shell sees it, 128 + SIGPIPE.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(141);
});
const status = await main(process.argv.slice(2));
// Adapters may leave worker threads behind them, so that the process has to be ended; a pipe may not have taken all that was printed.
await Promise.all([handedOver(process.stdout), handedOver(process.stderr)]);
process.exit(status);
