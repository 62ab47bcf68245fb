// Tests run in forked processes, because signals do not reach worker threads; files share them, because loading the sources costs each a second or two.
// dist and packages are not ours to test.

import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = defineConfig({
  test: {
    pool: 'forks',
    isolate: false,
    maxWorkers: '100%',
    include: ['conformance/**/*.test.ts'],
    exclude: ['dist/**', 'node_modules/**'],
    testTimeout: 30_000,
  },
});
export default config;
