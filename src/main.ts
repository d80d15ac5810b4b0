import { type CniError, toCniError } from './cni/cni-error.ts'

// With CNI_COMMAND a runtime calls us; each way loads only what it needs.
async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const config = configOfDaemon(args)
  if (process.env.CNI_COMMAND !== undefined) {
    const { runCniPlugin } = await import('./cli/cni-plugin.ts')
    await runCniPlugin()
  } else if (config !== undefined) {
    const { runDaemon } = await import('./cli/daemon.ts')
    await runDaemon({ config })
  } else {
    const { runCli } = await import('./cli/cli.ts')
    await runCli(args)
  }
}

/**
 * The file of `daemon --config FILE`: what runs for months loads nothing of the other commands, which would cost it
 * 9 MiB. Whatever is spelt in another way is for the command line to understand.
 */
function configOfDaemon(args: readonly string[]): string | undefined {
  const [command, option, file = ''] = args
  const isPlain = args.length === 3 && command === 'daemon' && option === '--config'
  return isPlain && /^[^-]/.test(file) ? file : undefined
}

main().catch((error: unknown) => {
  // What cannot be told to anybody leaves the exit status.
  process.stdout.on('error', () => undefined)
  process.stderr.on('error', () => undefined)
  const { code, message }: CniError = toCniError(error)
  // A runtime reads stdout, whatever happened (CNI-028).
  process.stdout.write(
    process.env.CNI_COMMAND === undefined ? '' : `${JSON.stringify({ code, msg: message })}\n`,
  )
  process.stderr.write(process.env.CNI_COMMAND === undefined ? `plexus: ${message}\n` : '')
  process.exitCode = 1
})
