// Writes the curated traces: every story of the catalogue, played on the reference or its seeded fault. Same bytes each time.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../conformance/connect.ts';
import { stories } from '../conformance/stories/catalogue.ts';
import { told } from '../conformance/stories/story.ts';

const traces = fileURLToPath(new URL('../traces', import.meta.url));
let failed = 0;
for (const story of stories) {
  const target = await connect(story.target);
  try {
    const text = await told(story, target);
    const file = join(traces, `${story.name}.jsonl`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    process.stdout.write(`${story.name}: ${text.split('\n').length - 1} lines\n`);
  } catch (error) {
    failed++;
    process.stderr.write(`✗ ${error instanceof Error ? error.message : String(error)}\n`);
  } finally {
    await target.close();
  }
}
process.exit(failed === 0 ? 0 : 1);
