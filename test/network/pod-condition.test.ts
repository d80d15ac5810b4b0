import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { attachedCondition, cutToBytes, failedCondition } from '../../src/network/pod-condition.ts'
import { spec } from '../spec.ts'

spec('pod condition', (it) => {
  it('is true for a pod that is attached, without its optional networks too', () => {
    assert.equal(attachedCondition([]), { status: 'True', reason: 'NetworksAttached', message: '' })
    const message = 'n6: no device; n3: no address'
    assert.equal(attachedCondition(['n6: no device', 'n3: no address']), {
      ...{ status: 'True', reason: 'OptionalNetworksMissing', message },
    })
  })

  it('is false with the name of the error, for each code there is and for those of plugins', () => {
    for (const [reason, code] of Object.entries(CniErrorCode))
      assert.equal(failedCondition(new CniError(code, 'no')), { status: 'False', reason, message: 'no' })
    assert.is(failedCondition(new CniError(4711, 'no')).reason, 'DelegateFailed')
    // The API server wants a word that begins with a letter.
    for (const reason of Object.keys(CniErrorCode))
      assert.match(reason, /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
  })

  it('has a text of 1024 bytes at most, cut between characters', () => {
    assert.is(cutToBytes('x'.repeat(1024)).length, 1024)
    for (const character of ['x', 'é', '€', '😀']) {
      for (let shift = 0; shift < 4; shift++) {
        const cut = cutToBytes('x'.repeat(shift) + character.repeat(1030))
        assert.ok(Buffer.byteLength(cut) <= 1024)
        assert.ok(Buffer.byteLength(cut) > 1018)
        assert.match(cut, new RegExp(`^x*(?:${character})+…$`, 'u'))
      }
    }
  })
})
