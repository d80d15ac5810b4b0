import { type ChildProcess, spawn } from 'node:child_process'
import { connect, Socket } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { openConnection } from '../../src/executor/connection.ts'
import { encodeFrame, type Frame } from '../../src/executor/frame.ts'
import { readNetnsId } from '../../src/executor/netns.ts'
import { MessageKind } from '../../src/executor/protocol.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { execFields } from '../native/fake-daemon.ts'
import { assertAdded, assertDone, type StubNode, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const SOON = { conf: { errandInterval: 0.2 } }

interface Agent {
  readonly child: ChildProcess
  readonly ended: Promise<number | NodeJS.Signals>
  stderr(): string
}

/** Shows the node at `$1` and hides the folder `$2` of it; then becomes the agent `$3`, whose root is `$1`. */
const IN_CONTAINER = 'mount --rbind / "$1" && mount -t tmpfs none "$2" && exec "$1$3" --agent "$1"'

/** Starts `plexus --agent` on the node, or as a container has it, without the mark of the test run. */
function startAgent(node: StubNode, executable: string, isInContainer = false): Agent {
  const command = isInContainer
    ? [
        ...['unshare', '--mount', 'sh', '-c', IN_CONTAINER, 'sh'],
        ...[tempDir('root'), dirname(dirname(executable)), executable],
      ]
    : [executable, '--agent']
  const child = spawn('nsenter', [`--net=${node.host.path}`, ...command], {
    env: { CNI_PATH: node.binDir, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  atEnd(() => child.kill('SIGKILL'))
  // A test that failed must not wait for it.
  child.unref()
  if (child.stderr instanceof Socket) child.stderr.unref()
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  return {
    child,
    ended: new Promise((resolve) => child.once('exit', (status, signal) => resolve(status ?? signal ?? -1))),
    stderr: () => text,
  }
}

async function endAgent({ child, ended }: Agent): Promise<void> {
  child.ref()
  child.kill('SIGTERM')
  assert.is(await ended, 0)
}

/** Pods whose DEL failed so often that the runtime was told success. */
async function failedPods(node: StubNode, executable: string, count: number): Promise<void> {
  const pods = await Promise.all(Array.from({ length: count }, (_, i) => node.pod({ name: `pod-${i}` })))
  for (const pod of pods) assertAdded(await pod.run('ADD', { executable }))
  node.behave(node.alpha, { del: { error: { code: 105, msg: 'not now' } } })
  for (const pod of pods) assertDone(await pod.run('DEL', { executable }))
  assert.is(journalFiles(node.stateDir).length, count)
}

async function connected(daemon: { get(path: string): Promise<{ body: string }> }): Promise<number> {
  return Number(/^plexus_agents_connected (\d+)$/m.exec((await daemon.get('/metrics')).body)?.[1])
}

spec('an agent', (it) => {
  it('undoes what failed without any request of a runtime', async () => {
    const node = await stubNode({ delAttempts: 1 })
    const { shim: executable, start } = installDaemon(node, SOON)
    const daemon = await start()
    await failedPods(node, executable, 2)
    const agent = startAgent(node, executable)
    await eventually(async () => assert.is(await connected(daemon), 1))
    await eventually(async () => {
      const { body } = await daemon.get('/metrics')
      assert.match(body, /plexus_errands_total\{outcome="failed"\} [1-9]/)
    })
    assert.is(journalFiles(node.stateDir).length, 2)
    node.behave(node.alpha, {})
    await eventually(() => assert.equal(journalFiles(node.stateDir), []), 30_000)
    assert.equal(leases(node.leaseDir), [])
    await endAgent(agent)
    await eventually(async () => assert.is(await connected(daemon), 0))
    assert.is(await daemon.stop(), 0)
    assert.is(agent.stderr(), '')
  })

  it('in a container: makes the node its root, where it finds its settings, the daemon and the plugins', async () => {
    const node = await stubNode({ delAttempts: 1 })
    const { shim: executable, start } = installDaemon(node, SOON)
    const daemon = await start()
    await failedPods(node, executable, 1)
    node.behave(node.alpha, {})
    const agent = startAgent(node, executable, true)
    await eventually(() => assert.equal(journalFiles(node.stateDir), []), 30_000)
    assert.equal(leases(node.leaseDir), [])
    await endAgent(agent)
    assert.is(await daemon.stop(), 0)
    assert.is(agent.stderr(), '')
  })

  it('undoes the record of a dead sandbox, not that of a living or a young one', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, SOON)
    const pod = await node.pod()
    const plan = (containerId: string, netnsId: string, minutes: number): void => {
      const netns = pod.netns.path
      const time = new Date(Date.now() - minutes * 60_000).toISOString()
      const meta = { containerId, ifName: 'eth0', netns, netnsId, time, attachments: [] }
      const fields = execFields({ command: 'DEL', type: 'alpha', containerId, stdin: '{"name":"n"}' })
      const open = openJournalDir(node.stateDir).plan(
        { containerId, ifName: 'eth0' },
        { meta, netns, netnsId, files: [] },
        [fields],
      )
      open.started([1])
      open.close()
    }
    const living = readNetnsId(pod.netns.path) ?? ''
    plan('living', living, 20)
    plan('young', '4:1:1', 5)
    for (let i = 0; i < 20; i++) plan(`dead-${i}`, '4:1:1', 20)
    const daemon = await start()
    const agent = startAgent(node, executable)
    await eventually(() => assert.equal(journalFiles(node.stateDir), ['living/eth0', 'young/eth0']), 30_000)
    await delay(500)
    assert.equal(journalFiles(node.stateDir), ['living/eth0', 'young/eth0'])
    const calls = node.calls()
    assert.is(calls.length, 20)
    for (const { command, netns } of calls) assert.is(`${command} ${netns}`, 'DEL ')
    await endAgent(agent)
    await daemon.stop()
  })

  it('that is killed in the middle leaves the rest to the next one, and two do each undo once', async () => {
    const node = await stubNode({ delAttempts: 1 })
    const { shim: executable, start, configure } = installDaemon(node)
    const before = await start()
    await failedPods(node, executable, 6)
    await before.stop()
    // Only now, so that no shim of those requests has done it.
    configure(SOON.conf)
    const daemon = await start()
    const begun = node.calls().length
    node.behave(node.alpha, { del: { blockBefore: 'gate', ignoreTerm: true } })
    const first = startAgent(node, executable)
    await eventually(() => assert.is(node.calls().length, begun + 1))
    const [held] = node.calls().slice(-1)
    first.child.ref()
    first.child.kill('SIGKILL')
    await first.ended
    node.behave(node.alpha, {})
    const [second, third] = [startAgent(node, executable), startAgent(node, executable)]
    await eventually(async () => assert.is(await connected(daemon), 2))
    await eventually(() => assert.equal(journalFiles(node.stateDir), []), 30_000)
    assert.equal(leases(node.leaseDir), [])
    const undone = node.calls().slice(begun + 1)
    assert.is(undone.length, 6)
    assert.is(new Set(undone.map(({ containerId }) => containerId)).size, 6)
    assert.ok(undone.some(({ containerId }) => containerId === held?.containerId))
    // Counted when the record is gone.
    await eventually(async () =>
      assert.match((await daemon.get('/metrics')).body, 'plexus_errands_total{outcome="undone"} 6'),
    )
    for (const agent of [second, third]) await endAgent(agent)
    await daemon.stop()
  })

  it('goes over to the new daemon when the old one stops, and holds up neither', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node, {
      conf: { errandInterval: 0.2, metricsAddress: '' },
    })
    const agents = (daemon: { log(): Record<string, unknown>[] }): unknown =>
      daemon.log().findLast(({ msg }) => msg === 'agents')?.connected
    const old = await start()
    const agent = startAgent(node, executable)
    await eventually(() => assert.is(agents(old), 1))
    const next = await start()
    assert.is(await old.stop(), 0)
    await eventually(() => assert.is(agents(next), 1))
    assert.is(await next.stop(), 0)
    await eventually(() => assert.match(agent.stderr(), 'no daemon on'))
    await endAgent(agent)
  })

  it('whose protocol the daemon does not speak is told so', async () => {
    const node = await stubNode()
    const { socket: path, start } = installDaemon(node)
    const daemon = await start()
    const socket = connect(path)
    const frame = await new Promise<Frame>((resolve, reject) => {
      const connection = openConnection(socket, { frame: resolve, closed: (error) => reject(error) })
      connection.send(encodeFrame(MessageKind.hello, [9, 9, '', '', 2, '', '']))
    })
    assert.is(frame.kind, MessageKind.done)
    assert.match(frame.fields[2]?.toString() ?? '', 'the plexus shim speaks protocol 9 to 9, the daemon 1')
    assert.is(await connected(daemon), 0)
    socket.destroy()
    await daemon.stop()
  })
})
