// The card alone, for other React apps: one ES module and one stylesheet; React stays the host's own.
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  publicDir: false,
  plugins: [react()],
  css: { modules: { generateScopedName: 'ibs-[local]-[hash:base64:5]' } },
  build: {
    outDir: 'dist',
    target: ['chrome123', 'firefox121', 'safari17.5'],
    lib: {
      entry: 'src/card/index.ts',
      formats: ['es'],
      fileName: 'stream-card',
      cssFileName: 'stream-card',
    },
    rollupOptions: { external: ['react', 'react-dom', 'react/jsx-runtime'] },
  },
})
