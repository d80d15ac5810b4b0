import { existsSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import process from 'node:process'
import { toCniError } from '../cni/cni-error.ts'
import { checkPrerequisites } from './demo/prerequisites.ts'
import { PLUGINS } from './demo/scenario.ts'
import { openScreen } from './demo/screen.ts'
import { openStage, type Stage } from './demo/stage.ts'
import { playStory } from './demo/story.ts'
import { ownExecutable } from './installation.ts'
import { terminalStyler } from './output.ts'

/** What the command line gives `plexus demo`. */
export interface DemoOptions {
  /** Directories of CNI plugins; empty: the usual ones. */
  readonly binDirs?: readonly string[] | undefined
  /** Folder for the journal, emptied at the end and removed if it is new; absent: one of the demo's own. */
  readonly stateDir?: string | undefined
  /** Folder that the demo writes its manifests to and leaves them in; absent: one of the demo's own. */
  readonly manifests?: string | undefined
  /** Folder to leave pictures of the attached pods in; absent: none are drawn. */
  readonly pictures?: string | undefined
}

const SIGNALS = [
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const

/**
 * `plexus demo`: attaches two pods to three networks each on a node made of network namespaces, shows
 * every step, deletes them and proves that nothing is left. Ctrl-C and failures are cleaned up too.
 *
 * @returns Exit status: 0; 1 when something is missing, failed or was left; 128 and the signal's number
 *   when a signal ended it.
 */
export async function runDemo(options: DemoOptions = {}): Promise<number> {
  const binDirs = (options.binDirs ?? []).map((dir) => resolve(dir))
  const stateDir = options.stateDir === undefined ? undefined : resolve(options.stateDir)
  const manifests = options.manifests === undefined ? undefined : resolve(options.manifests)
  const pictures = options.pictures === undefined ? undefined : resolve(options.pictures)
  const isNewStateDir = stateDir !== undefined && !existsSync(stateDir)
  const prerequisites = checkPrerequisites(PLUGINS, binDirs)
  if (prerequisites.missing.length > 0) {
    process.stderr.write('plexus demo cannot run here, because this is missing:\n')
    for (const line of prerequisites.missing) process.stderr.write(`  - ${line}\n`)
    return 1
  }
  const controller = new AbortController()
  const { signal } = controller
  let endedBy: number | undefined
  for (const [name, number] of SIGNALS) {
    process.on(name, () => {
      endedBy ??= number
      controller.abort(new Error(`ended by ${name}`))
    })
  }
  // Whoever reads may go, as `head` does.
  let isReaderGone = false
  process.stdout.on('error', () => {
    isReaderGone = true
    controller.abort(new Error('nobody reads the output any more'))
  })

  const screen = openScreen((text) => process.stdout.write(text), terminalStyler)
  let stage: Stage | undefined
  let isGood = false
  try {
    stage = openStage(signal)
    const executable = ownExecutable()
    const { binDirs: found } = prerequisites
    const folders = { binDirs: found, stateDir, manifests, pictures }
    isGood = await playStory({ stage, screen, signal, executable, ...folders })
  } catch (error) {
    if (!isReaderGone) {
      process.stderr.write(`\nplexus demo stopped: ${toCniError(error).message}\n`)
      process.stderr.write('Removing what it made ...\n')
    }
  } finally {
    const faults = (await stage?.clear()) ?? []
    if (isNewStateDir) rmSync(stateDir, { recursive: true, force: true })
    for (const fault of faults) process.stderr.write(`could not be removed: ${fault}\n`)
    if (faults.length > 0) isGood = false
  }
  if (endedBy !== undefined) return 128 + endedBy
  return isGood ? 0 : 1
}
