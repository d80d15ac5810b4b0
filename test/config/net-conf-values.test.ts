import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject, parseJson } from '../../src/cni/json.ts'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { spec } from '../spec.ts'

const parsed = (more: string): JsonObject => {
  const conf = parseJson(`{"cniVersion": "1.0.0", "name": "n", "type": "plexus", ${more}}`, 'conf')
  return isJsonObject(conf) ? conf : {}
}

spec('values of the net-conf', (it) => {
  it('a number counts however it is written', () => {
    const conf = parseNetConf(parsed('"addTimeout": 60.0, "delAttempts": 7.0, "maxOutputBytes": 1e6'))
    assert.equal([conf.addTimeoutMs, conf.delAttempts, conf.maxOutputBytes], [60_000, 7, 1_000_000])
  })

  for (const number of ['1e400', '0.5', '-1']) {
    it(`${number} attempts are refused`, () => {
      assert.throws(() => parseNetConf(parsed(`"delAttempts": ${number}`)), /\/delAttempts must be/)
    })
  }

  it('prefixes of the cluster are taken without their host bits', () => {
    const conf = parseNetConf(parsed('"clusterCIDRs": ["10.244.3.1/16", "FD44::1/48"]'))
    assert.equal(conf.clusterCIDRs, ['10.244.0.0/16', 'fd44::/48'])
  })

  it('what is no prefix is refused, all of it at once', () => {
    assert.throws(
      () =>
        parseNetConf(parsed('"clusterCIDRs": ["10.0.0.0", "10.0.0.0/8", "banana", "::ffff:10.0.0.0/104"]')),
      /clusterCIDRs\/0 .*clusterCIDRs\/2 .*clusterCIDRs\/3 /,
    )
  })
})
