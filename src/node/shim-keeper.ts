import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { toCniError } from '../cni/cni-error.ts'
import {
  disownShimConf,
  installationTime,
  placedConf,
  placeShimFiles,
  type ShimFate,
  type ShimFiles,
  shimFilesMark,
} from './shim-files.ts'
import { UNINSTALLING_FILE } from './uninstall-mark.ts'

const LOOK_INTERVAL_MS = 500

/** What {@link keepShimFiles} needs. */
export interface ShimKeeperOptions {
  readonly files: ShimFiles
  /** The state directory as this process sees it. */
  readonly stateDir: string
  readonly signal: AbortSignal
  readonly report: (message: string) => void
}

/**
 * Puts back what somebody removes or changes in the folder of plugins, also when that is replaced or its link leads
 * elsewhere, until it is told to stop. Not while the node is uninstalled nor after that, until somebody installs again,
 * and not what another release has put there, or other settings that were installed later: in a rollout two of them look
 * after the same folder. Who stops says so, and another one puts in what it keeps.
 */
export async function keepShimFiles({ files, stateDir, signal, report }: ShimKeeperOptions): Promise<void> {
  const { binDir, conf } = files
  const since = installationTime(binDir)
  let seen: string | undefined
  let said: string | undefined
  let isUninstalled = false
  const say = (message: string): void => {
    if (message !== said) report(message)
    said = message
  }
  let hadState = false
  const fate = (): ShimFate => {
    if (existsSync(join(stateDir, UNINSTALLING_FILE))) return 'uninstalling'
    const stat = statSync(stateDir, { throwIfNoEntry: false })
    // A folder that has been removed since it was mounted here has no link left.
    const isThere = stat !== undefined && stat.nlink > 0
    if (isThere) hadState = true
    return isThere || (stat === undefined && !hadState) ? 'kept' : 'uninstalled'
  }
  const look = (): void => {
    const now = fate()
    if (now === 'uninstalling') {
      isUninstalled = true
      say('Plexus is being uninstalled here: nothing is put back')
      return
    }
    // The mark goes with the state directory, and this process may outlive it, or begin after that.
    if ((isUninstalled || now === 'uninstalled') && placedConf(binDir, conf).version === undefined) {
      say('Plexus has been uninstalled here: nothing is put back until it is installed again')
      return
    }
    isUninstalled = false
    const mark = shimFilesMark(binDir)
    if (mark === seen) return
    const { version, order } = placedConf(binDir, conf, since)
    if (version !== undefined && version !== conf.version) {
      say(`release ${version} has been installed in ${binDir}: it is left alone`)
      return
    }
    if (order === 'later') {
      say(`other settings have been installed in ${binDir} since: they are left alone`)
      return
    }
    const changed = placeShimFiles(files, since, () => (fate() === now ? 'kept' : fate())).filter(
      ({ action }) => action !== 'unchanged',
    )
    // An uninstall came between: the next look says so.
    if (fate() !== now) return
    said = undefined
    if (changed.length === 0) {
      if (seen === undefined) report(`the shim is in place in ${binDir}, and is kept there`)
      // They were as they should be when the mark was taken; after a change somebody may have been faster.
      seen = mark
      return
    }
    const what = seen === undefined ? 'put in place' : 'had been removed or changed, put back'
    seen ??= ''
    report(`${what}: ${changed.map(({ path }) => path).join(', ')}`)
  }
  const attempt = (act: () => void): void => {
    try {
      act()
    } catch (error) {
      const { message, hint } = toCniError(error)
      say(hint === undefined ? message : `${message}; ${hint}`)
    }
  }
  while (!signal.aborted) {
    attempt(look)
    await delay(LOOK_INTERVAL_MS, undefined, { signal, ref: true }).catch(() => undefined)
  }
  attempt(() => {
    if (fate() === 'kept') disownShimConf(files, fate)
  })
}
