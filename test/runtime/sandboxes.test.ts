import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { statusPath } from '../../src/store/status-files.ts'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { createNetns } from '../rig/netns.ts'
import { stubPlugin } from '../rig/stub.ts'
import { askPort, serveWord } from '../rig/tcp.ts'
import { spec } from '../spec.ts'
import { failureOf, interfacesOf, RELEASES, runtimeNode } from './scene.ts'

const AT_ONCE = 50

spec('pod sandboxes', (it) => {
  for (const release of RELEASES) {
    it(`${release}: the default network alone, and two more, as network-status says`, async () => {
      const node = await runtimeNode(release)
      const { containerd } = node
      console.log(`# ${containerd.version}`)
      const daemon = await node.up()
      const plain = await containerd.run(node.writePod())
      assert.equal(await interfacesOf(plain), ['eth0 10.90.0.2'])
      assert.equal(plain.ips, ['10.90.0.2'])
      const rich = await containerd.run(node.writePod({ name: 'rich', networks: 'data,edge' }))
      const interfaces = await interfacesOf(rich)
      assert.equal(interfaces, ['eth0 10.90.0.3', 'net1 10.91.0.2', 'net2 10.92.0.2'])
      assert.equal(rich.ips, ['10.90.0.3'])
      // A daemon publishes it after its answer.
      await eventually(() => {
        const { networkStatus } = JSON.parse(
          readFileSync(statusPath(node.stateDir, 'default', 'rich'), 'utf8'),
        )
        assert.equal(
          networkStatus.map(
            (entry: { interface: string; ips: string[] }) => `${entry.interface} ${entry.ips}`,
          ),
          interfaces,
        )
      })
      await Promise.all([plain.remove(), rich.remove()])
      await node.close(daemon)
    })

    it(`${release}: the runtime tells the kubelet both families of the default network, and no other address`, async () => {
      const node = await runtimeNode(release, { isDualStack: true })
      const daemon = await node.up()
      const sandbox = await node.containerd.run(node.writePod({ networks: 'data' }))
      assert.equal(await interfacesOf(sandbox), ['eth0 10.90.0.2 fd00:90::2', 'net1 10.91.0.2'])
      assert.equal(sandbox.ips, ['10.90.0.2', 'fd00:90::2'])
      await sandbox.remove()
      await node.close(daemon)
    })

    it(`${release}: a network that cannot be had: the kubelet reads why, and nothing stays`, async () => {
      const node = await runtimeNode(release)
      const { containerd } = node
      node.write(nad({ name: 'broken', config: { cniVersion: '1.0.0', name: 'broken', type: 'sriov' } }))
      const refusal = { error: { code: 100, msg: 'no carrier on ens7' } }
      stubPlugin(node.pluginDir, 'refusing', { add: refusal })
      node.write(nad({ name: 'refused', config: { cniVersion: '1.0.0', name: 'refused', type: 'refusing' } }))
      const daemon = await node.up()
      for (const [name, networks, reason] of [
        ['unknown', 'data,nowhere', /NAD default\/nowhere/],
        ['missing', 'data,broken', /network "broken" .*failed to find plugin "sriov" in path/],
        ['late', 'data,refused', /network "refused" .*plugin "refusing" failed \(add\): no carrier on ens7/],
      ] as const) {
        assert.match(await failureOf(containerd.run(node.writePod({ name, networks }))), reason)
      }
      for (const id of await containerd.sandboxes()) await containerd.remove(id)
      await node.close(daemon)
    })

    it(`${release}: a host port answers while the pod is there and not after`, async () => {
      const node = await runtimeNode(release)
      const { host } = node
      const outside = await createNetns('outside')
      await host.exec('ip', ['link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan1'])
      await host.exec('ip', ['link', 'set', 'lan1', 'netns', outside.name])
      await host.exec('ip', ['addr', 'add', '192.0.2.1/24', 'dev', 'lan0'])
      await host.exec('ip', ['link', 'set', 'lan0', 'up'])
      await outside.exec('ip', ['addr', 'add', '192.0.2.2/24', 'dev', 'lan1'])
      await outside.exec('ip', ['link', 'set', 'lan1', 'up'])
      await host.exec('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'])
      const ask = (): Promise<string> => askPort(outside.path, '192.0.2.1', 18080)

      const daemon = await node.up()
      assert.is(await ask(), 'refused')
      const pod = await node.containerd.run(node.writePod({ networks: 'data' }), { ports: [[80, 18080]] })
      const server = await serveWord(pod.netns, 80)
      assert.is(await ask(), 'here')
      server.close()
      await pod.remove()
      assert.is(await ask(), 'refused')
      await host.exec('ip', ['link', 'del', 'lan0'])
      await node.close(daemon)
    })

    it(`${release}: a pod from before Plexus is deleted through it, and its address is free`, async () => {
      const node = await runtimeNode(release)
      const before = await node.containerd.run(node.writePod({ name: 'before' }))
      assert.equal(await interfacesOf(before), ['eth0 10.90.0.2'])
      const daemon = await node.up()
      await before.remove()
      await node.close(daemon)
    })

    it(`${release}: pods of one daemon are deleted by the next, and without any`, async () => {
      const node = await runtimeNode(release, { shim: { delWait: '0' } })
      const { containerd } = node
      const first = await node.up()
      const [a, b, c] = await Promise.all(
        ['a', 'b', 'c'].map((name) => containerd.run(node.writePod({ name, networks: 'data,edge' }))),
      )
      assert.is(await first.stop(), 0)
      await a?.remove()
      const second = await node.up()
      await b?.remove()
      second.kill('SIGKILL')
      await second.ended
      await c?.remove()
      await node.close(await node.up())
    })

    it(`${release}: ${AT_ONCE} are made and removed at once`, async () => {
      // A busy machine is no reason to fail.
      const node = await runtimeNode(release, { conf: { addTimeout: 240 } })
      const daemon = await node.up()
      const pods = Array.from({ length: AT_ONCE }, (_, number) =>
        node.writePod({ name: `pod-${number}`, ...(number % 2 === 0 ? {} : { networks: 'data' }) }),
      )
      const sandboxes = await Promise.all(pods.map((pod) => node.containerd.run(pod)))
      const ips = sandboxes.map((sandbox) => sandbox.ips[0])
      assert.is(new Set(ips).size, AT_ONCE, ips.join(' '))
      const interfaces = await Promise.all(sandboxes.map(interfacesOf))
      assert.equal(
        interfaces.map(({ length }) => length),
        pods.map((_, number) => (number % 2) + 1),
      )
      await Promise.all(sandboxes.map(({ remove }) => remove()))
      await node.close(daemon)
    })
  }
})
