// The client, and the fake for tests, as ES modules that need nothing else, for browsers and Node.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'dist',
    license: { fileName: 'licenses.md' },
    target: 'es2023',
    minify: false,
    lib: { entry: { client: 'src/index.ts', testing: 'src/testing.ts' }, formats: ['es'] },
    rolldownOptions: { output: { chunkFileNames: 'shared.js' } },
  },
  test: { name: 'client', include: ['tests/*.test.ts'], restoreMocks: true, testTimeout: 20_000 },
})
