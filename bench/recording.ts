import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Program, Runner } from './runner.ts'
import { type BenchPod, pluginCall, type Verb, type Workload } from './workload.ts'

/** A call of a delegate as Plexus made it. */
interface RecordedCall {
  readonly type: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  readonly stdout: string
}

/** What Plexus sends its delegates for a pod, told from one ADD and one DEL. */
export interface Recording {
  /** The delegates of an ADD, in order. */
  add(pod: BenchPod): Program[]
  /**
   * The delegates of a DEL, in order.
   * @param outputs stdout of the delegates of the pod's ADD, which become prevResult.
   */
  del(pod: BenchPod, outputs: readonly string[]): Program[]
}

/** Stands before a plugin: keeps its environment and stdin to the byte, and its answer. */
const wrapper = (calls: string, plugin: string, type: string): string => `#!/bin/sh
call='${calls}'/$(($(ls '${calls}' | wc -l) / 4 + 1000))
printf %s '${type}' >"$call.type"
cat /proc/$$/environ >"$call.env"
cat >"$call.stdin"
'${plugin}' <"$call.stdin" >"$call.stdout"
status=$?
cat "$call.stdout"
exit $status
`

/**
 * Runs one pod through the standalone plugin with recording wrappers around bridge and macvlan.
 *
 * @throws {Error} Plexus failed, or what it sends on DEL is not what a replay would send.
 */
export async function record(runner: Runner, workload: Workload, executable: string): Promise<Recording> {
  const dir = join(workload.dir, 'recording')
  mkdirSync(dir)
  for (const type of ['bridge', 'macvlan']) {
    const path = join(dir, type)
    writeFileSync(path, wrapper(join(workload.dir, 'calls'), join(workload.pluginDir, type), type))
    chmodSync(path, 0o755)
  }
  symlinkSync(join(workload.pluginDir, 'host-local'), join(dir, 'host-local'))

  const model = workload.pod(0)
  const run = async (verb: Verb): Promise<RecordedCall[]> => {
    const calls = join(workload.dir, 'calls')
    mkdirSync(calls, { recursive: true })
    const before = new Set(readdirSync(calls))
    const manifests = workload.manifests(1)
    const { pods } = await runner.run([
      [pluginCall(workload, verb, model, { executable, manifests, pluginDir: dir })],
    ])
    const [run] = pods
    if (run?.failure !== undefined) throw new Error(`the recorded ${verb} failed: ${run.outputs.join('')}`)
    const names = readdirSync(calls).filter((name) => name.endsWith('.type') && !before.has(name))
    return names.sort().map((name) => readCall(join(calls, name.slice(0, -'.type'.length))))
  }
  await runner.makeNamespaces([model.netns])
  const adds = await run('ADD')
  const dels = await run('DEL')
  await runner.dropNamespaces([model.netns])
  if (adds.length !== 3 || dels.length !== 3) {
    throw new Error(`Plexus called ${adds.length} delegates on ADD and ${dels.length} on DEL, not 3 and 3`)
  }

  const replay = ({ type, env, stdin }: RecordedCall, pod: BenchPod): Program => {
    const adapt = (text: string): string =>
      text
        .replaceAll(model.containerId, pod.containerId)
        .replaceAll(model.netns, pod.netns)
        .replaceAll(model.name, pod.name)
        .replaceAll(dir, workload.pluginDir)
    return {
      argv: [join(workload.pluginDir, type)],
      env: Object.fromEntries(Object.entries(env).map(([name, value]) => [name, adapt(value)])),
      stdin: adapt(stdin),
    }
  }
  const recording: Recording = {
    add: (pod) => adds.map((call) => replay(call, pod)),
    del: (pod, outputs) =>
      dels.map((call, index) => {
        const program = replay(call, pod)
        // DEL goes through the delegates in reverse.
        return { ...program, stdin: withPrevResult(program.stdin, outputs[outputs.length - 1 - index] ?? '') }
      }),
  }
  const replayed = recording.del(
    model,
    adds.map(({ stdout }) => stdout),
  )
  for (const [index, { stdin }] of replayed.entries()) {
    if (stdin !== dels[index]?.stdin) {
      throw new Error(`the replay of DEL would send\n${stdin}\nwhere Plexus sends\n${dels[index]?.stdin}`)
    }
  }
  return recording
}

/** A delegate that failed or was not started on ADD has no result to hand on. */
function withPrevResult(stdin: string, output: string): string {
  const { prevResult: _, ...conf }: Record<string, unknown> = JSON.parse(stdin)
  const isResult = output.includes('"cniVersion"') && !output.includes('"msg"')
  return JSON.stringify(isResult ? { ...conf, prevResult: JSON.parse(output) } : conf)
}

function readCall(path: string): RecordedCall {
  const read = (part: string): string => readFileSync(`${path}.${part}`, 'utf8')
  const pairs = read('env')
    .split('\0')
    .filter((pair) => pair !== '')
    .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const)
  return { type: read('type'), env: Object.fromEntries(pairs), stdin: read('stdin'), stdout: read('stdout') }
}
