import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { compile } from './compile.ts'
import { daemonMode } from './daemon-mode.ts'
import type { ModeContext } from './modes.ts'
import { rssMiB } from './process-cost.ts'
import type { Runner } from './runner.ts'
import { rounded } from './statistics.ts'
import type { BenchPod, Verb } from './workload.ts'

/** How a daemon's memory went over many pods. */
export interface Growth {
  /** ADDs, and as many DELs. */
  readonly cycles: number
  readonly rss: readonly { readonly cycles: number; readonly rssMiB: number | null }[]
  readonly errors: number
}

/** How many pods are under way at once: as many as the daemon admits by default. */
const AT_ONCE = 8
const POINTS = 20

/**
 * Gives so many pods, each of its own name and UID, their networks and takes them away, with delegates that
 * answer at once, and looks at the memory of a daemon that serves nothing else.
 *
 * @param complain Told the first failure.
 */
export async function measureGrowth(
  runner: Runner,
  context: ModeContext,
  cycles: number,
  complain: (message: string) => void,
): Promise<Growth> {
  const { workload } = context
  const pluginDir = join(workload.dir, 'quick')
  mkdirSync(pluginDir, { mode: 0o755 })
  const delegate = compile('delegate', ['-static'])
  // host-local is looked for, and called by nobody.
  for (const type of ['bridge', 'macvlan', 'host-local']) copyFileSync(delegate, join(pluginDir, type))
  const mode = daemonMode('growth', { ...context, workload: { ...workload, pluginDir } })
  const paths = Array.from({ length: AT_ONCE }, () => workload.pod(0).netns)
  await runner.makeNamespaces(paths)
  let errors = 0
  const runBlock = async (verb: Verb, pods: readonly BenchPod[]): Promise<void> => {
    const block = await runner.run(pods.map((pod) => mode.programs(verb, pod, AT_ONCE).map(withAnnotations)))
    for (const { failure, outputs } of block.pods) {
      if (failure === undefined) continue
      if (errors === 0) complain(`growth ${verb}: status ${failure.status}: ${outputs.join('').trim()}`)
      errors += 1
    }
  }
  try {
    await mode.start?.()
    const look = (done: number) => ({ cycles: done, rssMiB: rounded(rssMiB(mode.service?.pid ?? 0), 1) })
    const rss = [look(0)]
    for (let done = 0; done < cycles; ) {
      const size = Math.min(AT_ONCE, cycles - done)
      const pods = paths.slice(0, size).map((netns, index): BenchPod => {
        const { containerId } = workload.pod(0)
        return { name: `growth-${String(done + index).padStart(6, '0')}`, containerId, netns }
      })
      await runBlock('ADD', pods)
      await runBlock('DEL', pods)
      done += size
      if (done >= (rss.length * cycles) / POINTS) rss.push(look(done))
    }
    return { cycles, rss, errors }
  } finally {
    await mode.stop?.()
  }
}

const ANNOTATIONS = 'io.kubernetes.cri.pod-annotations'

/** The runtime passes the pod's annotations, so the manifests need not have each of thousands of pods. */
function withAnnotations<Call extends { readonly stdin: string }>(call: Call): Call {
  const conf: object = JSON.parse(call.stdin)
  const capabilities = { [ANNOTATIONS]: true }
  const runtimeConfig = { [ANNOTATIONS]: { 'k8s.v1.cni.cncf.io/networks': 'data, storage' } }
  return { ...call, stdin: JSON.stringify({ ...conf, capabilities, runtimeConfig }) }
}
