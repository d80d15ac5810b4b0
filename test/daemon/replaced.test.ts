import { spec } from '../spec.ts'
import { assertReplaced } from './replacement.ts'

spec('a daemon that is replaced under load', (it) => {
  it('no request fails across a restart and a take-over', () =>
    assertReplaced({ pods: 60, perSecond: 5, replacements: ['restart', 'take-over'] }))

  it('no request fails while another shim is installed 20 times', () =>
    assertReplaced({ pods: 30, perSecond: 5, replacements: Array.from({ length: 20 }, () => 'upgrade') }))
})
