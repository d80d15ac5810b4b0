import { spawnSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { podArgs } from '../rig/manifests.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { filesBelow } from '../rig/state-files.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

/** ADD by a shell line, in which `$PLEXUS` is our executable; stdin is the net-conf. */
function addBy(line: string, node: StubNode, pod: TestPod, conf = node.conf()) {
  const { status, stdout } = spawnSync('ip', ['netns', 'exec', node.host.name, '/bin/sh', '-c', line], {
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      PLEXUS,
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns.path,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: podArgs(pod.manifest, pod.containerId),
      CNI_PATH: node.binDir,
    },
    input: JSON.stringify(conf),
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
    const script = [
      'import os, subprocess, sys, time',
      'conf = sys.stdin.buffer.read()',
      'ours, theirs = os.pipe()',
      'os.set_blocking(ours, False)',
      'process = subprocess.Popen([os.environ["PLEXUS"]], stdin=ours)',
      'time.sleep(0.3)',
      'os.write(theirs, conf[:20])',
      'time.sleep(0.3)',
      'os.write(theirs, conf[20:])',
      'os.close(theirs)',
      'sys.exit(process.wait())',
    ]
    const added = addBy(`exec python3 -c '${script.join('\n')}'`, node, pod)
    assert.is(added.status, 0, added.stdout)
    assertDone(await pod.run('DEL'))
  })
})

spec('a caller with an odd environment', (it) => {
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
