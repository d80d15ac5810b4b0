// Builds dist/plexus-standalone: the standalone plugin and the command line as one executable, a copy of
// node_modules' Node.js with the bundle inside. Another path may be given as the only argument.
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { assertNoSchemaCompiler, bundleOptions } from './bundle-options.ts'
import { standaloneValidators } from './standalone-validators.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const output = resolve(process.argv[2] ?? join(root, 'dist/plexus-standalone'))
/** Not the one that runs us: a distribution's may have its code in a library, where nothing can be put in. */
const node = join(root, 'node_modules/node/bin/node')
/** Node's mark for whether there is something inside; postject sets it. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** Without the entry of `dist/`, which keeps a compile cache beside itself. */
async function bundle(): Promise<Uint8Array> {
  const { metafile, outputFiles } = await build({
    ...bundleOptions(root),
    entryPoints: ['src/main.ts'],
    outdir: 'dist',
    legalComments: 'eof',
    plugins: [standaloneValidators(root)],
  })
  assertNoSchemaCompiler(metafile)
  const [file, ...others] = outputFiles
  if (file === undefined || others.length > 0) throw new Error('the bundle is not one file')
  return file.contents
}

/** Runs a program that has to succeed; its output is told only when it does not. */
function run(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: scratch,
    encoding: 'utf8',
    env: env ?? process.env,
    timeout: 120_000,
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${stderr}${stdout}`)
  return stdout
}

/** Leaves out what only debuggers need, 18 MB; a machine without binutils keeps it. */
function strip(file: string): void {
  try {
    run('strip', [file])
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}

mkdirSync(dirname(output), { recursive: true })
// Beside the output, for the rename at the end.
const scratch = mkdtempSync(join(dirname(output), '.plexus-standalone-'))
try {
  writeFileSync(join(scratch, 'plexus.cjs'), await bundle())
  const config = {
    // Relative, since it becomes part of the result.
    main: 'plexus.cjs',
    output: 'blob',
    assets: { 'package.json': join(root, 'package.json') },
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    // NODE_OPTIONS of a runtime's environment must not keep pods from their network.
    execArgvExtension: 'none',
  }
  writeFileSync(join(scratch, 'sea.json'), JSON.stringify(config))
  // With numbers that are not random in it, V8's code is the same every time.
  run(node, ['--predictable', '--experimental-sea-config', 'sea.json'])
  copyFileSync(node, join(scratch, 'plexus'))
  strip('plexus')
  const postject = fileURLToPath(import.meta.resolve('postject/dist/cli.js'))
  run(node, [postject, 'plexus', 'NODE_SEA_BLOB', 'blob', '--sentinel-fuse', FUSE])
  chmodSync(join(scratch, 'plexus'), 0o755)
  run(join(scratch, 'plexus'), [], { CNI_COMMAND: 'VERSION' })
  renameSync(join(scratch, 'plexus'), output)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
const { size } = statSync(output)
process.stderr.write(`built ${relative(root, output)}, ${Math.ceil(size / 1024 / 1024)} MiB\n`)
