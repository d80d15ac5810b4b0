import * as assert from 'uvu/assert'
import type { JsonObject } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'
import { planPod, pod } from './plan-input.ts'

/** `waitsFor` of every attachment when the last of two networks has these keys. */
function orderWith(keys: JsonObject, annotation = 'a,b'): (readonly number[])[] {
  const plan = planPod({
    pod: pod(annotation),
    nads: { 'telco/b': { cniVersion: '1.0.0', type: 'macvlan', ...keys } },
  })
  return plan.attachments.map(({ waitsFor }) => waitsFor)
}

spec('order of parallel attachments', (it) => {
  const cases: readonly (readonly [string, JsonObject, readonly number[]])[] = [
    ['nothing named', { master: 'ens3' }, []],
    ['master', { master: 'net1' }, [1]],
    ["the default network's interface", { master: 'eth0' }, [0]],
    ['a list', { links: ['net1', 'eth0'] }, [0, 1]],
    ['nested', { linksInContainer: [{ device: { name: 'net1' } }] }, [1]],
    ['its own name', { master: 'net2' }, []],
    ['a part of a name', { master: 'net10' }, []],
  ]
  for (const [title, keys, expected] of cases) {
    it(`a conf that names an interface waits for its attachment: ${title}`, () => {
      assert.equal(orderWith(keys), [[], [], expected])
    })
  }

  it('nobody waits for an attachment behind', () => {
    assert.equal(orderWith({ master: 'net2' }, 'b,a'), [[], [], []])
  })

  it('a name that the annotation chose counts', () => {
    assert.equal(orderWith({ master: 'trunk' }, 'a@trunk,b'), [[], [], [1]])
  })
})
