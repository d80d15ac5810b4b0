import { startDaemon } from '../daemon/daemon.ts'

/**
 * Runs the daemon until SIGTERM or SIGINT.
 *
 * @returns Exit code: 0 when it drained, 1 when requests were cut off.
 */
export async function runDaemon(options: { readonly config: string }): Promise<number> {
  const daemon = await startDaemon(options.config)
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
  })
  return (await daemon.stop()) === 0 ? 0 : 1
}
