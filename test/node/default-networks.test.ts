import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { detectDefaultNetwork } from '../../src/node/default-network-detection.ts'
import { NOTHING_KEPT, nodeConflist } from '../../src/plan/node-conflist.ts'
import { assertAdded, assertDone } from '../plugin/stub-node.ts'
import { nad } from '../rig/manifests.ts'
import { ROOT } from '../rig/plexus.ts'
import { filesBelow, leases } from '../rig/state-files.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const FIXTURES = join(ROOT, 'test/fixtures/default-networks')

/** Systems whose plugins are the reference ones, and what a pod gets of each: its file and its address. */
const SYSTEMS = [
  { id: 'kindnet', file: '10-kindnet.conflist', address: /^10\.244\.0\.\d+$/ },
  { id: 'kube-router', file: '10-kuberouter.conflist', address: /^10\.244\.1\.\d+$/ },
  { id: 'minikube', file: '1-k8s.conflist', address: /^10\.244\.0\.\d+$/ },
  { id: 'gke', file: '10-gke-ptp.conflist', address: /^10\.8\.1\.\d+$/ },
] as const

spec('default networks of the reference plugins, for real', (it) => {
  for (const { id, file, address } of SYSTEMS) {
    it(`${id}: a pod gets its address, a default route and a host port, a macvlan beside it, and DEL leaves nothing`, async () => {
      const node = await testNode()
      const list = JSON.parse(readFileSync(join(FIXTURES, id, file), 'utf8')) as { plugins: JsonObject[] }
      for (const { ipam } of list.plugins) if (isJsonObject(ipam)) ipam.dataDir = node.leaseDir
      writeFileSync(join(node.confDir, file), JSON.stringify(list))
      const { chosen } = detectDefaultNetwork(node.confDir, { pin: undefined })
      assert.is(chosen?.system?.id, id)
      await node.host.exec('ip', ['link', 'add', 'data0', 'type', 'veth', 'peer', 'name', 'data1'])
      await node.host.exec('ip', ['link', 'set', 'data0', 'up'])
      await node.host.exec('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'])
      node.write(nad({ name: 'lan', config: { cniVersion: '1.0.0', type: 'macvlan', master: 'data0' } }))

      const { manifests, stateDir, confDir } = node
      const own = JSON.parse(
        nodeConflist({
          cniVersion: '1.0.0',
          defaultPlugins: chosen?.conflist.plugins ?? [],
          netConf: { manifests, stateDir, confDir, defaultNetwork: chosen?.path },
          kept: NOTHING_KEPT,
        }),
      ) as { name: string; cniVersion: string; plugins: JsonObject[] }
      const portMappings = [{ hostPort: 18080, containerPort: 80, protocol: 'tcp' }]
      const { name, cniVersion } = own
      const conf = { ...own.plugins[0], name, cniVersion, runtimeConfig: { portMappings } }
      const pod = await node.pod({ networks: 'lan' })
      assertAdded(await pod.run('ADD', { conf }))
      const links = await pod.netns.links()
      assert.equal(
        links.map(({ ifname }) => ifname),
        ['lo', 'eth0', 'net1'],
      )
      const eth0 = links[1]?.addr_info.find(({ family }) => family === 'inet')
      assert.match(eth0?.local ?? '', address)
      assert.is((await pod.netns.routes(4)).find(({ dst }) => dst === 'default')?.dev, 'eth0')
      const rules = (): Promise<string> => node.host.exec('iptables-save', ['-t', 'nat'])
      assert.match(await rules(), `--to-destination ${eth0?.local}:80`)
      assertDone(await pod.run('DEL', { conf }))
      assert.equal(leases(node.leaseDir), [])
      assert.equal(filesBelow(stateDir), [])
      assert.not.match(await rules(), /to-destination/)
      assert.equal(
        (await pod.netns.links()).map(({ ifname }) => ifname),
        ['lo'],
      )
    })
  }
})
