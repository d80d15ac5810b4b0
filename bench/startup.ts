import type { Program, Runner } from './runner.ts'
import { quantile } from './statistics.ts'

/** How long a program takes from its start to its end. */
export interface StartupRow {
  readonly program: string
  readonly p50Ms: number
  readonly p90Ms: number
}

/**
 * What it costs to start the standalone plugin, by VERSION, which needs nothing else; beside it what Node
 * itself takes, and a program that does nothing. In turns, the order reversed each time.
 *
 * @param plexus The repository's `bin/plexus`.
 */
export async function measureStartup(runner: Runner, plexus: string, rounds: number): Promise<StartupRow[]> {
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin' }
  const programs: readonly (readonly [string, Program])[] = [
    ['true', { argv: ['/bin/true'], env, stdin: '' }],
    ['node -e 0', { argv: [process.execPath, '-e', '0'], env, stdin: '' }],
    [
      'plexus VERSION',
      { argv: [plexus], env: { ...env, CNI_COMMAND: 'VERSION' }, stdin: '{"cniVersion":"1.1.0"}' },
    ],
  ]
  const timesMs = new Map<string, number[]>(programs.map(([title]) => [title, []]))
  for (let round = -1; round < rounds; round++) {
    for (const [title, program] of round % 2 === 0 ? programs : programs.toReversed()) {
      const [run] = (await runner.run([[program]])).pods
      if (run === undefined || run.failure !== undefined)
        throw new Error(`${title} failed: ${run?.outputs.join('')}`)
      if (round >= 0) timesMs.get(title)?.push(run.elapsedMs)
    }
  }
  return [...timesMs].map(([program, times]) => ({
    program,
    p50Ms: Number((quantile(times, 0.5) ?? 0).toFixed(2)),
    p90Ms: Number((quantile(times, 0.9) ?? 0).toFixed(2)),
  }))
}
