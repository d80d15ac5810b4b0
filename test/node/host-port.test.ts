import { spawn } from 'node:child_process'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { createNetns } from '../rig/netns.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const PORTMAP = { type: 'portmap', capabilities: { portMappings: true }, snat: true }

/** A program that answers one word on a TCP port. */
const SERVER =
  "require('node:net').createServer((s) => s.end('here')).listen(80, '0.0.0.0', () => console.log('up'))"
/** A program that prints what a port answers, or `refused`. */
const CLIENT = (address: string): string =>
  `const s = require('node:net').connect({ host: '${address}', port: 18080, timeout: 1500 }); s.on('data', (d) => process.stdout.write(String(d))); s.on('timeout', () => s.destroy(new Error())); s.on('error', () => process.stdout.write('refused'))`

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

    const server = spawn('nsenter', [`--net=${pod.netns.path}`, '--', process.execPath, '-e', SERVER])
    await new Promise((resolve) => server.stdout.once('data', resolve))
    try {
      assert.is(await outside.exec(process.execPath, ['-e', CLIENT('192.0.2.1')]), 'here')
      assert.is((await pod.run('DEL', { conf })).status, 0)
      assert.is(await outside.exec(process.execPath, ['-e', CLIENT('192.0.2.1')]), 'refused')
      assert.not.match(await node.host.exec('iptables-save', ['-t', 'nat']), /to-destination/)
    } finally {
      server.kill('SIGKILL')
    }
  })
})
