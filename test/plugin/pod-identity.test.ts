import { rmSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nad, podArgs } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

const PASSED = 'io.kubernetes.cri.pod-annotations'

spec('which pod a request is for', (it) => {
  it('C-34 a pod that the cluster does not know is error 11, never a made-up result', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    rmSync(join(node.manifests, 'pod-default-pod-a.json'))
    assertRefused(await pod.run('ADD'), 11, 'pod default/pod-a is not known to the cluster')
    assert.equal(node.steps(), [])
    await node.assertClean(before)
  })

  it('C-34 another pod of that name, by its UID, is error 11', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const args = podArgs(pod.manifest, pod.containerId).replace('uid-pod-a', 'uid-of-before')
    assertRefused(await pod.run('ADD', { args }), 11, 'expected pod UID "uid-of-before"', '"uid-pod-a"')
    assert.equal(node.steps(), [])
  })

  it('a static pod is known by the hash that the kubelet gave its runtime', async () => {
    const node = await stubNode()
    const annotations = { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': 'h4sh' }
    const pod = await node.pod({ annotations })
    const argsOf = (uid: string): string => podArgs(pod.manifest, pod.containerId).replace('uid-pod-a', uid)
    assertRefused(await pod.run('ADD', { args: argsOf('other') }), 11, 'expected pod UID "other"')
    assertAdded(await pod.run('ADD', { args: argsOf('h4sh') }))
    assertDone(await pod.run('DEL', { args: argsOf('h4sh') }))
  })

  it("annotations that the runtime passes are taken without a look at the cluster's pod", async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: 'alpha-net' })
    const conf = node.conf({
      capabilities: { [PASSED]: true },
      runtimeConfig: { [PASSED]: { 'k8s.v1.cni.cncf.io/networks': 'beta-net@b0' } },
    })
    assertAdded(await pod.run('ADD', { conf }))
    assert.equal(node.steps(), ['primary ADD eth0', 'beta ADD b0'])
    assertDone(await pod.run('DEL', { conf }))
  })

  it('a caller that names no pod gets the default network', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { args: '' }))
    assert.equal(node.steps(), ['primary ADD eth0'])
    assertDone(await pod.run('DEL', { args: '' }))
  })

  it('NPWG-081, NPWG-080 every delegate gets the container ID of the runtime on every verb, with its own name', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('CHECK'))
    node.write(nad({ name: 'alpha-net', config: { cniVersion: '1.0.0', name: 'renamed', type: 'beta' } }))
    assertDone(await pod.run('DEL'))
    const seen = node.calls().map(({ containerId, ifName, command }) => [command, containerId, ifName])
    const attached = ['eth0', 'net1', 'net2']
    assert.equal(
      seen,
      [
        ...attached.map((ifName) => ['ADD', ifName]),
        ...attached.map((ifName) => ['CHECK', ifName]),
        ...attached.toReversed().map((ifName) => ['DEL', ifName]),
      ].map(([command, ifName]) => [command, pod.containerId, ifName]),
    )
  })
})
