import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { createNetns } from '../rig/netns.ts'
import { askPort, serveWord } from '../rig/tcp.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const PORTMAP = { type: 'portmap', capabilities: { portMappings: true }, snat: true }

spec('host ports of the default network', (it) => {
  it('NPWG-106 CNI-145 answer on the node while the pod is there and not after; a secondary gets none', async () => {
    const node = await testNode()
    const outside = await createNetns('outside')
    await node.host.exec('ip', ['link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'lan1'])
    await node.host.exec('ip', ['link', 'set', 'lan1', 'netns', outside.name])
    await node.host.exec('ip', ['addr', 'add', '192.0.2.1/24', 'dev', 'lan0'])
    await node.host.exec('ip', ['link', 'set', 'lan0', 'up'])
    await outside.exec('ip', ['addr', 'add', '192.0.2.2/24', 'dev', 'lan1'])
    await outside.exec('ip', ['link', 'set', 'lan1', 'up'])
    await node.host.exec('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward'])

    const chain = (network: number): object => ({
      cniVersion: '1.0.0',
      name: `ports-${network}`,
      plugins: [node.bridge(network, { isDefaultGateway: network === 90, ipMasq: false }), PORTMAP],
    })
    node.write(nad({ name: 'second', config: chain(91) }))
    const conf = node.conf({
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort: 18080, containerPort: 80, protocol: 'tcp' }] },
      delegates: [chain(90)],
    })
    const pod = await node.pod({ networks: 'second' })
    const added = await pod.run('ADD', { conf })
    assert.is(added.status, 0, added.stdout)
    const rules = await node.host.exec('iptables-save', ['-t', 'nat'])
    assert.match(rules, /--to-destination 10\.90\.0\.2:80/)
    assert.not.match(rules, /10\.91\.0\.2:80/)

    const server = await serveWord(pod.netns.path, 80)
    try {
      assert.is(await askPort(outside.path, '192.0.2.1', 18080), 'here')
      assert.is((await pod.run('DEL', { conf })).status, 0)
      assert.is(await askPort(outside.path, '192.0.2.1', 18080), 'refused')
      assert.not.match(await node.host.exec('iptables-save', ['-t', 'nat']), /to-destination/)
    } finally {
      server.close()
    }
  })
})
