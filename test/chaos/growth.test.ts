import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { memoryOf } from '../daemon/process-memory.ts'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { podArgs } from '../rig/manifests.ts'
import { ROOT } from '../rig/plexus.ts'
import { forgetCalls } from '../rig/stub.ts'
import { spec } from '../spec.ts'

const AT_ONCE = 4
const WARM_UP = 500
const REQUESTS = 3000
/** Less for each request than the text of its hello. */
const HEAP_GROWTH_BYTES = (REQUESTS - WARM_UP) * 1024
const RESIDENT_GROWTH_MIB = 20

spec('memory of the daemon over many requests', (it) => {
  it(`does not grow between request ${WARM_UP} and ${REQUESTS}`, async () => {
    const node = await stubNode()
    // Leases only: the kernel's part is not what is measured.
    for (const stub of [node.primary, node.alpha]) {
      stub.behave({ add: { lease: node.leaseDir }, del: { lease: node.leaseDir } })
    }
    const { shim: executable, start } = installDaemon(node, { shim: { addWait: '10', delWait: '2' } })
    const preload = join(ROOT, 'test/fixtures/memory/tell-heap.cjs')
    const options = `NODE_OPTIONS=--require=${preload}`
    const daemon = await start({ wrap: ['env', options] })
    const pods = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, number) =>
        node.pod({ name: `pod-${number}`, networks: 'alpha-net' }),
      ),
    )
    const before = await node.watch(...pods)
    let sandboxes = 0
    let requests = 0
    const serveUntil = async (count: number): Promise<void> => {
      await Promise.all(
        pods.map(async (pod) => {
          while (requests < count) {
            requests += 2
            // As in life: each sandbox has an ID of its own.
            const containerId = `${pod.containerId}-${sandboxes++}`
            const call = { executable, containerId, args: podArgs(pod.manifest, containerId) }
            assertAdded(await pod.run('ADD', call))
            assertDone(await pod.run('DEL', call))
          }
        }),
      )
      forgetCalls(node.binDir)
    }
    const used = async (): Promise<{ heapBytes: number; residentMiB: number }> => {
      const told = (): unknown[] => daemon.log().filter(({ msg }) => msg === 'heap')
      const earlier = told().length
      process.kill(daemon.pid, 'SIGUSR2')
      await eventually(() => assert.is(told().length, earlier + 1))
      const { usedBytes } = told().at(-1) as { usedBytes: number }
      return { heapBytes: usedBytes, residentMiB: memoryOf(daemon.pid).residentMiB }
    }
    await serveUntil(WARM_UP)
    const early = await used()
    await serveUntil(REQUESTS)
    const late = await used()
    const heapGrowth = late.heapBytes - early.heapBytes
    assert.ok(heapGrowth < HEAP_GROWTH_BYTES, `${heapGrowth} bytes more in use`)
    const residentGrowth = late.residentMiB - early.residentMiB
    assert.ok(residentGrowth < RESIDENT_GROWTH_MIB, `${residentGrowth} MiB more resident`)
    await eventually(() => node.assertClean(before))
    assert.is(await daemon.stop(), 0)
  })
})
