import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { enterNetns, type Netns } from '../rig/netns.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** Starts a program in a namespace, ended with the test process. */
function startIn(netns: Netns, program: string, args: readonly string[]): void {
  const child = spawn(...enterNetns(netns.path, program, args), { stdio: 'ignore' })
  child.unref()
  atEnd(() => void child.kill('SIGKILL'))
}

async function appears(path: string): Promise<void> {
  for (let tries = 0; !existsSync(path); tries++) {
    if (tries === 3000) throw new Error(`${path} does not appear`)
    await delay(10)
  }
}

spec('the dhcp plugin with its daemon', (it) => {
  it('CNI-155 leases an address from a server of the network and gives it back', async () => {
    const node = await testNode()
    const dir = tempDir('dhcp')
    const leaseFile = join(dir, 'leases')
    await node.host.exec('ip', ['addr', 'add', '10.77.0.1/24', 'dev', 'uplink0-peer'])
    writeFileSync(leaseFile, '')
    writeFileSync(
      join(dir, 'udhcpd.conf'),
      `start 10.77.0.10\nend 10.77.0.19\ninterface uplink0-peer\nlease_file ${leaseFile}\npidfile ${dir}/pid\noption subnet 255.255.255.0\noption lease 600\n`,
    )
    startIn(node.host, 'busybox', ['udhcpd', '-f', join(dir, 'udhcpd.conf')])
    const socket = join(dir, 'dhcp.sock')
    startIn(node.host, join(debianPlugins(), 'dhcp'), ['daemon', '-socketpath', socket])
    await appears(socket)

    node.write(
      nad({
        name: 'lan',
        config: {
          cniVersion: '1.0.0',
          type: 'macvlan',
          master: 'uplink0',
          ipam: { type: 'dhcp', daemonSocketPath: socket },
        },
      }),
    )
    const pod = await node.pod({ networks: 'lan' })
    const added = await pod.run('ADD')
    assert.is(added.status, 0, added.stdout + added.stderr)
    assert.match(added.stdout, /"address":"10\.77\.0\.1\d\/24"/)
    const net1 = (await pod.netns.links()).find(({ ifname }) => ifname === 'net1')
    assert.match(net1?.addr_info[0]?.local ?? '', /^10\.77\.0\.1\d$/)
    assert.is((await pod.run('DEL')).status, 0)
  })

  it('without the daemon ADD fails in its words and the default network is undone', async () => {
    const node = await testNode()
    node.write(
      nad({
        name: 'lan',
        config: {
          cniVersion: '1.0.0',
          type: 'macvlan',
          master: 'uplink0',
          ipam: { type: 'dhcp', daemonSocketPath: '/nonexistent/dhcp.sock' },
        },
      }),
    )
    const pod = await node.pod({ networks: 'lan' })
    const added = await pod.run('ADD')
    assert.is(added.status, 1)
    assert.match(added.stdout, /dial unix \/nonexistent\/dhcp\.sock/)
    // The plugin's own DEL needs the daemon too, so its macvlan stays recorded and is tried again at DEL.
    assert.is(
      (await pod.netns.links()).some(({ ifname }) => ifname === 'eth0'),
      false,
    )
    assert.match(String(added.json?.details), /the undo failed too and stays recorded for DEL/)
  })
})
