import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildResult, build, type Plugin } from 'esbuild'
import { assertNoSchemaCompiler, bundleOptions } from './bundle-options.ts'
import { warmCompileCache } from './compile-cache.ts'
import { standaloneValidators } from './standalone-validators.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const outdir = join(root, 'dist')

/** Where the process starts; it becomes `dist/main.cjs`. */
const ENTRY = 'src/entry.ts'
/** Each file that one of these imports dynamically becomes a bundle of its own, loaded only when needed. */
const SWITCHES = ['src/main.ts', 'src/store/kubelet.ts']

/** Cuts the bundle at the dynamic imports of {@link SWITCHES} and notes where the others begin. */
function cutBundles(found: Map<string, string>): Plugin {
  return {
    name: 'cut-bundles',
    setup({ onResolve }) {
      onResolve({ filter: /^\.{1,2}\// }, ({ kind, importer, resolveDir, path }) => {
        if (kind !== 'dynamic-import' || !SWITCHES.includes(relative(root, importer))) return undefined
        const source = join(resolveDir, path)
        const name = basename(source, '.ts')
        if ((found.get(name) ?? source) !== source || name === 'main') {
          throw new Error(`two files would become dist/${name}.cjs`)
        }
        found.set(name, source)
        return { path: `./${name}.cjs`, external: true }
      })
    },
  }
}

const options = { ...bundleOptions(root), outdir, legalComments: 'linked' as const }
const bundles = new Map<string, string>([['main', ENTRY]])
const built: BuildResult[] = []
const begun = new Set<string>()
// From each bundle on to those that it is cut off from, until there are no more.
for (;;) {
  const next = [...bundles].filter(([name]) => !begun.has(name))
  if (next.length === 0) break
  for (const [name] of next) begun.add(name)
  const plugins = [cutBundles(bundles), standaloneValidators(root)]
  const result = await build({ ...options, entryPoints: Object.fromEntries(next), plugins })
  assertNoSchemaCompiler(result.metafile)
  built.unshift(result)
}

// A process may start from dist/ at this moment: files appear whole, by rename, the one that names
// the others last.
await mkdir(outdir, { recursive: true })
const written = new Set<string>()
for (const { path, contents } of built.flatMap(({ outputFiles }) => outputFiles ?? [])) {
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

for (const name of bundles.keys()) {
  const { size } = await stat(join(outdir, `${name}.cjs`))
  process.stderr.write(`built dist/${name}.cjs, ${Math.ceil(size / 1024)} KiB\n`)
}
