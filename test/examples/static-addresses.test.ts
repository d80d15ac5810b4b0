import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example static-addresses', (it) => {
  it('net1 has the address and the MAC of the annotation, and nothing is left', async () => {
    const example = await openExample('static-addresses')
    const server = await example.pod('licence-server')
    const { status, stdout, json } = await server.add()
    assert.is(status, 0, stdout)
    assert.equal(await server.addresses('net1'), ['10.30.0.7/24'])
    const link = (await server.netns.links()).find(({ ifname }) => ifname === 'net1')
    assert.is(link?.address, '02:00:5e:00:53:07')
    const interfaces = (json?.interfaces ?? []) as { name: string; mac?: string }[]
    assert.is(interfaces.find(({ name }) => name === 'net1')?.mac, '02:00:5e:00:53:07')
    assert.is((await server.check()).status, 0)
    assert.is((await server.del()).status, 0)
    await example.assertNothingLeft()
  })
})
