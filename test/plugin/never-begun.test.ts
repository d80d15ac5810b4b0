import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertDone, assertRefused, stubNode } from './stub-node.ts'

const STUCK = { error: { code: 161, msg: 'will not let go' } }

spec('the undo of what never began', (it) => {
  it('of a file that cannot be executed: nothing is kept for a DEL that can never work', async () => {
    const node = await stubNode()
    writeFileSync(join(node.binDir, 'plain'), 'no program', { mode: 0o644 })
    node.write(nad({ name: 'plain', config: { cniVersion: '1.0.0', type: 'plain' } }))
    const pod = await node.pod({ networks: 'alpha-net,plain' })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 5, 'cannot be started')
    await node.assertClean(before)
    assertDone(await pod.run('DEL'))
  })

  it('CNI-044 of a list member that was never reached: its DEL is tried and need not succeed', async () => {
    const node = await stubNode()
    const plugins = [{ type: 'alpha' }, { type: 'beta' }]
    node.write(nad({ name: 'chain', config: { cniVersion: '1.0.0', plugins } }))
    node.behave(node.alpha, { add: { error: { code: 150, msg: 'device is busy' } } })
    node.beta.behave({ del: STUCK })
    const pod = await node.pod({ networks: 'chain' })
    const before = await node.watch(pod)
    const added = await pod.run('ADD')
    assertRefused(added, 150, 'device is busy')
    await node.assertClean(before)
  })

  it('CNI-033 an IPAM plugin that refuses the version has a caller that did begin: it is kept', async () => {
    const node = await stubNode()
    const refuses = { error: { code: 1, msg: 'incompatible CNI versions' } }
    node.behave(node.alpha, { add: refuses, del: refuses })
    const pod = await node.pod({ networks: 'alpha-net' })
    const before = await node.watch(pod)
    assertRefused(await pod.run('ADD'), 1, 'stays recorded for DEL')
    assertRefused(await pod.run('DEL'), 1)
    node.behave(node.alpha, {})
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })
})
