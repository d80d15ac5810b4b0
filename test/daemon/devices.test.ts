import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { deviceNode, devicesOf, VF } from '../plugin/device-node.ts'
import { assertAdded, assertDone, assertRefused } from '../plugin/stub-node.ts'
import { eventually, installDaemon, type TestDaemon } from '../rig/daemon.ts'
import { type KubeletPod, stopKubelets, testKubelet } from '../rig/kubelet.ts'
import { filesBelow } from '../rig/state-files.ts'
import { spec } from '../spec.ts'

const id = (number: number): string => `0000:${String(number).padStart(4, '0')}:02.0`

/** Resident memory. */
const memoryKib = ({ pid }: TestDaemon): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])

/** So many pods with two containers each, of which `pod-a` is the last. */
function manyPods(count: number): KubeletPod[] {
  const pods = Array.from({ length: count - 1 }, (_, index) => ({
    name: `other-${index}`,
    containers: [{ [VF]: [id(index + 10)] }, { 'nvidia.com/gpu': [`gpu-${index}`] }],
    isRich: true,
  }))
  return [...pods, { name: 'pod-a', containers: [{ [VF]: [id(2)] }, { [VF]: [id(1)] }], isRich: true }]
}

spec('devices, daemon', (it) => {
  it.after(stopKubelets)

  it('a kubelet with 1,000 pods is asked once for each ADD that needs it, and what is attached goes without it', async () => {
    const node = await deviceNode(testKubelet('unimplemented'))
    node.writeDevice(id(2), '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:03:02.0"}}')
    node.kubelet.setPods(...manyPods(1000))
    await node.kubelet.start()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const [pod, plain] = [await node.pod({ networks: 'vf-a,vf-b' }), await node.pod({ name: 'pod-b' })]
    const before = await node.watch(pod, plain)
    assertAdded(await plain.run('ADD', { executable }))
    assertDone(await plain.run('DEL', { executable }))
    assert.equal(node.kubelet.calls(), [])
    const beforeKib = memoryKib(daemon)
    for (let round = 0; round < 20; round++) {
      const seen = node.calls().length
      assertAdded(await pod.run('ADD', { executable }))
      assert.equal(devicesOf(node.calls().slice(seen)), [`alpha ${id(2)}`, `beta ${id(1)}`])
      assert.equal(filesBelow(join(node.devInfoDir, 'cni')), [`default-vf-a-${pod.containerId}_net1`])
      assertDone(await pod.run('DEL', { executable }))
    }
    assert.is(node.kubelet.calls().length, 20)
    const grownKib = memoryKib(daemon) - beforeKib
    assert.ok(grownKib < 50 * 1024, `the daemon has grown by ${grownKib} KiB`)
    await eventually(() => node.assertClean(before))
    assert.equal(filesBelow(join(node.devInfoDir, 'cni')), [])
    assert.is(await daemon.stop(), 0)
  })

  it('pods at the same time get theirs while the kubelet comes late; its absence is error 11 and no fault of others', async () => {
    const node = await deviceNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const names = ['pod-a', 'pod-b', 'pod-c', 'pod-d']
    node.kubelet.setPods(...names.map((name, index) => ({ name, containers: [{ [VF]: [id(index)] }] })))
    const pods = await Promise.all(names.map((name) => node.pod({ name, networks: 'vf-a' })))
    const plain = await node.pod({ name: 'plain' })
    const before = await node.watch(plain, ...pods)
    const [first] = pods
    const [refused, added] = await Promise.all([
      first?.run('ADD', { executable, conf: node.conf({ podResourcesTimeout: 4 }) }),
      plain.run('ADD', { executable }),
    ])
    if (refused === undefined) throw new Error('no pod')
    assertRefused(refused, 11, 'the kubelet did not say within 4 s', 'ENOENT')
    assertAdded(added)
    assert.ok(added.durationMs < refused.durationMs)

    const running = pods.map((pod) => pod.start('ADD', { executable }))
    await node.kubelet.start()
    for (const run of await Promise.all(running.map(({ finished }) => finished))) assertAdded(run)
    const given = new Map(node.alpha.calls().map(({ containerId, stdin }) => [containerId, stdin.deviceID]))
    for (const [index, { containerId }] of pods.entries()) assert.is(given.get(containerId), id(index))
    for (const pod of [...pods, plain]) assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
  })

  it('a kubelet that answers garbage or hangs does not harm the daemon', async () => {
    const node = await deviceNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod({ networks: 'vf-a' })
    const conf = node.conf({ podResourcesTimeout: 4 })
    const garbage = createServer((connection) => {
      connection.on('error', () => undefined).resume()
      connection.write(Buffer.alloc(70_000, 0xfe))
    })
    await new Promise<void>((resolve) => garbage.listen(node.kubelet.socket, resolve))
    assertRefused(await pod.run('ADD', { executable, conf }), 11, 'the kubelet did not say within 4 s')
    // Ends with the last connection: the daemon keeps none.
    await new Promise((resolve) => {
      garbage.close(resolve)
    })
    await node.kubelet.start()
    node.kubelet.hang()
    const running = pod.start('ADD', { executable, conf: node.conf({ podResourcesTimeout: 60 }) })
    await eventually(() => assert.ok(node.kubelet.calls().length > 0))
    running.kill('SIGTERM')
    assertRefused(await running.finished, 11)
    assertRefused(await pod.run('ADD', { executable, conf }), 11, 'it does not answer')
    assertDone(await pod.run('DEL', { executable }))
    assert.is(await daemon.stop(), 0)
  })

  it('NPWG-126 a daemon that is killed leaves no copy behind: the shim removes it with the rest', async () => {
    const node = await deviceNode()
    node.writeDevice(id(1), '{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:03:02.0"}}')
    node.kubelet.setPods({ name: 'pod-a', containers: [{ [VF]: [id(1)] }] })
    await node.kubelet.start()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start()
    const pod = await node.pod({ networks: 'vf-a' })
    const before = await node.watch(pod)
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    const running = pod.start('ADD', { executable })
    await node.alpha.reached(1, 'ADD')
    daemon.kill('SIGKILL')
    await daemon.ended
    node.alpha.release('gate')
    assertRefused(await running.finished, 11)
    const folder = join(node.devInfoDir, 'cni')
    assert.equal(filesBelow(folder), [`default-vf-a-${pod.containerId}_net1`])
    assertDone(await pod.run('DEL', { executable }))
    assert.equal(filesBelow(folder), [])
    // A guard may need a moment to end.
    await eventually(() => node.assertClean(before))
  })
})
