import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { assertNothingLeft } from '../rig/leftovers.ts'
import { spec } from '../spec.ts'
import { watchEffects } from './effects.ts'

/** What can be wrong with the socket's directory. Each is put back by the test. */
const DIRECTORIES: readonly (readonly [title: string, spoil: (directory: string) => void])[] = [
  ['that others may enter', (directory) => chmodSync(directory, 0o755)],
  ['that a group may write', (directory) => chmodSync(directory, 0o720)],
  ['of another user', (directory) => chownSync(directory, 65_534, 65_534)],
  [
    'that is a link',
    (directory) => {
      renameSync(directory, `${directory}.real`)
      symlinkSync(`${directory}.real`, directory)
    },
  ],
]

function repair(directory: string): void {
  if (lstatSync(directory).isSymbolicLink()) {
    rmSync(directory)
    renameSync(`${directory}.real`, directory)
  }
  chownSync(directory, 0, 0)
  chmodSync(directory, 0o700)
}

async function refusalOf(start: () => Promise<unknown>): Promise<string> {
  try {
    await start()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('the daemon has started')
}

spec('the socket and its directory', (it) => {
  it("a directory that is not root's alone: the shim asks nobody and says why at once, the daemon does not start", async () => {
    const node = await stubNode()
    // A long wait shows that nothing is waited for.
    const {
      shim: executable,
      socket,
      start,
    } = installDaemon(node, { shim: { addWait: '60', delWait: '60' } })
    const directory = dirname(socket)
    const daemon = await start()
    const pod = await node.pod()
    const other = await node.pod({ name: 'pod-b' })
    const before = await watchEffects(node, pod, other)
    const status = { executable, conf: node.conf({ cniVersion: '1.1.0' }) }
    for (const [title, spoil] of DIRECTORIES) {
      assertAdded(await pod.run('ADD', { executable }))
      spoil(directory)
      const reason = `socket directory ${directory} must be a directory of root's with mode 0700`
      const refused = [
        await other.run('ADD', { executable }),
        await other.run('GC', status),
        await other.run('STATUS', status),
      ]
      const check = await pod.run('CHECK', { executable })
      const del = await pod.run('DEL', { executable })
      const message = await refusalOf(start)
      repair(directory)

      for (const [index, run] of refused.entries()) assertRefused(run, [5, 5, 50][index] ?? 0, reason)
      for (const run of [check, del]) {
        assertDone(run)
        assert.match(run.stderr, reason)
      }
      for (const { durationMs } of [...refused, check, del]) {
        assert.ok(durationMs < 10_000, `${title}: ${durationMs} ms`)
      }
      assert.match(
        message,
        `socket directory ${directory} must be a directory of uid 0 with mode 0700`,
        title,
      )
      await eventually(() => assertNothingLeft(before))
    }
    assert.is(await daemon.stop(), 0)
  })

  it('an empty directory of root is closed to others, as the kubelet has made it; one that others could write is not', async () => {
    const node = await stubNode()
    const { shim: executable, socket, start } = installDaemon(node)
    const directory = dirname(socket)
    const modeOf = (): number => lstatSync(directory).mode & 0o7777
    chmodSync(directory, 0o775)
    assert.match(await refusalOf(start), 'with mode 0700, it has uid 0 and mode 775')
    assert.is(modeOf(), 0o775)
    chmodSync(directory, 0o755)
    const daemon = await start()
    assert.is(modeOf(), 0o700)
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    assert.is(await daemon.stop(), 0)
  })

  it('the socket of a daemon that was killed is replaced, and nobody waits for it', async () => {
    const node = await stubNode()
    const { shim: executable, socket, start } = installDaemon(node, { shim: { delWait: '1' } })
    const first = await start()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    first.kill('SIGKILL')
    await first.ended
    assert.ok(lstatSync(socket).isSocket())
    const check = await pod.run('CHECK', { executable })
    assertDone(check)
    assert.match(check.stderr, 'Connection refused')
    const second = await start()
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assert.is(await second.stop(), 0)
    assert.equal(readdirSync(dirname(socket)), [])
  })

  for (const [title, occupy] of [
    ['plain file', (path: string) => writeFileSync(path, 'precious')],
    ['directory', (path: string) => mkdirSync(path)],
  ] as const) {
    it(`a ${title} at the socket's path: the daemon leaves it alone and says so, the shim answers as without a daemon`, async () => {
      const node = await stubNode()
      const {
        shim: executable,
        socket,
        start,
      } = installDaemon(node, { shim: { addWait: '1', delWait: '1' } })
      const pod = await node.pod()
      const before = await node.watch(pod)
      occupy(socket)
      const message = await refusalOf(start)
      assert.match(message, socket)
      assert.match(message, /is no socket/)
      assert.equal(readdirSync(dirname(socket)), ['plexus.sock'])
      if (title === 'plain file') assert.is(readFileSync(socket, 'utf8'), 'precious')
      const added = await pod.run('ADD', { executable })
      assertRefused(added, 11, `does not answer on ${socket}`)
      assert.ok(added.durationMs < 10_000, `${added.durationMs} ms`)
      assertDone(await pod.run('DEL', { executable }))
      await eventually(() => node.assertClean(before))

      rmSync(socket, { recursive: true })
      const daemon = await start()
      assertAdded(await pod.run('ADD', { executable }))
      assertDone(await pod.run('DEL', { executable }))
      await eventually(() => node.assertClean(before))
      assert.is(await daemon.stop(), 0)
    })
  }
})
