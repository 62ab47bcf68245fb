// For a test: a process that holds a target open until it is ended.

import { kvmTarget } from './target.ts';

const target = await kvmTarget();
process.stdout.write(`${target.hello.name}\n`);
setInterval(() => undefined, 1000);
