import * as assert from 'uvu/assert'
import { formatFailure, formatFault } from '../../src/cli/failure.ts'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { toFaultsError } from '../../src/cni/faults.ts'
import { spec } from '../spec.ts'

spec('failure', (it) => {
  it('says what is wrong and what to do', () => {
    const error = new CniError(CniErrorCode.Io, 'file x cannot be read', { hint: 'become root' })
    assert.is(
      formatFailure('plexus list', error),
      'plexus list: file x cannot be read\n  What to do: become root.\n',
    )
  })

  it('a message from elsewhere cannot steer the terminal', () => {
    const error = new CniError(CniErrorCode.TryAgainLater, 'the API server says \u001b[1A\u001b[2K')
    assert.is(formatFailure('plexus', error), 'plexus: the API server says \\u001b[1A\\u001b[2K\n')
  })

  it('several faults are listed once, under what they have in common', () => {
    const error = toFaultsError(CniErrorCode.Decoding, 'manifests', ['a.yaml is bad', 'b.yaml is worse'])
    assert.is(formatFault(error), 'manifests: 2 faults\n  - a.yaml is bad\n  - b.yaml is worse\n')
  })

  it('faults without anything in common are listed under their number', () => {
    assert.is(
      formatFault(toFaultsError(CniErrorCode.Decoding, '', ['one', 'two'])),
      '2 faults\n  - one\n  - two\n',
    )
  })

  it('a fault that the message already tells is not repeated', () => {
    const error = new CniError(CniErrorCode.Decoding, 'annotation a: element 0 is bad', {
      faults: ['element 0 is bad'],
    })
    assert.is(formatFault(error), 'annotation a: element 0 is bad\n')
  })

  it('faults beyond the message follow it', () => {
    const error = new CniError(CniErrorCode.Decoding, 'annotation a: 2 faults, the first: x', {
      faults: ['x', 'y'],
      hint: 'correct it',
    })
    assert.is(formatFault(error), 'annotation a: 2 faults, the first: x\n  - y\n  What to do: correct it.\n')
  })
})
