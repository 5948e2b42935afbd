// The page that `make run` serves: built into ../static with names and bytes that depend on the sources alone.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const CLIENT = fileURLToPath(new URL('client/src/index.ts', import.meta.url))

/** The font's licence goes with the font; those of the scripts are gathered by the bundler. */
const fontLicense: Plugin = {
  name: 'font-license',
  generateBundle() {
    const source = readFileSync('node_modules/@fontsource-variable/inter/LICENSE')
    this.emitFile({ type: 'asset', fileName: 'licenses-inter.txt', source })
  },
}

export default defineConfig({
  base: './',
  resolve: { alias: { '@ibstream/client': CLIENT } },
  plugins: [react(), fontLicense],
  server: { proxy: { '/api': 'http://127.0.0.1:8766' } },
  css: { modules: { generateScopedName: 'ibs-[local]-[hash:base64:5]' } },
  build: {
    outDir: '../static',
    emptyOutDir: true,
    target: ['chrome123', 'firefox121', 'safari17.5'],
    license: { fileName: 'licenses.md' },
    reportCompressedSize: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'card',
          environment: 'jsdom',
          include: ['tests/unit/**/*.test.{ts,tsx}'],
          setupFiles: ['tests/unit/setup.ts'],
          css: { modules: { classNameStrategy: 'non-scoped' } },
          restoreMocks: true,
          testTimeout: 20_000,
        },
      },
      'client',
    ],
  },
})
