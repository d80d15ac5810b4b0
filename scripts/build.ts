import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { assertNoSchemaCompiler, bundleOptions } from './bundle-options.ts'
import { warmCompileCache } from './compile-cache.ts'
import { standaloneValidators } from './standalone-validators.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const outdir = join(root, 'dist')

/** Where the process starts; it becomes `dist/main.cjs`. */
const ENTRY = 'src/entry.ts'
/** Each file that this one imports dynamically becomes a bundle of its own, loaded only when needed. */
const SWITCH = 'src/main.ts'

/** Cuts the bundle at the dynamic imports of {@link SWITCH} and notes where the others begin. */
function cutBundles(found: Map<string, string>): Plugin {
  return {
    name: 'cut-bundles',
    setup({ onResolve }) {
      onResolve({ filter: /^\.{1,2}\// }, ({ kind, importer, resolveDir, path }) => {
        if (kind !== 'dynamic-import' || importer !== join(root, SWITCH)) return undefined
        const source = join(resolveDir, path)
        const name = basename(source, '.ts')
        if ((found.get(name) ?? source) !== source || name === 'main') {
          throw new Error(`${SWITCH} imports two files that would become dist/${name}.cjs`)
        }
        found.set(name, source)
        return { path: `./${name}.cjs`, external: true }
      })
    },
  }
}

const options = { ...bundleOptions(root), outdir, legalComments: 'linked' as const }
const bundles = new Map<string, string>()
const entry = await build({ ...options, entryPoints: { main: ENTRY }, plugins: [cutBundles(bundles)] })
const rest = await build({
  ...options,
  entryPoints: Object.fromEntries(bundles),
  plugins: [standaloneValidators(root)],
})

for (const { metafile } of [entry, rest]) assertNoSchemaCompiler(metafile)

// A process may start from dist/ at this moment: files appear whole, by rename, the one that names
// the others last.
await mkdir(outdir, { recursive: true })
const written = new Set<string>()
for (const { path, contents } of [...(rest.outputFiles ?? []), ...(entry.outputFiles ?? [])]) {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`)
  await writeFile(temporary, contents)
  await rename(temporary, path)
  written.add(basename(path))
}
for (const name of await readdir(outdir)) {
  if (/\.cjs(?:\.LEGAL\.txt)?$/.test(name) && !name.startsWith('.') && !written.has(name))
    await rm(join(outdir, name))
}

await warmCompileCache(root)

for (const name of ['main', ...bundles.keys()]) {
  const { size } = await stat(join(outdir, `${name}.cjs`))
  process.stderr.write(`built dist/${name}.cjs, ${Math.ceil(size / 1024)} KiB\n`)
}
