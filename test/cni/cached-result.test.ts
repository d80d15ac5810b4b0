import * as assert from 'uvu/assert'
import { parseCachedResult } from '../../src/cni/cached-result.ts'
import { spec } from '../spec.ts'

const parse = (value: unknown) => parseCachedResult(JSON.stringify(value), 'the file')
const result = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'veth1' }, { name: 'eth0', sandbox: '/run/netns/a' }],
}

spec('what the reference library keeps of an ADD', (it) => {
  it('all of it', () => {
    const read = parse({
      kind: 'cniCacheV1',
      containerId: 'c1',
      config: Buffer.from('{"name":"n6","type":"macvlan"}').toString('base64'),
      ifName: 'net1',
      networkName: 'n6',
      netns: '/run/netns/b',
      cniArgs: [['K8S_POD_NAME', 'upf-0'], ['broken'], 'no pair'],
      capabilityArgs: { ips: ['10.0.0.1/24'] },
      result,
    })
    assert.equal(read, {
      containerId: 'c1',
      config: { name: 'n6', type: 'macvlan' },
      ifName: 'net1',
      networkName: 'n6',
      netns: '/run/netns/b',
      args: [['K8S_POD_NAME', 'upf-0']],
      capabilityArgs: { ips: ['10.0.0.1/24'] },
      result,
    })
  })

  it('older libraries do not keep the namespace: the result names it', () => {
    assert.is(parse({ kind: 'cniCacheV1', result }).netns, '/run/netns/a')
  })

  it('a bare result, as the first ones kept it', () => {
    const { result: bare, netns, networkName } = parse(result)
    assert.equal([bare, netns, networkName], [result, '/run/netns/a', undefined])
  })

  it('a configuration that cannot be read is none; a file that is no object is an error', () => {
    assert.is(parse({ kind: 'cniCacheV1', config: 'bm8=' }).config, undefined)
    assert.throws(() => parse([]), /the file is no JSON object/)
    assert.throws(() => parseCachedResult('{"kind":', 'the file'), /the file/)
  })
})
