import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { openExample } from './example.ts'

spec('example layer-2', (it) => {
  it('net1 is up without an address and carries frames, and nothing is left', async () => {
    const example = await openExample('layer-2')
    const pods = [await example.pod('switch-a'), await example.pod('switch-b')]
    for (const [index, pod] of pods.entries()) {
      const { status, stdout, json } = await pod.add()
      assert.is(status, 0, stdout)
      assert.equal(await pod.addresses('net1'), [])
      const net1 = (await pod.netns.links()).find(({ ifname }) => ifname === 'net1')
      assert.is(net1?.operstate, 'UP')
      const ips = (json?.ips ?? []) as { address: string }[]
      assert.is(ips.length, 1, 'only eth0 has an address')
      await pod.netns.exec('ip', ['address', 'add', `172.16.0.${index + 1}/30`, 'dev', 'net1'])
    }
    await pods[0]?.netns.exec('ping', ['-c', '1', '-W', '5', '-I', 'net1', '172.16.0.2'])
    for (const pod of pods) assert.is((await pod.del()).status, 0)
    await example.assertNothingLeft()
  })
})
