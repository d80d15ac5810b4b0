import { mkdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example route-override', (it) => {
  it('the plugin gets its keys and the result of the bridge before it, and nothing is left', async () => {
    const example = await openExample('route-override')
    mkdirSync(example.binDir)
    const stub = stubPlugin(example.binDir, 'route-override')
    const client = await example.pod('client')
    const { status, stdout } = await client.add()
    assert.is(status, 0, stdout)
    assert.equal(await client.addresses('net1'), ['10.60.0.2/24'])
    assert.is((await client.check()).status, 0)
    assert.is((await client.del()).status, 0)

    const calls = stub.calls().filter(({ command }) => command !== 'VERSION')
    assert.equal(
      calls.map(({ command, ifName, netns }) => [command, ifName, netns]),
      ['ADD', 'CHECK', 'DEL'].map((command) => [command, 'net1', client.netns.path]),
    )
    for (const { stdin } of calls) {
      assert.is(stdin.flushroutes, true)
      assert.equal(stdin.addroutes, [{ dst: '198.51.100.0/24', gw: '10.60.0.1' }])
      const { ips, routes } = stdin.prevResult as { ips: { address: string }[]; routes: object[] }
      assert.is(ips[0]?.address, '10.60.0.2/24')
      assert.equal(routes, [{ dst: '192.0.2.0/24', gw: '10.60.0.1' }])
    }
    await example.assertNothingLeft()
  })

  it('without the plugin nothing is started, and the message names it', async () => {
    const example = await openExample('route-override')
    const client = await example.pod('client')
    const { status, json } = await client.add()
    assert.is(status, 1)
    assert.match(String(json?.msg), 'failed to find plugin "route-override"')
    assert.match(String(json?.msg), 'NAD default/backend')
    await example.assertNothingLeft()
  })
})
