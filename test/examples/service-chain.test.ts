import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example service-chain', (it) => {
  it('the same network is there twice under its chosen names, and nothing is left', async () => {
    const example = await openExample('service-chain')
    const firewall = await example.pod('firewall')
    const { status, stdout } = await firewall.add()
    assert.is(status, 0, stdout)
    assert.equal(await firewall.addresses('inside'), ['10.40.0.2/24'])
    assert.equal(await firewall.addresses('outside'), ['10.40.0.3/24'])
    const ports = await example.host.exec('ip', ['-brief', 'link', 'show', 'master', 'br-chain'])
    assert.is(ports.trim().split('\n').length, 2)
    // No CHECK: the bridge takes the lowest MAC of its ports, and the plugin's CHECK wants the one it had at
    // the first of the two ADDs.
    assert.is((await firewall.del()).status, 0)
    await example.assertNothingLeft()
  })
})
