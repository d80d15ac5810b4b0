import * as assert from 'uvu/assert'
import { assertAdded, assertDone, assertRefused, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import type { Behaviour } from '../rig/stub.ts'
import { markedProcesses } from '../rig/teardown.ts'
import type { TestPod } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

/** How a delegate behaves, and the refusal that follows; without one the call succeeds. */
const faults: [title: string, behaviour: Behaviour, refusal?: [code: number, words: string]][] = [
  ['hangs and ignores SIGTERM', { hang: true, ignoreTerm: true }, [11, 'did not end within 2 s']],
  ['prints without end', { stdoutBytes: 2e9, ignoreTerm: true }, [105, 'printed without end']],
  ['floods stderr', { stderrBytes: 3e6 }],
  ['leaves a child that keeps its pipes open', { holdPipesMs: 60_000 }],
  [
    'leaves a child that keeps its pipes open, and hangs',
    { holdPipesMs: 60_000, hang: true },
    [11, 'did not end within 2 s'],
  ],
]

/** Pods of others, attached and removed meanwhile: each succeeds in its own time. */
async function attachAndRemove(pods: readonly TestPod[], executable: string): Promise<void> {
  await Promise.all(
    pods.map(async (pod) => {
      const [added, deleted] = [await pod.run('ADD', { executable }), await pod.run('DEL', { executable })]
      assertAdded(added)
      assertDone(deleted)
      for (const { durationMs } of [added, deleted]) assert.ok(durationMs < 20_000, `${durationMs} ms`)
    }),
  )
}

spec('a delegate that behaves badly, through shim and daemon', (it) => {
  for (const [title, behaviour, refusal] of faults) {
    it(`${title}: ADD and DEL are bounded, its group is gone, and other pods go on`, async () => {
      const node = await stubNode({ delegateTimeout: 2 })
      const { shim: executable, start } = installDaemon(node)
      const daemon = await start()
      const pod = await node.pod({ networks: 'alpha-net' })
      const neighbours = [
        await node.pod({ name: 'b', networks: 'beta-net' }),
        await node.pod({ name: 'c', networks: 'beta-net' }),
      ]
      const before = await node.watch(pod, ...neighbours)
      for (const verb of ['ADD', 'DEL'] as const) {
        if (verb === 'DEL') assertAdded(await pod.run('ADD', { executable }))
        node.behave(node.alpha, { [verb.toLowerCase()]: behaviour })
        const earlier = node.alpha.calls().filter(({ command }) => command === verb).length
        const running = pod.run(verb, { executable })
        await node.alpha.reached(earlier + 1, verb)
        await attachAndRemove(neighbours, executable)
        const run = await running
        if (refusal !== undefined) assertRefused(run, refusal[0], 'plugin "alpha" failed', refusal[1])
        else if (verb === 'ADD') assertAdded(run)
        else assertDone(run)
        assert.ok(run.durationMs < 30_000, `${verb}: ${run.durationMs} ms`)
        node.behave(node.alpha, {})
        assertDone(await pod.run('DEL', { executable }))
        await eventually(() => assert.equal(markedProcesses(), []))
        await eventually(() => node.assertClean(before))
      }
      for (const line of daemon.lines()) assert.ok(Buffer.byteLength(line) <= 2048, `${line.length} bytes`)
      await daemon.stop()
    })
  }
})
