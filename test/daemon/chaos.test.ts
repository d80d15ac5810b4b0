import { assertSurvives } from '../rig/chaos.ts'
import { spec } from '../spec.ts'

spec('a little chaos (test/chaos has more)', (it) => {
  it('40 pods come and go while shim, daemon and delegates are killed: nothing is left, nothing is stuck', () => {
    assertSurvives(40, 200_000)
  })
})
