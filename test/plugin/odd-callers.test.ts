import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { podArgs } from '../rig/manifests.ts'
import { enterNetns } from '../rig/netns.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { filesBelow } from '../rig/state-files.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

function callOf(node: StubNode, pod: TestPod): NodeJS.ProcessEnv {
  return {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    PLEXUS,
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: pod.containerId,
    CNI_NETNS: pod.netns.path,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: podArgs(pod.manifest, pod.containerId),
    CNI_PATH: node.binDir,
  }
}

/** ADD by a shell line, in which `$PLEXUS` is our executable; stdin is the net-conf. */
function addBy(line: string, node: StubNode, pod: TestPod) {
  const { status, stdout } = spawnSync(...enterNetns(node.host.path, '/bin/sh', ['-c', line]), {
    env: callOf(node, pod),
    input: JSON.stringify(node.conf()),
    encoding: 'utf8',
    timeout: 20_000,
  })
  return { status, stdout }
}

/** A delegate's words, and a line of our own log. */
const TALKATIVE = { add: { stderr: 'hello from the delegate' } }

spec('a caller with odd standard streams', (it) => {
  for (const [what, line] of [
    ['is a pipe that nobody reads', '{ sleep 0.3; "$PLEXUS" 2>&3; } 3>&1 >"$OUT" | true; cat "$OUT"'],
    ['is on a full disk', 'exec "$PLEXUS" 2>/dev/full'],
    ['is closed', 'exec "$PLEXUS" 2>&-'],
  ] as const) {
    it(`CNI-095 stderr ${what}: the pod is attached and the answer is there`, async () => {
      const node = await stubNode({ keyOfNobody: 1 })
      node.behave(node.primary, TALKATIVE)
      const pod = await node.pod()
      const before = await node.watch(pod)
      const added = addBy(line.replaceAll('$OUT', `${node.confDir}/out`), node, pod)
      assert.is(added.status, 0, added.stdout)
      assert.is(JSON.parse(added.stdout).ips.length, 3)
      node.behave(node.primary, {})
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('CNI-022 stdin is a non-blocking pipe that fills slowly', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const fifo = join(node.confDir, 'stdin')
    execFileSync('mkfifo', [fifo])
    // A reader that does not block may open it before there is a writer; the child shares its flags.
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = openSync(fifo, constants.O_WRONLY)
    const child = spawn(...enterNetns(node.host.path, PLEXUS, []), {
      env: callOf(node, pod),
      stdio: [reader, 'pipe', 'inherit'],
    })
    closeSync(reader)
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.stdout?.resume()
    const conf = JSON.stringify(node.conf())
    for (const piece of [conf.slice(0, 20), conf.slice(20)]) {
      await setTimeout(300)
      writeSync(writer, piece)
    }
    closeSync(writer)
    assert.is(await ended, 0)
    assertDone(await pod.run('DEL'))
  })
})

spec('a caller with an odd environment', (it) => {
  it('a pair of CNI_ARGS that no plugin can be sent fails ADD, and does not keep the pod', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    const args = `${podArgs(pod.manifest, pod.containerId)};A=B=C`
    assertRefused(await pod.run('ADD', { args }), 4, 'A=B=C')
    assertDone(await pod.run('DEL', { args }))
    assert.equal(node.steps(), ['primary DEL eth0'])
    assert.is(node.calls()[0]?.env.CNI_ARGS, podArgs(pod.manifest, pod.containerId))
    await node.assertClean(before)
  })

  for (const options of ['--no-such-option', '--require /nonexistent.js']) {
    it(`NODE_OPTIONS=${options} is not ours to obey`, async () => {
      const node = await stubNode()
      const pod = await node.pod()
      assertAdded(await pod.run('ADD', { env: { NODE_OPTIONS: options } }))
      assertDone(await pod.run('DEL', { env: { NODE_OPTIONS: options } }))
    })
  }

  it('CNI-013 the working directory as CNI_PATH: its plugin is started, not one of PATH', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const call = { path: ['.'], cwd: node.binDir }
    assertAdded(await pod.run('ADD', call))
    assertDone(await pod.run('DEL', call))
  })

  it('CHECK of a container that nobody knows leaves no file', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertRefused(await pod.run('CHECK'), 7, 'nothing is recorded')
    assert.equal(filesBelow(node.stateDir), [])
  })
})
