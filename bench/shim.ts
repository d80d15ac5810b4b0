import { copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { encodeMessage } from '../src/executor/protocol.ts'
import { compile } from './compile.ts'
import type { Mode } from './modes.ts'
import type { Program, Runner } from './runner.ts'
import { quantile, rounded } from './statistics.ts'
import { pluginCall, type Verb, type Workload } from './workload.ts'

/** What the shim alone costs. */
export interface ShimCost {
  /** From its start to the end of the hello, as its peer gets it. */
  readonly startToHelloMs: { readonly p50: number | null; readonly p90: number | null }
  /** Largest resident memory over a whole ADD or DEL with real delegates. */
  readonly peakRssKiB: number
  readonly sizeKiB: number
}

const STARTS = 200
const PEAK_ROUNDS = 3

/**
 * Measures the shim.
 *
 * @param shim The executable as it was built.
 * @param mode One whose program for a pod is the shim.
 */
export async function measureShim(
  runner: Runner,
  workload: Workload,
  shim: string,
  mode: Mode,
): Promise<ShimCost> {
  const driver = compile('shim-cost')
  const timesMs = await measureHello(runner, workload, shim, driver)
  return {
    startToHelloMs: { p50: rounded(quantile(timesMs, 0.5), 3), p90: rounded(quantile(timesMs, 0.9), 3) },
    peakRssKiB: await measurePeak(runner, workload, driver, mode),
    sizeKiB: Math.ceil(statSync(shim).size / 1024),
  }
}

async function measureHello(
  runner: Runner,
  workload: Workload,
  shim: string,
  driver: string,
): Promise<number[]> {
  const dir = join(workload.dir, 'shim')
  const installed = join(dir, 'bin', 'plexus')
  const socket = join(dir, 'run', 'plexus.sock')
  const answer = join(dir, 'answer')
  for (const path of [installed, socket]) mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  copyFileSync(shim, installed)
  writeFileSync(join(dir, 'bin', 'plexus.shim'), `socket=${socket}\nstateDir=${join(dir, 'state')}\n`, {
    mode: 0o600,
  })
  writeFileSync(answer, Buffer.concat([encodeMessage.hello(1, ''), encodeMessage.done(0, true, false, '{}')]))
  const pod = workload.pod(0)
  const { env, stdin } = pluginCall(workload, 'ADD', pod, {
    executable: installed,
    manifests: workload.manifests(1),
  })
  await runner.makeNamespaces([pod.netns])
  const argv = [driver, 'hello', String(STARTS), socket, answer, installed]
  const output = await runOnce(runner, { argv, env, stdin })
  await runner.dropNamespaces([pod.netns])
  return output
    .trim()
    .split('\n')
    .map((nanoseconds) => Number(nanoseconds) / 1e6)
}

async function measurePeak(runner: Runner, workload: Workload, driver: string, mode: Mode): Promise<number> {
  let peakKiB = 0
  for (let round = 0; round < PEAK_ROUNDS; round++) {
    const pod = workload.pod(0)
    await runner.makeNamespaces([pod.netns])
    for (const verb of ['ADD', 'DEL'] satisfies Verb[]) {
      for (const { argv, env, stdin } of mode.programs(verb, pod, 1)) {
        const output = await runOnce(runner, { argv: [driver, 'peak', ...argv], env, stdin })
        peakKiB = Math.max(peakKiB, Number(output))
      }
    }
    await runner.dropNamespaces([pod.netns])
  }
  return peakKiB
}

async function runOnce(runner: Runner, program: Program): Promise<string> {
  const [run] = (await runner.run([[program]])).pods
  if (run === undefined || run.failure !== undefined) {
    throw new Error(`${program.argv.join(' ')} failed: ${run?.outputs.join('')}`)
  }
  return run.outputs.join('')
}
