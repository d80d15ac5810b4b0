import * as assert from 'uvu/assert'
import { kernelHas, skipped } from '../rig/kernel.ts'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

const hasMacvlan = await kernelHas('macvlan')

spec('example cnf-planes', (it) => {
  const title = 'the pod has its planes under their names, with their routes and MTU, and nothing is left'
  if (!hasMacvlan) return skipped(title, 'macvlan')
  it(title, async () => {
    const example = await openExample('cnf-planes')
    const upf = await example.pod('upf-0')
    const { status, stdout } = await upf.add()
    assert.is(status, 0, stdout)
    const links = await upf.netns.links()
    assert.equal(links.map(({ ifname }) => ifname).sort(), ['eth0', 'lo', 'mgmt0', 'n3', 'n6'])
    assert.is(links.find(({ ifname }) => ifname === 'n3')?.mtu, 1400)
    assert.equal(await upf.addresses('mgmt0'), ['10.10.0.2/24'])
    assert.equal(await upf.addresses('n3'), ['192.168.3.2/24'])
    assert.equal(await upf.addresses('n6'), ['192.168.6.2/24'])
    const routes = await upf.netns.routes(4)
    const toData = routes.find(({ dst }) => dst === '203.0.113.0/24')
    assert.equal([toData?.dev, toData?.gateway], ['n6', '192.168.6.1'])
    const defaults = routes.filter(({ dst }) => dst === 'default')
    assert.equal(
      defaults.map(({ dev }) => dev),
      ['eth0'],
    )
    await upf.netns.exec('ping', ['-c', '1', '-W', '5', '-I', 'n6', '192.168.6.1'])
    assert.is((await upf.check()).status, 0)
    assert.is((await upf.del()).status, 0)
    await example.assertNothingLeft()
  })
})
