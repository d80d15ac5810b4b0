// Run by npm after an install of the checkout itself. Plain JavaScript: with `--omit=dev` there is
// no Node.js 24 in node_modules/.bin, and the system's may be older.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const node = `${root}node_modules/node/bin/node`

if (existsSync(`${root}node_modules/esbuild`) && existsSync(node)) {
  const { status } = spawnSync(node, ['scripts/build.ts'], { cwd: root, stdio: ['ignore', 2, 2] })
  process.exitCode = status ?? 1
  // Without a compiler there is no shim, and the standalone plugin serves.
  spawnSync(node, ['scripts/build-native.mjs'], { cwd: root, stdio: ['ignore', 2, 2] })
} else if (!existsSync(`${root}dist/main.cjs`)) {
  process.stderr.write(
    'plexus: dist/ is not built: that needs the development dependencies (npm ci without --omit=dev)\n',
  )
}
