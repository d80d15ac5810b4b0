import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import { parsePod } from '../../src/network/pod.ts'
import { spec } from '../spec.ts'

const pod = (metadata: JsonObject): JsonObject => ({ apiVersion: 'v1', kind: 'Pod', metadata })

spec('pod', (it) => {
  it('carries identity, annotations and labels', () => {
    const metadata = {
      name: 'upf-0',
      namespace: 'telco',
      uid: 'u1',
      annotations: { a: 'b' },
      labels: { c: 'd' },
    }
    assert.equal(parsePod(pod(metadata), 'x'), { ...metadata, isStatic: false })
  })

  it('a manifest without namespace is in the namespace default', () => {
    assert.equal(parsePod(pod({ name: 'a' }), 'x'), {
      namespace: 'default',
      name: 'a',
      annotations: {},
      isStatic: false,
    })
  })

  for (const [source, isStatic] of [
    ['file', true],
    ['http', true],
    ['api', false],
  ] as const) {
    it(`a pod from ${source} is ${isStatic ? 'static' : 'not static'}`, () => {
      const annotations = { 'kubernetes.io/config.source': source, 'kubernetes.io/config.hash': 'abc' }
      const parsed = parsePod(pod({ name: 'a', annotations }), 'x')
      assert.is(parsed.isStatic, isStatic)
      assert.is(parsed.configHash, 'abc')
    })
  }

  it('a pod with the hash alone is static', () => {
    assert.ok(parsePod(pod({ name: 'a', annotations: { 'kubernetes.io/config.hash': 'abc' } }), 'x').isStatic)
  })

  it('names where a bad manifest is from, the pod and every fault', () => {
    const manifest = { ...pod({ name: 'a', annotations: { x: 1 } }), apiVersion: 'v2' }
    assert.throws(
      () => parsePod(manifest, 'pods.yaml document 3'),
      (error: unknown) =>
        error instanceof CniError &&
        error.message.startsWith('pods.yaml document 3 (pod default/a): apiVersion must be "v1"') &&
        error.faults.length === 2,
    )
  })
})
