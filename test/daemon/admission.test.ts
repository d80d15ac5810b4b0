import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { openAdmission } from '../../src/daemon/admission.ts'
import { spec } from '../spec.ts'

const WAIT_MS = 5000
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

spec('admission of ADDs', (it) => {
  it('lets as many in as the limit allows, and the next when one is done', async () => {
    const admission = openAdmission(() => 2)
    const first = await admission.enter('a', WAIT_MS)
    await admission.enter('a', WAIT_MS)
    let isIn = false
    const third = admission.enter('a', WAIT_MS).then(() => {
      isIn = true
    })
    await turn()
    assert.is(isIn, false)
    assert.is(admission.waiting, 1)
    first()
    first()
    await third
    assert.is(admission.running, 2)
    assert.is(admission.waiting, 0)
  })

  it('gives namespaces turns: one pod of another namespace does not wait for a hundred of the first', async () => {
    const admission = openAdmission(() => 1)
    const leave = await admission.enter('many', WAIT_MS)
    const order: string[] = []
    const enter = async (namespace: string): Promise<void> => {
      const done = await admission.enter(namespace, WAIT_MS)
      order.push(namespace)
      done()
    }
    const all = [...Array.from({ length: 100 }, () => enter('many')), enter('few'), enter('one')]
    leave()
    await Promise.all(all)
    assert.equal(order.slice(0, 4), ['many', 'few', 'one', 'many'])
    assert.is(order.length, 102)
    assert.is(admission.running, 0)
  })

  it('refuses with error 11 who has waited too long, and forgets them', async () => {
    const admission = openAdmission(() => 1)
    const leave = await admission.enter('a', WAIT_MS)
    try {
      await admission.enter('b', 20)
      assert.unreachable('it was let in')
    } catch (error) {
      assert.is((error as { code: number }).code, CniErrorCode.TryAgainLater)
    }
    assert.is(admission.waiting, 0)
    leave()
    assert.is(admission.running, 0)
    await admission.enter('a', WAIT_MS)
    assert.is(admission.running, 1)
  })

  it('who is cancelled leaves the queue at once, and their turn goes to the next', async () => {
    const admission = openAdmission(() => 1)
    const leave = await admission.enter('a', WAIT_MS)
    const controllers = Array.from({ length: 3 }, () => new AbortController())
    const order: string[] = []
    const waiting = controllers.map(async ({ signal }, index) => {
      try {
        const done = await admission.enter('a', WAIT_MS, signal)
        order.push(`in ${index}`)
        done()
      } catch (error) {
        order.push(`out ${index} ${(error as { code: number }).code}`)
      }
    })
    controllers[1]?.abort()
    await waiting[1]
    assert.equal(order, [`out 1 ${CniErrorCode.TryAgainLater}`])
    assert.is(admission.waiting, 2)
    controllers[0]?.abort()
    leave()
    await Promise.all(waiting)
    // Too late to matter.
    controllers[2]?.abort()
    assert.equal(order.slice(1), [`out 0 ${CniErrorCode.TryAgainLater}`, 'in 2'])
    assert.is(admission.running, 0)
    assert.is(admission.waiting, 0)
    try {
      await admission.enter('a', WAIT_MS, AbortSignal.abort())
      assert.unreachable('it was let in')
    } catch (error) {
      assert.is((error as { code: number }).code, CniErrorCode.TryAgainLater)
    }
    assert.is(admission.running, 0)
  })

  it('obeys a limit that has changed meanwhile', async () => {
    let limit = 1
    const admission = openAdmission(() => limit)
    const leave = await admission.enter('a', WAIT_MS)
    const waiting = [admission.enter('a', WAIT_MS), admission.enter('b', WAIT_MS)]
    limit = 3
    leave()
    await Promise.all(waiting)
    assert.is(admission.running, 2)
  })
})
