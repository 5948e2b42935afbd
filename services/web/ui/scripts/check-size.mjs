// Fails when the built page is larger than its budget: everything that a first visit loads, gzipped.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const BUDGET = 240_000
const root = fileURLToPath(new URL('../../static', import.meta.url))
const loaded = readdirSync(root, { recursive: true })
  .map((name) => join(root, String(name)))
  .filter((path) => statSync(path).isFile() && !/licenses[^/]*$/.test(path))

let total = 0
for (const path of loaded) {
  const bytes = readFileSync(path)
  const size = path.endsWith('.woff2') ? bytes.length : gzipSync(bytes, { level: 9 }).length
  total += size
  console.log(`${String(size).padStart(8)}  ${relative(root, path)}`)
}
console.log(`${String(total).padStart(8)}  of ${BUDGET} bytes, gzipped`)
if (total > BUDGET) {
  console.error('The page is over its budget.')
  process.exit(1)
}
