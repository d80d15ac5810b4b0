import { type ChildProcess, spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { builtShim } from '../native/shim.ts'
import { mountState } from '../plugin/mounted-state.ts'
import { type Crash, crash } from '../rig/crash.ts'
import { packageCopy } from '../rig/package-copy.ts'
import { PLEXUS, type PlexusCall, type PlexusRun, ROOT, runCli, runPlexus } from '../rig/plexus.ts'
import { atEnd, TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

interface Place {
  readonly dir: string
  readonly binDir: string
  readonly stateDir: string
  install(...more: readonly string[]): Promise<PlexusRun>
  args(...more: readonly string[]): string[]
}

/** A node's folder of plugins, with another plugin in it. */
function place(): Place {
  const dir = tempDir('install')
  const binDir = join(dir, 'bin')
  const stateDir = join(dir, 'state')
  mkdirSync(binDir, { mode: 0o755 })
  writeFileSync(join(binDir, 'bridge'), 'another plugin')
  const args = (...more: readonly string[]): string[] => [
    ...['install', '--bin-dir', binDir, '--state-dir', stateDir, '--socket', join(dir, 'run/s.sock')],
    ...more,
  ]
  return { dir, binDir, stateDir, args, install: (...more) => runCli(args('--no-fallback', ...more)) }
}

function assertGood(run: PlexusRun): void {
  assert.is(run.status, 0, `stdout ${run.stdout}, stderr ${run.stderr}`)
}

function actionsOf(run: PlexusRun): unknown[] {
  const { files } = JSON.parse(run.stdout) as { files: { path: string; action: string }[] }
  return files.map(({ path, action }) => `${path.slice(path.lastIndexOf('/') + 1)} ${action}`)
}

/** A process that does nothing but install, one release after the other, until it is killed. */
function startInstalling(binDir: string, sources: readonly string[]): ChildProcess {
  const script = `
    import { placeShimFiles } from ${JSON.stringify(join(ROOT, 'src/node/shim-files.ts'))}
    const [binDir, ...sources] = process.argv.slice(1)
    const conf = { socket: '/s', stateDir: '/t', binDirs: [binDir], addWait: 1, delWait: 1, fallback: undefined }
    const waiting = new Int32Array(new SharedArrayBuffer(4))
    for (let turn = 0; ; turn++) {
      const shim = sources[turn % sources.length]
      placeShimFiles({ binDir, conf: { ...conf, version: 'v' + (turn % 7) }, shim, standalone: shim })
      if (turn === 0) process.stdout.write('at work')
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, binDir, ...sources], {
    env: { PLEXUS_TEST_RUN: TEST_RUN },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  atEnd(() => child.kill('SIGKILL'))
  return child
}

function releases(dir: string): string[] {
  return ['old', 'new'].map((name, index) => {
    const path = join(dir, `plexus-${name}`)
    writeFileSync(path, Buffer.concat([readFileSync(builtShim()), Buffer.alloc(200_000 * index, name)]))
    return path
  })
}

function assertWhole(path: string, sources: readonly string[]): void {
  if (!existsSync(path)) return
  const bytes = readFileSync(path)
  assert.ok(
    sources.some((source) => readFileSync(source).equals(bytes)),
    `${path} is no release: ${bytes.length} bytes`,
  )
  assert.is(lstatSync(path).mode & 0o7777, 0o755)
}

spec('plexus install', (it) => {
  it('puts shim, configuration and fallback in place; a second time it touches nothing', async () => {
    const { plexus, standalone } = packageCopy()
    const { binDir, stateDir, args, dir } = place()
    const first = await runCli(args('--host-bin-dir', '/host/bin', '-o', 'json'), { executable: plexus })
    assertGood(first)
    const created = ['plexus.shim created', 'plexus-standalone created', 'plexus created']
    assert.equal(actionsOf(first), created)
    assert.equal(readdirSync(binDir).sort(), ['bridge', 'plexus', 'plexus-standalone', 'plexus.shim'])
    const modeOf = (name: string): number => lstatSync(join(binDir, name)).mode & 0o7777
    assert.equal(['plexus', 'plexus-standalone', 'plexus.shim'].map(modeOf), [0o755, 0o755, 0o600])
    assert.ok(readFileSync(join(binDir, 'plexus-standalone')).equals(readFileSync(standalone)))
    const text = readFileSync(join(binDir, 'plexus.shim'), 'utf8')
    const [, installed = ''] = /^installed=(.*)$/m.exec(text) ?? []
    assert.ok(Math.abs(Date.parse(installed) - Date.now()) < 600_000, installed)
    assert.is(
      text,
      `# Written by "plexus install".
version=${version}
installed=${installed}
socket=${join(dir, 'run/s.sock')}
stateDir=${stateDir}
binDirs=/host/bin
addWait=10
delWait=2
fallback=/host/bin/plexus-standalone
`,
    )
    const marks = (): unknown[] =>
      readdirSync(binDir).map((name) => {
        const { ino, ctimeMs } = lstatSync(join(binDir, name))
        return [name, ino, ctimeMs]
      })
    const before = marks()
    const second = await runCli(args('--host-bin-dir', '/host/bin', '-o', 'json'), { executable: plexus })
    assert.equal(
      actionsOf(second),
      created.map((line) => line.replace('created', 'unchanged')),
    )
    assert.equal(marks(), before)
    chmodSync(join(binDir, 'plexus'), 0o777)
    const third = await runCli(args('--no-fallback', '-o', 'json'), { executable: plexus })
    assert.equal(actionsOf(third), ['plexus.shim replaced', 'plexus-standalone removed', 'plexus replaced'])
    assert.is(modeOf('plexus'), 0o755)
  })

  it('the shim takes its configuration from there', async () => {
    const { dir, binDir, install } = place()
    assertGood(await install('--add-wait', '0', '--plugin-dir', '/opt/a', '--plugin-dir', '/opt/b'))
    assert.match(readFileSync(join(binDir, 'plexus.shim'), 'utf8'), 'binDirs=/opt/a:/opt/b\n')
    const run = await runPlexus('STATUS', {
      executable: join(binDir, 'plexus'),
      conf: { cniVersion: '1.1.0', name: 'n', type: 'plexus' },
      path: [binDir],
    })
    assert.is(run.json?.code, 50, run.stdout)
    assert.match(run.stdout, join(dir, 'run'))
  })

  it('an executable that runs is replaced under it', async () => {
    const { binDir, install } = place()
    const path = join(binDir, 'plexus')
    copyFileSync('/bin/sleep', path)
    const child = spawn(path, ['600'], { env: { PLEXUS_TEST_RUN: TEST_RUN }, stdio: 'ignore' })
    await new Promise((resolve) => child.once('spawn', resolve))
    assert.throws(() => writeFileSync(path, ''), /ETXTBSY/)
    assertGood(await install())
    assert.ok(readFileSync(path).equals(readFileSync(builtShim())))
    child.kill('SIGKILL')
  })

  it('killed at each step it leaves each file whole, and the next run leaves nothing else', async () => {
    const [older, newer] = [packageCopy('1.0.0'), packageCopy('2.0.0')]
    appendFileSync(older.standalone, '# older\n')
    // The compile cache is written by the first run: not one of the steps.
    const [before, other] = [place(), place()]
    assertGood(await runCli(before.args(), { executable: older.plexus }))
    assertGood(await runCli(other.args(), { executable: newer.plexus }))
    const shims = [older, newer].map(({ plexus }) => plexus.replace(/bin\/plexus$/, 'dist/native/plexus'))
    const standalones = [older, newer].map(({ standalone }) => standalone)
    const kill = async (effect: number): Promise<Crash> => {
      const { binDir, args } = place()
      cpSync(before.binDir, binDir, { recursive: true })
      const install = (call: PlexusCall): Promise<PlexusRun> =>
        runCli(args(), { executable: call.executable ?? '', env: call.env ?? {} })
      const crashed = await crash({ effect, when: 'before' }, install, newer.plexus)
      const at = (name: string): string => join(binDir, name)
      assertWhole(at('plexus'), shims)
      assertWhole(at('plexus-standalone'), standalones)
      assert.match(
        readFileSync(at('plexus.shim'), 'utf8'),
        /^# Written.*\nversion=[12]\.0\.0\n.*fallback=.*\n$/s,
      )
      assertGood(await runCli(args(), { executable: newer.plexus }))
      assert.equal(readdirSync(binDir).sort(), ['bridge', 'plexus', 'plexus-standalone', 'plexus.shim'])
      assertWhole(at('plexus'), shims.slice(1))
      assertWhole(at('plexus-standalone'), standalones.slice(1))
      assert.match(readFileSync(at('plexus.shim'), 'utf8'), 'version=2.0.0')
      return crashed
    }
    let next = 1
    let effects: readonly string[] = []
    const work = async (): Promise<void> => {
      while (effects.length === 0) {
        const crashed = await kill(next++)
        if (!crashed.isKilled) effects = crashed.effects
      }
    }
    await Promise.all([work(), work()])
    const renamed = effects.filter((effect) => effect.startsWith('rename '))
    assert.is(renamed.length, 3, effects.join('\n'))
    assert.ok(effects.length > 15, effects.join('\n'))
  })

  it('two at once do not disturb each other', async () => {
    const { dir, binDir, install } = place()
    const sources = releases(dir)
    const children = [startInstalling(binDir, sources), startInstalling(binDir, sources.toReversed())]
    const errors = children.map((child) => {
      let text = ''
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      return () => text
    })
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout?.once('data', resolve))))
    for (let looks = 0; looks < 40; looks++) {
      for (const name of ['plexus', 'plexus-standalone']) {
        assert.ok(existsSync(join(binDir, name)), `${name} is gone for a moment`)
        assertWhole(join(binDir, name), sources)
      }
      await delay(25)
    }
    for (const child of children) assert.is(child.exitCode, null, errors.map((said) => said()).join(''))
    const ends = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
    for (const child of children) child.kill('SIGKILL')
    await Promise.all(ends)
    assertGood(await install())
    assert.equal(readdirSync(binDir).sort(), ['bridge', 'plexus', 'plexus.shim'])
  })

  it('a folder that is missing, a file or a directory in the way: what to do', async () => {
    const { binDir, install } = place()
    const missing = await install('--bin-dir', join(binDir, 'none'))
    assert.is(missing.status, 2, missing.stderr)
    mkdirSync(join(binDir, 'plexus'))
    const blocked = await install()
    assert.is(blocked.status, 1)
    assert.match(blocked.stderr, 'plexus is a directory')
    assert.match(blocked.stderr, 'move it away')
    rmSync(binDir, { recursive: true })
    const gone = await install()
    assert.is(gone.status, 1)
    assert.match(gone.stderr, `the folder of plugins ${binDir} does not exist`)
    assert.match(gone.stderr, "name the runtime's folder with --bin-dir")
    writeFileSync(binDir, '')
    assert.match((await install()).stderr, `${binDir} is no folder`)
  })

  it('on a full or read-only disk the old files stay, and the message says why', async () => {
    const { dir } = place()
    const binDir = join(dir, 'small')
    const mounted = await mountState(binDir, 'size=64k')
    const [program = '', ...enter] = mounted.enter
    const install = (): Promise<PlexusRun> =>
      runCli([...enter, PLEXUS, 'install', '--no-fallback', '--bin-dir', binDir], {
        executable: program,
      })
    const full = await install()
    assert.is(full.status, 1)
    assert.match(full.stderr, 'no space left on device')
    assert.match(full.stderr, 'What to do: free space and inodes')
    // What was written whole stays; no half file does.
    assert.equal(readdirSync(mounted.visible), ['plexus.shim'])
    await mounted.remount('size=4m')
    assertGood(await install())
    const before = readFileSync(join(mounted.visible, 'plexus'))
    writeFileSync(join(mounted.visible, 'plexus.shim'), 'older')
    await mounted.remount('ro')
    const readOnly = await install()
    assert.is(readOnly.status, 1)
    assert.match(readOnly.stderr, 'read-only file system')
    assert.match(readOnly.stderr, 'name a folder with --bin-dir that can be written')
    assert.ok(readFileSync(join(mounted.visible, 'plexus')).equals(before))
    assert.is(readFileSync(join(mounted.visible, 'plexus.shim'), 'utf8'), 'older')
  })

  it('what the shim would not understand is refused before anything is written', async () => {
    const { binDir, install } = place()
    for (const [more, reason] of [
      [['--state-dir', 'state'], 'must be an absolute path'],
      [['--socket', `/${'s'.repeat(107)}`], 'more than 107 bytes'],
      [['--plugin-dir', '/opt/a:/opt/b'], 'must have no ":"'],
      [['--plugin-dir', '/opt/a\nfallback=/tmp/x'], 'no line breaks'],
      [['--add-wait', '1.5s'], 'whole seconds'],
    ] as const) {
      const run = await runCli(['install', '--no-fallback', '--bin-dir', binDir, ...more])
      assert.is(run.status, 2, run.stderr)
      assert.match(run.stderr, reason)
    }
    assert.is((await install('--fallback')).status, 2)
    assert.equal(readdirSync(binDir), ['bridge'])
  })

  it('a package without the fallback says how to do without', async () => {
    const { plexus, standalone } = packageCopy()
    const { args } = place()
    rmSync(standalone)
    const run = await runCli(args(), { executable: plexus })
    assert.is(run.status, 1)
    assert.match(run.stderr, `${standalone} is not part of this installation`)
    assert.match(run.stderr, '--no-fallback')
  })
})
