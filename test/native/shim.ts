import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type PlexusCall, type PlexusRun, ROOT, type RunningPlexus, startPlexus } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'

const BUILT = join(ROOT, 'dist/native/plexus')

/** An installed shim with its own socket, state directory, bin directory and plexus.shim. */
export interface TestShim {
  readonly executable: string
  readonly socket: string
  readonly stateDir: string
  readonly binDir: string
  /** Folder of the executable and of plexus.shim. */
  readonly dir: string
  /** Writes plexus.shim anew; the keys of this shim are kept unless overridden. */
  configure(keys?: Readonly<Record<string, string>>): void
  start(command: string | undefined, call?: PlexusCall): RunningPlexus
  run(command: string | undefined, call?: PlexusCall): Promise<PlexusRun>
}

/** Builds dist/native/plexus when a source is newer. */
export function builtShim(): string {
  const sources = [...globSync('native/*.{c,h}', { cwd: ROOT }), 'scripts/build-native.mjs']
  const newest = Math.max(...sources.map((path) => statSync(join(ROOT, path)).mtimeMs))
  if (!existsSync(BUILT) || statSync(BUILT).mtimeMs < newest) {
    execFileSync(process.execPath, ['scripts/build-native.mjs'], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  return BUILT
}

/** Installs the shim in a folder of its own; waits are 5 s unless configured otherwise. */
export function testShim(): TestShim {
  const dir = tempDir('shim')
  const executable = join(dir, 'plexus')
  copyFileSync(builtShim(), executable)
  chmodSync(executable, 0o755)
  const socket = join(dir, 'run/plexus.sock')
  const stateDir = join(dir, 'state')
  const binDir = join(dir, 'bin')
  mkdirSync(join(dir, 'run'), { mode: 0o700 })
  mkdirSync(binDir, { mode: 0o755 })
  const configure = (keys: Readonly<Record<string, string>> = {}): void => {
    const all = { socket, stateDir, binDirs: binDir, addWait: '5', delWait: '5', ...keys }
    const lines = Object.entries(all).map(([key, value]) => `${key}=${value}\n`)
    writeFileSync(join(dir, 'plexus.shim'), `# settings of the shim\n${lines.join('')}`, { mode: 0o644 })
  }
  configure()
  const start = (command: string | undefined, call: PlexusCall = {}): RunningPlexus =>
    startPlexus(command, {
      executable,
      conf: { cniVersion: '1.0.0', name: 'plexus-net', type: 'plexus' },
      ...(command === 'STATUS' || command === 'GC'
        ? {}
        : { containerId: 'pod-1', ifName: 'eth0', netns: '/run/netns/none' }),
      args: 'IgnoreUnknown=1',
      path: [binDir],
      timeoutMs: 30_000,
      ...call,
    })
  return {
    executable,
    socket,
    stateDir,
    binDir,
    dir,
    configure,
    start,
    run: (command, call) => start(command, call).finished,
  }
}
