import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example default-route', (it) => {
  it('NPWG-090 the default route is on net1 and no longer on eth0, and nothing is left', async () => {
    const example = await openExample('default-route')
    const proxy = await example.pod('proxy')
    const { status, stdout, json } = await proxy.add()
    assert.is(status, 0, stdout)
    const defaults = (await proxy.netns.routes(4)).filter(({ dst }) => dst === 'default')
    assert.equal(
      defaults.map(({ dev, gateway }) => [dev, gateway]),
      [['net1', '203.0.113.1']],
    )
    assert.match(await proxy.netns.exec('ip', ['route', 'get', '192.0.2.99']), 'dev net1 src 203.0.113.2')
    // The cluster's own subnet is still on eth0.
    assert.match(await proxy.netns.exec('ip', ['route', 'get', '10.244.0.99']), 'dev eth0 src 10.244.0.2')
    assert.equal(json?.routes, [{ dst: '0.0.0.0/0', gw: '203.0.113.1' }])
    assert.is((await proxy.check()).status, 0)
    assert.is((await proxy.del()).status, 0)
    await example.assertNothingLeft()
  })
})
