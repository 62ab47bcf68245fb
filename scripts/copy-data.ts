// After tsc: what is no TypeScript but belongs to the package goes to the same place below dist.

import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const data = /\.(tsv|json|jsonl|c|h|py|md)$/;
for (const folder of ['spec', 'conformance', 'traces']) {
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (data.test(file) && !file.startsWith('found/') && !file.includes('__pycache__'))
      cpSync(join(folder, file), join('dist', folder, file));
  }
}
