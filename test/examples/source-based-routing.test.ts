import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example source-based-routing', (it) => {
  it('each source address has its own rule, table and interface, and nothing is left', async () => {
    const example = await openExample('source-based-routing')
    const probe = await example.pod('probe')
    const { status, stdout } = await probe.add()
    assert.is(status, 0, stdout)
    for (const [ifName, address] of [
      ['lan-a', '10.50.0.10'],
      ['lan-b', '10.50.0.20'],
    ] as const) {
      assert.equal(await probe.addresses(ifName), [`${address}/24`])
      const rules = await probe.netns.exec('ip', ['rule'])
      const table = new RegExp(`from ${address} lookup (\\d+)`).exec(rules)?.[1]
      assert.type(table, 'string', rules)
      const routes = await probe.netns.exec('ip', ['route', 'show', 'table', String(table)])
      assert.match(routes, `default via 10.50.0.1 dev ${ifName}`)
      const way = await probe.netns.exec('ip', ['route', 'get', '10.50.0.99', 'from', address])
      assert.match(way, `dev ${ifName}`)
    }
    assert.is((await probe.del()).status, 0)
    assert.not.match(await probe.netns.exec('ip', ['rule']), '10.50.0')
    await example.assertNothingLeft()
  })
})
