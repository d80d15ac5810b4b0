import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { kernelHas, skipped } from '../rig/kernel.ts'
import { stopKubelets, testKubelet } from '../rig/kubelet.ts'
import { filesBelow } from '../rig/state-files.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { EXAMPLES, openExample } from './example.ts'

const hasMacvlan = await kernelHas('macvlan')
const RESOURCE = 'intel.com/sriov_dpdk'

/** How many devices of a resource the containers of `pod.yaml` request. */
function requested(resource: string): number {
  const text = readFileSync(join(EXAMPLES, 'sriov-dpdk/pod.yaml'), 'utf8')
  const pod: { spec: { containers: { resources: { limits: Record<string, string> } }[] } } = parse(text)
  return pod.spec.containers.reduce((sum, { resources }) => sum + Number(resources.limits[resource] ?? 0), 0)
}

spec('example sriov-dpdk', (it) => {
  const title = 'the pod has management and signalling, sriov gets the device of the pod, and nothing is left'
  if (!hasMacvlan) return skipped(title, 'macvlan')
  it.after(stopKubelets)
  it(title, async () => {
    const kubelet = testKubelet()
    // As a device plugin would: what the pod requests, and not one more.
    const devices = Array.from({ length: requested(RESOURCE) }, (_, index) => `0000:3b:02.${index}`)
    kubelet.setPods({ name: 'upf-0', containers: [{ [RESOURCE]: devices }] })
    await kubelet.start()
    const example = await openExample('sriov-dpdk', kubelet.socket)
    const sriov = stubPlugin(example.binDir, 'sriov', {
      // Bound to vfio-pci the virtual function has no interface in the pod.
      add: { result: { interfaces: [{ name: '{{ifName}}', mac: '{{mac}}', sandbox: '{{netns}}' }] } },
    })
    const upf = await example.pod('upf-0')
    const { status, stdout } = await upf.add()
    assert.is(status, 0, stdout)
    assert.equal((await upf.netns.links()).map(({ ifname }) => ifname).sort(), [
      'eth0',
      'lo',
      'mgmt0',
      'sig0',
    ])
    assert.equal(await upf.addresses('mgmt0'), ['10.10.0.2/24'])
    assert.equal(await upf.addresses('sig0'), ['192.168.2.2/24'])
    const [call] = sriov.calls().filter(({ command }) => command === 'ADD')
    assert.equal([call?.ifName, call?.stdin.deviceID, call?.stdin.vlan], ['n3', '0000:3b:02.0', 300])
    kubelet.stop()
    assert.is((await upf.check()).status, 0)
    assert.is((await upf.del()).status, 0)
    assert.equal(filesBelow(example.devInfoDir), [])
    await example.assertNothingLeft()
  })
})
