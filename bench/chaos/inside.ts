// Runs in namespaces of its own (bench/chaos.ts makes them): the node, its daemon and all cycles. Told what
// to do by one argument in JSON; prints the report in JSON.
import { type Chaos, Cycle } from './cycle.ts'
import { Daemons } from './daemons.ts'
import { countEmptyLeases, findLeaks, look } from './leaks.ts'
import { type ChaosNode, makeNode } from './node.ts'
import { startShim } from './shim-call.ts'
import { type ChaosReport, Tally } from './tally.ts'

/** What `bench/chaos.ts` tells it. */
export interface Orders {
  readonly dir: string
  readonly plexus: string
  readonly pluginDir: string
  readonly cycles: number
  readonly seed: number
}

const PODS_AT_ONCE = 8
const PREPARE_LIMIT_MS = 30_000

async function run(
  { dir, plexus, pluginDir, cycles, seed }: Orders,
  signal: AbortSignal,
): Promise<ChaosReport> {
  const node = await makeNode(dir, { count: PODS_AT_ONCE, plexus, pluginDir })
  const daemons = new Daemons(node.daemon)
  const tally = new Tally()
  await daemons.start()
  await makeBridges(node)
  const baseline = await look()
  const chaos: Chaos = { seed, node, daemons, tally }
  let next = 0
  const slot = async (index: number): Promise<void> => {
    let deleting: Promise<void> = Promise.resolve()
    while (next < cycles && !signal.aborted) {
      const number = next++
      if (number > 0 && number % 500 === 0) process.stderr.write(`bench: ${number} cycles\n`)
      const cycle = new Cycle(chaos, number, index)
      await cycle.add()
      await deleting
      deleting = cycle.del()
      if (!cycle.isForced) await deleting
    }
    await deleting
  }
  await Promise.all(Array.from({ length: PODS_AT_ONCE }, (_, index) => slot(index)))
  // What a shim alone cannot know of, the next daemon takes away.
  await daemons.restart()
  const leaks = await findLeaks(node, baseline, daemons.pids)
  await daemons.stop()
  leaks.push(...(await findLeaks(node, baseline, [])).filter((leak) => !leaks.includes(leak)))
  return tally.report({
    seed,
    cycles: next,
    daemonStarts: daemons.starts,
    leaks,
    emptyLeases: countEmptyLeases(node),
    daemonFaults: daemons.faults,
  })
}

/** By one pod alone: bridge plugins that make the same bridge at the same time fail by themselves. */
async function makeBridges(node: ChaosNode): Promise<void> {
  const pod = node.pod(0)
  await node.makeNetns(pod.netns)
  for (const verb of ['ADD', 'DEL'] as const) {
    const { ended, output } = await startShim(node.program(verb, pod), PREPARE_LIMIT_MS).finished
    if (ended !== 0) throw new Error(`${verb} of the first pod failed: ${output}`)
  }
  await node.dropNetns(pod.netns)
}

// stdin ends when the rest of the cycles is not wanted, and when whoever started this is gone.
const controller = new AbortController()
process.stdin.once('end', () => controller.abort()).resume()
const report = await run(JSON.parse(process.argv[2] ?? '') as Orders, controller.signal)
process.stdout.write(JSON.stringify(report), () => process.exit(0))
