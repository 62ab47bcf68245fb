#!/usr/bin/env node
// vmmc: the command. Everything it understands is in program.ts.

import { main } from './program.ts';

const status = await main(process.argv.slice(2));
// Adapters may leave worker threads behind them; what is owed to the user has been printed.
process.exit(status);
