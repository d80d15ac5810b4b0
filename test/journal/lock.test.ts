import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { lockAllSandboxes, lockSandbox } from '../../src/journal/lock.ts'
import { builtShim } from '../native/shim.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const LONG = 20_000

/** The CniError that a promise is rejected with; any other outcome fails the test. */
async function rejection(promise: Promise<unknown>): Promise<CniError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MODULE = join(ROOT, 'src/journal/lock.ts')

/** In a mount namespace of its own hides the programs named up to `--`, then becomes the rest. */
const HIDE = `for program; do
  shift
  [ "$program" = -- ] && break
  mount --bind /dev/null "$(readlink -f "$(command -v "$program")")"
done
exec "$@"`

/**
 * A process that takes a container's lock and then holds it until `end` is called.
 *
 * @param hidden Programs that are not there for it.
 * @throws {Error} The words of the one that it was refused with.
 */
async function holder(
  stateDir: string,
  containerId: string,
  { module = MODULE, hidden = [] }: { module?: string; hidden?: readonly string[] } = {},
) {
  const script = `import { lockSandbox } from ${JSON.stringify(module)}
    const lock = await lockSandbox(${JSON.stringify(stateDir)}, ${JSON.stringify(containerId)}, ${LONG}, false)
      .catch(({ code, message, hint }) => process.stdout.write(code + ' ' + message + '; ' + hint))
    if (lock !== true) process.stdout.write('held')
    process.stdin.once('data', () => { lock.release?.(true); process.exit(0) })`
  const hiding = hidden.length === 0 ? [] : ['unshare', '--mount', 'sh', '-c', HIDE, 'sh', ...hidden, '--']
  const words = [...hiding, process.execPath, '--input-type=module-typescript', '-e', script]
  const [program = '', ...args] = words
  const child: ChildProcess = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  if (child.stdout === null) throw new Error('no stdout')
  const [said] = await once(child.stdout, 'data')
  const exited = once(child, 'exit')
  if (String(said) !== 'held') {
    child.stdin?.write('end')
    await exited
    throw new Error(String(said))
  }
  return {
    async end() {
      child.stdin?.write('end')
      await exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** Exit status of `flock -n` on a path: 0 when nobody holds it, 1 when somebody does. */
const tryFlock = (path: string, mode: string): number | null =>
  spawnSync('flock', [mode, '-n', path, 'true'], { stdio: 'ignore' }).status

spec('lock of a container', (it) => {
  it.before(() => void builtShim())

  it('is flock(2) on a file of the state directory, which other programs see', async () => {
    const stateDir = tempDir('lock')
    const lock = await lockSandbox(stateDir, 'c1', LONG, false)
    const path = join(stateDir, 'locks/c1')
    assert.is(tryFlock(path, '--exclusive'), 1)
    assert.is(tryFlock(join(stateDir, 'locks'), '--exclusive'), 1)
    assert.is(tryFlock(join(stateDir, 'locks'), '--shared'), 0)
    assert.is(statSync(path).mode & 0o777, 0o600)
    lock.release(false)
    assert.is(tryFlock(path, '--exclusive'), 0)
    assert.is(tryFlock(join(stateDir, 'locks'), '--exclusive'), 0)
  })

  it('the file goes when nothing of the container is left', async () => {
    const stateDir = tempDir('lock')
    const lock = await lockSandbox(stateDir, 'c1', LONG, false)
    lock.release(true)
    assert.equal(readdirSync(join(stateDir, 'locks')), [])
  })

  it('CNI-102, NPWG-114 another process waits for it, bounded, with error 11', async () => {
    const stateDir = tempDir('lock')
    const other = await holder(stateDir, 'c1')
    const begin = performance.now()
    const error = await rejection(lockSandbox(stateDir, 'c1', 300, false))
    const tookMs = performance.now() - begin
    assert.is(error.code, CniErrorCode.TryAgainLater)
    assert.match(error.message, 'lock of container c1 not had in 0.30 s')
    assert.ok(tookMs >= 290 && tookMs < 5000, `${tookMs} ms`)
    await other.end()
  })

  it('who waits gets it when the holder ends, on the file that is there then', async () => {
    const stateDir = tempDir('lock')
    const other = await holder(stateDir, 'c1')
    let isHeld = false
    const waiting = lockSandbox(stateDir, 'c1', LONG, false).then((lock) => {
      isHeld = true
      return lock
    })
    await new Promise((resolve) => setTimeout(resolve, 150))
    assert.is(isHeld, false)
    // The holder removes the file: a lock on what is gone would exclude nobody.
    await other.end()
    const lock = await waiting
    assert.ok(existsSync(join(stateDir, 'locks/c1')))
    assert.is(tryFlock(join(stateDir, 'locks/c1'), '--exclusive'), 1)
    lock.release(true)
  })

  it('CNI-101 a holder that is killed holds it no longer', async () => {
    const stateDir = tempDir('lock')
    const other = await holder(stateDir, 'c1')
    await other.kill()
    const lock = await lockSandbox(stateDir, 'c1', 5000, false)
    lock.release(true)
  })

  it('CNI-102, NPWG-115 other containers are not kept waiting', async () => {
    const stateDir = tempDir('lock')
    const locks = await Promise.all(['c1', 'c2', 'c3'].map((id) => lockSandbox(stateDir, id, LONG, false)))
    assert.equal(readdirSync(join(stateDir, 'locks')).sort(), ['c1', 'c2', 'c3'])
    for (const lock of locks) lock.release(true)
  })

  it('many processes at once hold it one after the other', async () => {
    const stateDir = tempDir('lock')
    let holders = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        const lock = await lockSandbox(stateDir, 'c1', LONG, false)
        holders += 1
        most = Math.max(most, holders)
        await new Promise((resolve) => setTimeout(resolve, 5))
        holders -= 1
        lock.release(true)
      }),
    )
    assert.is(most, 1)
    assert.equal(readdirSync(join(stateDir, 'locks')), [])
  })

  it('CNI-067 GC waits for every container, and every container for GC', async () => {
    const stateDir = tempDir('lock')
    const other = await holder(stateDir, 'c1')
    const refused = await rejection(lockAllSandboxes(stateDir, 200))
    assert.is(refused.code, CniErrorCode.TryAgainLater)
    assert.match(refused.message, 'lock of all containers')
    await other.end()
    const all = await lockAllSandboxes(stateDir, 5000)
    assert.is((await rejection(lockSandbox(stateDir, 'c2', 200, false))).code, CniErrorCode.TryAgainLater)
    all.release(true)
    const lock = await lockSandbox(stateDir, 'c2', 5000, false)
    lock.release(true)
  })

  it('a state directory that cannot be made is error 5 for ADD, and does not stop DEL', async () => {
    const folder = tempDir('lock')
    writeFileSync(join(folder, 'file'), '')
    const stateDir = join(folder, 'file/state')
    assert.is((await rejection(lockSandbox(stateDir, 'c1', 1000, false))).code, CniErrorCode.Io)
    assert.is((await rejection(lockAllSandboxes(stateDir, 1000))).code, CniErrorCode.Io)
    const lock = await lockSandbox(stateDir, 'c1', 1000, true)
    assert.equal(lock.fds, [])
    lock.release(true)
  })

  it('a lock file that cannot be made leaves DEL the lock of the folder', async () => {
    const stateDir = tempDir('lock')
    mkdirSync(join(stateDir, 'locks/c1'), { recursive: true })
    assert.is((await rejection(lockSandbox(stateDir, 'c1', 1000, false))).code, CniErrorCode.Io)
    const lock = await lockSandbox(stateDir, 'c1', 1000, true)
    assert.is(tryFlock(join(stateDir, 'locks'), '--exclusive'), 1)
    lock.release(true)
    assert.is(tryFlock(join(stateDir, 'locks'), '--exclusive'), 0)
  })

  it('the shim takes it, else flock of util-linux, both without a shell; without either the error says so', async () => {
    const lone = join(tempDir('lone'), 'src')
    for (const part of ['cni', 'journal'])
      cpSync(join(ROOT, 'src', part), join(lone, part), { recursive: true })
    const module = join(lone, 'journal/lock.ts')
    for (const way of [{ hidden: ['flock', 'sh'] }, { module, hidden: ['sh'] }]) {
      const stateDir = tempDir('lock')
      const held = await holder(stateDir, 'c1', way)
      assert.is(tryFlock(join(stateDir, 'locks/c1'), '--shared'), 1)
      assert.is(tryFlock(join(stateDir, 'locks'), '--exclusive'), 1)
      assert.is(tryFlock(join(stateDir, 'locks'), '--shared'), 0)
      const { code, message } = await rejection(lockSandbox(stateDir, 'c1', 100, false))
      assert.equal(
        [code, message.slice(0, 33)],
        [CniErrorCode.TryAgainLater, 'lock of container c1 not had in 0'],
      )
      await held.end()
      assert.equal(readdirSync(join(stateDir, 'locks')), [])
    }
    const refused = await holder(tempDir('lock'), 'c1', { module, hidden: ['flock'] }).then(
      () => 'it was had',
      (error) => String(error),
    )
    assert.match(refused, /5 no lock of container c1: .*dist\/native\/plexus ENOENT, and .*flock E/)
    assert.match(refused, 'or install util-linux here')
  })
})
