import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example dual-stack', (it) => {
  it('both interfaces have both families, eth0 both default routes, and nothing is left', async () => {
    const example = await openExample('dual-stack')
    const web = await example.pod('web')
    const { status, stdout, json } = await web.add()
    assert.is(status, 0, stdout)
    assert.equal(await web.addresses('eth0'), ['10.244.0.2/24', 'fd00:244::2/64'])
    assert.equal(await web.addresses('net1'), ['10.20.0.2/24', 'fd00:20::2/64'])
    const ips = (json?.ips ?? []) as { address: string }[]
    assert.equal(
      ips.map(({ address }) => address),
      ['10.244.0.2/24', 'fd00:244::2/64', '10.20.0.2/24', 'fd00:20::2/64'],
    )
    for (const family of [4, 6] as const) {
      const defaults = (await web.netns.routes(family)).filter(({ dst }) => dst === 'default')
      assert.equal(
        defaults.map(({ dev, gateway }) => [dev, gateway]),
        [['eth0', family === 4 ? '10.244.0.1' : 'fd00:244::1']],
      )
    }
    await web.netns.exec('ping', ['-c', '1', '-W', '5', '10.20.0.1'])
    await web.netns.exec('ping', ['-6', '-c', '1', '-w', '10', 'fd00:20::1'])
    assert.is((await web.check()).status, 0)
    assert.is((await web.del()).status, 0)
    await example.assertNothingLeft()
  })
})
