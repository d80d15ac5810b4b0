import * as assert from 'uvu/assert'
import { CniError, toCniError, toErrorObject } from '../../src/cni/cni-error.ts'
import { toFaultsError } from '../../src/cni/faults.ts'
import { spec } from '../spec.ts'

spec('errors', (it) => {
  it('CNI-027 the object has cniVersion only when it is known, and details only when there are some', () => {
    const error = new CniError(7, 'wrong')
    assert.equal(toErrorObject(error), { code: 7, msg: 'wrong' })
    assert.equal(toErrorObject(error, '1.0.0'), { cniVersion: '1.0.0', code: 7, msg: 'wrong' })
  })
  it('CNI-027 hint in msg, faults and causes in details', () => {
    const cause = new Error('inner', { cause: 'root' })
    const object = toErrorObject(new CniError(7, 'outer', { hint: 'do this', cause, faults: ['one', 'two'] }))
    assert.is(object.msg, 'outer; do this')
    assert.is(object.details, 'one\ntwo\ninner\nroot')
  })
  it('CNI-027 a cause that the message ends with is not told twice: runtimes show msg and details', () => {
    const cause = new Error('inner', { cause: 'root' })
    assert.is(toErrorObject(new CniError(7, 'outer: inner', { hint: 'do this', cause })).details, 'root')
    assert.is(toErrorObject(new CniError(7, 'outer: inner', { cause: 'inner' })).details, undefined)
  })
  it('CNI-027 msg has at most 300 characters and nothing is lost', () => {
    const object = toErrorObject(new CniError(7, 'x'.repeat(1000)))
    assert.ok(object.msg.length <= 300)
    assert.match(object.details ?? '', 'x'.repeat(1000))
  })
  it('code 0 never leaves', () => assert.is(toErrorObject(new CniError(0, 'x')).code, 999))
  it('a place put before the message keeps everything else', () => {
    const error = new CniError(11, 'slow', { hint: 'wait', faults: ['f'], cause: 'c' }).at('pod telco/upf-0')
    assert.is(error.message, 'pod telco/upf-0: slow')
    assert.equal([error.code, error.hint, error.faults, error.cause], [11, 'wait', ['f'], 'c'])
  })
  it('CNI-028 whatever is caught becomes an error with a code', () => {
    const own = new CniError(7, 'x')
    assert.is(toCniError(own), own)
    assert.is(toCniError(new TypeError('boom')).code, 999)
    assert.is(toCniError('text', 5).message, 'text')
  })
  it('several faults are one message and one entry each', () => {
    const error = toFaultsError(7, 'NAD a/b', ['one', 'two'], 'mend it')
    assert.is(error.message, 'NAD a/b: one; two')
    assert.equal(error.faults, ['one', 'two'])
    assert.is(error.hint, 'mend it')
    assert.equal(toFaultsError(7, '', ['one']).faults, [])
  })
})
