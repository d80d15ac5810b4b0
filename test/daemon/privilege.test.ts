import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

spec('a daemon without privilege', (it) => {
  it('serves without any capability, with no_new_privs and in a process namespace of its own', async () => {
    const node = await stubNode()
    const { shim: executable, start } = installDaemon(node)
    const daemon = await start({
      wrap: [
        ...['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'],
        ...['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all', '--no-new-privs'],
      ],
    })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('CHECK', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    daemon.kill('SIGKILL')
    await daemon.ended
  })
})
