import { assertSurvives } from '../rig/chaos.ts'
import { spec } from '../spec.ts'

spec('chaos', (it) => {
  it('600 pods come and go while shim, daemon and delegates are killed: nothing is left, nothing is stuck', () => {
    assertSurvives(600, 800_000)
  })
})
