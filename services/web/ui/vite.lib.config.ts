// The card alone, for other React apps: one ES module and one stylesheet; React stays the host's own.
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig, esmExternalRequirePlugin, type Plugin } from 'vite'

const CLIENT = fileURLToPath(new URL('client/src/index.ts', import.meta.url))
const HOSTS_OWN = ['react', 'react-dom', 'react/jsx-runtime']

/** A host's compiler wants to know what it imports, and not every host tells it about stylesheets. */
const stylesheetType: Plugin = {
  name: 'stylesheet-type',
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: 'stream-card.css.d.ts', source: 'export {}\n' })
  },
}

export default defineConfig({
  publicDir: false,
  resolve: { alias: { '@ibstream/client': CLIENT } },
  // A dependency that requires React must import the host's: browsers know no `require`.
  plugins: [react(), esmExternalRequirePlugin({ external: HOSTS_OWN }), stylesheetType],
  css: { modules: { generateScopedName: 'ibs-[local]-[hash:base64:5]' } },
  build: {
    outDir: 'dist',
    license: { fileName: 'licenses.md' },
    target: ['chrome123', 'firefox121', 'safari17.5'],
    lib: {
      entry: 'src/card/index.ts',
      formats: ['es'],
      fileName: 'stream-card',
      cssFileName: 'stream-card',
    },
  },
})
