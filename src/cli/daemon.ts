import { toCniError } from '../cni/cni-error.ts'
import { startDaemon } from '../daemon/daemon.ts'
import { ExitCode, formatFailure } from './failure.ts'
import { packageVersion } from './installation.ts'

/**
 * Runs the daemon until SIGTERM or SIGINT; a second signal ends it at once. An error that nothing has caught
 * ends it too: half a daemon would hold up pods that a new one serves.
 *
 * Its exit code is 0 when it drained, 1 when requests were cut off or it could not start, which stderr tells.
 */
export async function runDaemon(options: { readonly config: string }): Promise<never> {
  // Its own log copes with a reader that is gone; what Node.js itself writes must not end it either.
  process.stderr.on('error', () => undefined)
  let stop: (() => void) | undefined
  // From the start on: as process 1 of a container it would not even hear a signal that it does not handle.
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  let signals = 0
  const hear = (): void => {
    if (++signals > 1) process.exit(1)
    stop?.()
  }
  process.on('SIGTERM', hear)
  process.on('SIGINT', hear)
  const daemon = await startDaemon(options.config, packageVersion()).catch((error: unknown) => {
    process.stderr.write(formatFailure('plexus daemon', toCniError(error)))
    process.exit(ExitCode.finding)
  })
  const end = (error: unknown): never => {
    daemon.fatal(error)
    process.exit(1)
  }
  process.on('uncaughtException', end)
  process.on('unhandledRejection', end)
  await stopped
  // Not by itself: a connection that is still open must not keep a process that serves nobody.
  process.exit((await daemon.stop()) === 0 ? 0 : 1)
}
