import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, stubNode } from './stub-node.ts'

spec('DEL with a net-conf that has become wrong since ADD', (it) => {
  it('undoes what is recorded, and guesses no default network when nothing is', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    const conf = { ...node.conf(), delegates: 'none', addTimeout: -1 }
    assertDone(await pod.run('DEL', { conf }))
    assert.equal(
      node.primary.calls().map(({ command }) => command),
      ['ADD', 'DEL'],
    )
    assertDone(await pod.run('DEL', { conf }))
    assert.is(node.primary.calls().length, 2)
    await node.assertClean(before)
  })
})
