// The client as one ES module that needs nothing else, for browsers and Node.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'dist',
    license: { fileName: 'licenses.md' },
    target: 'es2023',
    minify: false,
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'client' },
  },
  test: { name: 'client', include: ['tests/*.test.ts'], restoreMocks: true, testTimeout: 20_000 },
})
