import { assertReplaced } from '../daemon/replacement.ts'
import { spec } from '../spec.ts'

spec('a daemon that is replaced under load', (it) => {
  it('no request of 505 pods at 5/s fails across three restarts and two take-overs', () =>
    assertReplaced({
      pods: 505,
      perSecond: 5,
      replacements: ['restart', 'take-over', 'restart', 'take-over', 'restart'],
    }))

  it('no request of 505 pods at 5/s fails while shim and daemon are upgraded and downgraded 10 times', () =>
    assertReplaced({
      pods: 505,
      perSecond: 5,
      replacements: Array.from({ length: 10 }, () => ['upgrade', 'upgrade', 'take-over'] as const).flat(),
    }))
})
