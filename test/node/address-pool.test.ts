import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const PODS = 64

function addressesOf(result: unknown): string[] {
  return (result as { ips: { address: string }[] }).ips.map(({ address }) => address)
}

spec('many ADDs at once', (it) => {
  it('a /29 pool and 64 pods: the losers get the words of the plugin, no address is given twice, no lease is left', async () => {
    const node = await testNode()
    const small = node.bridge(29, {
      ipam: { type: 'host-local', dataDir: node.leaseDir, ranges: [[{ subnet: '10.29.0.0/29' }]] },
    })
    node.write(nad({ name: 'small', config: small }))
    const pods = await Promise.all(
      Array.from({ length: PODS }, (_, index) => node.pod({ name: `pod-${index}`, networks: 'small' })),
    )
    const added = await Promise.all(pods.map((pod) => pod.run('ADD')))
    const winners = added.filter(({ status }) => status === 0)
    const given = winners.map(({ json }) => addressesOf(json)[1])
    assert.is(winners.length, 5)
    assert.is(new Set(given).size, 5)
    for (const { status, json, stdout } of added) {
      if (status === 0) continue
      assert.match(stdout, /no IP addresses available in range set/)
      assert.match(String(json?.msg), /pod default\/pod-\d+: network "bridge-29" \(NAD default\/small\)/)
    }
    assert.is(journalFiles(node.stateDir).length, 5)
    assert.is(leases(node.leaseDir).length, 10)
    const deleted = await Promise.all(pods.map((pod) => pod.run('DEL')))
    assert.equal(
      deleted.filter(({ status }) => status !== 0),
      [],
    )
    assert.equal(leases(node.leaseDir), [])
    assert.equal(journalFiles(node.stateDir), [])
  })

  it('CNI-102 twenty pods at once each get their own', async () => {
    const node = await testNode()
    node.write(nad({ name: 'data', config: node.bridge(30) }))
    const pods = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        node.pod({ name: `many-${index}`, networks: 'data,data@second' }),
      ),
    )
    const added = await Promise.all(pods.map((pod) => pod.run('ADD')))
    assert.equal(
      added.filter(({ status }) => status !== 0).map(({ stdout }) => stdout),
      [],
    )
    const given = added.flatMap(({ json }) => addressesOf(json))
    assert.is(new Set(given).size, 60)
    await Promise.all(pods.map((pod) => pod.run('DEL')))
    assert.equal(leases(node.leaseDir), [])
  })
})
