import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { placeShimFiles, type ShimFate } from '../../src/node/shim-files.ts'
import { builtShim } from '../native/shim.ts'
import { eventually } from '../rig/daemon.ts'
import { packageCopy } from '../rig/package-copy.ts'
import { PLEXUS, runCli } from '../rig/plexus.ts'
import { atEnd, TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** What the issue gives it; half a second as a rule. */
const PUT_BACK_MS = 5000
/** Until a watch that was just started has done anything, on a busy machine. */
const START_MS = 20_000

/** Starts `plexus install --watch` and gives what it has said. */
function startWatch(executable: string, args: readonly string[]): { child: ChildProcess; said(): string } {
  const child = spawn(executable, [...args, '--watch'], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', PLEXUS_TEST_RUN: TEST_RUN },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  atEnd(() => child.kill('SIGKILL'))
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  // A test that fails must not wait for it.
  child.unref()
  if (child.stderr instanceof Socket) child.stderr.unref()
  return { child, said: () => text }
}

async function stopped(child: ChildProcess): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.ref()
  child.kill('SIGTERM')
  return await ended
}

spec('plexus install --watch', (it) => {
  it('puts back what is removed or changed, also behind a link that leads elsewhere', async () => {
    const dir = tempDir('watch')
    const binDir = join(dir, 'bin')
    mkdirSync(binDir)
    const link = join(dir, 'link')
    symlinkSync(binDir, link)
    const { child, said } = startWatch(PLEXUS, ['install', '--no-fallback', '--bin-dir', link])
    const there = (folder: string, timeoutMs = PUT_BACK_MS): Promise<void> =>
      eventually(() => {
        assert.ok(readFileSync(join(folder, 'plexus')).equals(readFileSync(builtShim())))
        assert.match(readFileSync(join(folder, 'plexus.shim'), 'utf8'), 'version=')
      }, timeoutMs)
    await there(binDir, START_MS)
    // At once, while it is still at it.
    for (let times = 0; times < 5; times++) {
      await there(binDir)
      rmSync(join(binDir, 'plexus'))
    }
    await there(binDir)
    writeFileSync(join(binDir, 'plexus.shim'), '')
    await there(binDir)
    chmodSync(join(binDir, 'plexus'), 0o666)
    await eventually(() => assert.is(lstatSync(join(binDir, 'plexus')).mode & 0o7777, 0o755), PUT_BACK_MS)
    const next = join(dir, 'next')
    mkdirSync(next)
    symlinkSync(next, `${link}.new`)
    renameSync(`${link}.new`, link)
    await there(next)
    renameSync(next, `${next}.away`)
    await eventually(() => assert.match(said(), 'does not exist'), PUT_BACK_MS)
    mkdirSync(next)
    await there(next)
    assert.is(await stopped(child), 0)
    assert.match(said(), `put back: ${link}/plexus\n`)
  })

  it('of two with other settings the one that was started later wins, and the other when that has stopped', async () => {
    const dir = tempDir('watch')
    const binDir = join(dir, 'bin')
    mkdirSync(binDir)
    const start = (wait: number) =>
      startWatch(PLEXUS, [
        ...['install', '--no-fallback', '--bin-dir', binDir, '--state-dir', join(dir, 'state')],
        ...['--add-wait', String(wait)],
      ])
    const conf = join(binDir, 'plexus.shim')
    const holds = (wait: number): Promise<void> =>
      eventually(() => assert.match(readFileSync(conf, 'utf8'), `addWait=${wait}\n`), START_MS)
    const leavesAlone = ({ said }: { said(): string }, times: number): Promise<void> =>
      eventually(() => assert.is(said().split('left alone').length - 1, times, said()), START_MS)
    const old = start(11)
    await holds(11)
    const young = start(12)
    await holds(12)
    await leavesAlone(old, 1)
    const { ino } = lstatSync(conf)
    // As long as each of them looks several times.
    await delay(2000)
    assert.is(lstatSync(conf).ino, ino, `${old.said()}\n${young.said()}`)
    rmSync(conf)
    await eventually(() => assert.match(young.said(), 'put back'), PUT_BACK_MS)
    await holds(12)
    // A container that is started anew comes later, too, until its pod goes.
    assert.is(await stopped(old.child), 0)
    const again = start(11)
    await leavesAlone(young, 1)
    await holds(11)
    assert.is(await stopped(again.child), 0)
    await holds(12)
    assert.is(await stopped(young.child), 0)
    // Nobody keeps it: what is installed by hand counts, and who is started then counts more.
    const args = ['install', '--no-fallback', '--bin-dir', binDir, '--add-wait', '13']
    assert.is((await runCli([...args, '--state-dir', join(dir, 'state')])).status, 0)
    await holds(13)
  })

  it('leaves another release alone that has been installed, and the node while it is uninstalled', async () => {
    const dir = tempDir('watch')
    const [binDir, stateDir] = [join(dir, 'bin'), join(dir, 'state')]
    mkdirSync(binDir)
    const args = ['install', '--bin-dir', binDir, '--state-dir', stateDir]
    const { child, said } = startWatch(PLEXUS, [...args, '--no-fallback'])
    const shim = join(binDir, 'plexus')
    await eventually(() => assert.ok(existsSync(shim)), START_MS)
    const { plexus } = packageCopy('9.9.9')
    assert.is((await runCli(args, { executable: plexus })).status, 0)
    await eventually(() => assert.match(said(), 'release 9.9.9 has been installed'), PUT_BACK_MS)
    assert.ok(existsSync(join(binDir, 'plexus-standalone')))
    mkdirSync(stateDir)
    writeFileSync(join(stateDir, 'uninstalling'), '')
    for (const name of ['plexus', 'plexus.shim', 'plexus-standalone']) rmSync(join(binDir, name))
    await eventually(() => assert.match(said(), 'being uninstalled here'), PUT_BACK_MS)
    assert.equal(readdirSync(binDir), [])
    // The end of an uninstall, which a pod that is about to end has to outlive without undoing it.
    rmSync(stateDir, { recursive: true })
    await eventually(() => assert.match(said(), 'has been uninstalled here'), PUT_BACK_MS)
    assert.equal(readdirSync(binDir), [])
    assert.is((await runCli([...args, '--no-fallback'])).status, 0)
    await eventually(() => {
      rmSync(shim, { force: true })
      assert.match(said(), `put back: ${shim}\n`)
    }, START_MS)
    await eventually(() => assert.ok(existsSync(shim)), PUT_BACK_MS)
    assert.is(await stopped(child), 0)
  })

  it('that begins when an uninstall has removed the folder of state from under it leaves the node as it is', async () => {
    const dir = tempDir('watch')
    const [binDir, stateDir] = [join(dir, 'bin'), join(dir, 'state')]
    mkdirSync(binDir)
    mkdirSync(stateDir)
    // As a mount of a container does, it leads to the folder and not to its name.
    const mount = openSync(stateDir, 'r')
    rmdirSync(stateDir)
    const folders = ['--bin-dir', binDir, '--state-dir', `/proc/${process.pid}/fd/${mount}`]
    const { child, said } = startWatch(PLEXUS, ['install', '--no-fallback', ...folders])
    await eventually(() => assert.match(said(), 'has been uninstalled here'), START_MS)
    assert.equal(readdirSync(binDir), [])
    assert.is(await stopped(child), 0)
    closeSync(mount)
  })

  it('an uninstall that overtakes it while it copies wins, and keeps what it still needs', () => {
    const binDir = tempDir('watch')
    const shim = builtShim()
    const conf = {
      ...{ version: '1', socket: '/run/s', stateDir: '/var/s', binDirs: [binDir] },
      ...{ addWait: 1, delWait: 1, fallback: undefined },
    }
    const place = (...fates: ShimFate[]): string[] => {
      placeShimFiles(
        { binDir, conf, shim, standalone: undefined },
        undefined,
        () => fates.shift() ?? 'uninstalled',
      )
      return readdirSync(binDir).sort()
    }
    assert.equal(place(), [])
    assert.equal(place('kept', 'uninstalled'), [])
    assert.equal(place('kept', 'uninstalling'), [])
    assert.equal(place('kept', 'kept', 'kept', 'kept'), ['plexus', 'plexus.shim'])
    writeFileSync(join(binDir, 'plexus'), 'spoilt')
    assert.equal(place('kept', 'uninstalling'), ['plexus', 'plexus.shim'])
    writeFileSync(join(binDir, 'plexus'), 'spoilt')
    assert.equal(place('kept', 'uninstalled'), ['plexus.shim'])
  })
})
