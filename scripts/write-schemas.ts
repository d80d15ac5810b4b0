import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { schemaFiles } from './schema-files.ts'

// Writes schemas/ anew, after a change of the schemas in src/.
const root = fileURLToPath(new URL('..', import.meta.url))
rmSync(join(root, 'schemas'), { recursive: true, force: true })
for (const [path, text] of schemaFiles()) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
