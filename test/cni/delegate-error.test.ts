import * as assert from 'uvu/assert'
import { type DelegateFailure, parseDelegateFailure } from '../../src/cni/delegate-error.ts'
import { spec } from '../spec.ts'

const failure = (keys: Partial<DelegateFailure>): DelegateFailure => ({
  type: 'bridge',
  status: 1,
  signal: undefined,
  stdout: '',
  stderr: '',
  ...keys,
})

const cases: [title: string, keys: Partial<DelegateFailure>, code: number, message: string][] = [
  [
    'an error object gives code, msg and details',
    { stdout: '{"code":11,"msg":"no lease","details":"pool \\"a\\""}' },
    11,
    'no lease; pool "a"',
  ],
  [
    'an error object with msg alone',
    { stdout: '{"cniVersion":"1.0.0","code":7,"msg":"bad"}\n', stderr: 'noise' },
    7,
    'bad',
  ],
  ['code 0 becomes ours', { stdout: '{"code":0,"msg":"bad"}' }, 100, 'bad'],
  ['a missing code becomes ours', { stdout: '{"msg":"bad"}' }, 100, 'bad'],
  ['a code that is no positive integer becomes ours', { stdout: '{"code":1.5,"msg":"bad"}' }, 100, 'bad'],
  [
    'nothing on stdout leaves stderr',
    { status: 2, stderr: 'panic: "x"\n' },
    100,
    'netplugin failed: "panic: "x"": exit status 2',
  ],
  ['nothing at all', { status: 3 }, 100, 'netplugin failed with no error message: exit status 3'],
  [
    'a signal',
    { status: undefined, signal: 'SIGKILL' },
    100,
    'netplugin failed with no error message: signal: SIGKILL',
  ],
  [
    'an error object without words leaves stderr but keeps the code',
    { stdout: '{"code":50}', stderr: 'down' },
    50,
    'netplugin failed: "down": exit status 1',
  ],
]

spec('delegate errors', (it) => {
  for (const [title, keys, code, message] of cases) {
    it(`CNI-096 ${title}`, () => {
      const error = parseDelegateFailure(failure(keys))
      assert.is(error.code, code)
      assert.is(error.message, message)
    })
  }
  for (const stdout of ['Segmentation fault', '{"code":', '[]', 'null', '"text"', '7']) {
    it(`CNI-096 ${stdout} on stdout is quoted with the reason, stderr is kept`, () => {
      const error = parseDelegateFailure(failure({ stdout, stderr: 'see above' }))
      assert.is(error.code, 100)
      assert.match(error.message, `netplugin failed but error parsing its diagnostic message "${stdout}": `)
      assert.equal(error.faults, ['see above'])
    })
  }
  it('CNI-104 output without end is not repeated without end', () => {
    const error = parseDelegateFailure(failure({ stdout: 'y\n'.repeat(1_000_000) }))
    assert.ok(error.message.length < 10_000)
    assert.match(error.message, '1999999 characters in all')
  })
})
