import { existsSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { type KernelFeature, kernelHas, skipped } from './kernel.ts'
import { createHostNetns, createNetns } from './netns.ts'
import { runPlexus } from './plexus.ts'
import { stubPlugin } from './stub.ts'
import { tempDir } from './temp-dir.ts'

spec('rig: network namespaces', (it) => {
  it('are made with lo up, show links and routes, and are deleted once', async () => {
    const netns = await createNetns('one')
    assert.match(netns.name, /^plx-\d+-\d+-one$/)
    await netns.exec('ip', ['link', 'add', 'p', 'type', 'veth', 'peer', 'name', 'q'])
    await netns.exec('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'p'])
    await netns.exec('ip', ['link', 'set', 'p', 'up'])
    await netns.exec('ip', ['link', 'set', 'q', 'up'])
    await netns.exec('ip', ['route', 'add', 'default', 'via', '192.0.2.254'])
    const links = await netns.links()
    assert.equal(links.map((link) => link.ifname).sort(), ['lo', 'p', 'q'])
    assert.ok(links.find((link) => link.ifname === 'lo')?.flags.includes('UP'))
    const inet = links.find((link) => link.ifname === 'p')?.addr_info.find((entry) => entry.family === 'inet')
    assert.equal([inet?.local, inet?.prefixlen], ['192.0.2.1', 24])
    const route = (await netns.routes(4)).find(({ dst }) => dst === 'default')
    assert.equal([route?.gateway, route?.dev], ['192.0.2.254', 'p'])
    assert.type(await netns.routes(6), 'object')
    await netns.delete()
    await netns.delete()
    assert.not(existsSync(netns.path))
  })

  it('a failing program inside rejects with its words', async () => {
    const netns = await createNetns('two')
    try {
      await netns.exec('ip', ['link', 'show', 'absent'])
      assert.unreachable()
    } catch (error) {
      assert.match(String(error), 'absent')
    }
  })

  it('a plugin in the host-like one reaches the pods and leaves the machine alone', async () => {
    const host = await createHostNetns()
    const pod = await createNetns('pod')
    const bin = tempDir('bin')
    const stub = stubPlugin(bin, 'linked', { add: { link: 'veth' }, del: { link: 'veth' } })
    const call = {
      executable: stub.path,
      conf: { name: 'n' },
      containerId: 'c',
      netns: pod,
      ifName: 'net1',
      inNetns: host,
    }
    const added = await runPlexus('ADD', { ...call, conf: { name: 'n', cniVersion: '1.0.0' } })
    assert.is(added.status, 0, added.stdout)
    const [hostEnd, podEnd] = (added.json?.interfaces ?? []) as { name: string; mac?: string }[]
    const inside = (await pod.links()).find(({ ifname }) => ifname === 'net1')
    assert.ok(inside?.flags.includes('LOWER_UP'))
    assert.is(inside?.address, podEnd?.mac)
    assert.ok((await host.links()).some(({ ifname }) => ifname === hostEnd?.name))
    assert.is.not(stub.calls()[0]?.ownNetns, readlinkSync('/proc/self/ns/net'))
    assert.not(existsSync(join('/sys/class/net', String(hostEnd?.name))))
    await runPlexus('DEL', { ...call, conf: { name: 'n', cniVersion: '1.0.0' } })
    assert.equal(
      (await pod.links()).map(({ ifname }) => ifname),
      ['lo'],
    )
  })

  it('kernel features are found by trying; those that are missing are said', async () => {
    assert.is(await kernelHas('veth'), true)
    assert.is(await kernelHas('bridge'), true)
    assert.is(await kernelHas('bogus' as KernelFeature), false)
    const lines: unknown[] = []
    const { log } = console
    console.log = (line) => lines.push(line)
    skipped('a test', 'vrf')
    console.log = log
    assert.equal(lines, ['# skipped: a test: kernel lacks vrf'])
  })
})
