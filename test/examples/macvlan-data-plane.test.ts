import * as assert from 'uvu/assert'
import { kernelHas, skipped } from '../rig/kernel.ts'
import { createNetns } from '../rig/netns.ts'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

const hasMacvlan = await kernelHas('macvlan')

spec('example macvlan-data-plane', (it) => {
  const title = 'both pods reach each other and the outside over net1, and nothing is left'
  if (!hasMacvlan) return skipped(title, 'macvlan')
  it(title, async () => {
    const example = await openExample('macvlan-data-plane')
    const sensor = await example.pod('sensor')
    const collector = await example.pod('collector')
    for (const pod of [sensor, collector]) {
      const { status, stdout } = await pod.add()
      assert.is(status, 0, stdout)
      assert.is((await pod.check()).status, 0)
    }
    assert.match(await sensor.netns.exec('ip', ['-details', 'link', 'show', 'net1']), 'macvlan mode bridge')
    assert.equal(await sensor.addresses('net1'), ['192.168.40.2/24'])
    assert.equal(await collector.addresses('net1'), ['192.168.40.3/24'])
    await sensor.netns.exec('ping', ['-c', '1', '-W', '5', '-I', 'net1', '192.168.40.3'])
    // What is behind the card: the other end of the cable.
    const outside = await createNetns('outside')
    await example.host.exec('ip', ['link', 'set', 'eth1-peer', 'netns', outside.name])
    await outside.exec('ip', ['address', 'add', '192.168.40.200/24', 'dev', 'eth1-peer'])
    await outside.exec('ip', ['link', 'set', 'eth1-peer', 'up'])
    await sensor.netns.exec('ping', ['-c', '1', '-W', '5', '-I', 'net1', '192.168.40.200'])
    await outside.exec('ip', ['link', 'set', 'eth1-peer', 'netns', example.host.name])
    await outside.delete()
    for (const pod of [collector, sensor]) assert.is((await pod.del()).status, 0)
    await example.assertNothingLeft()
  })
})
