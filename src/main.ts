import { type CniError, toCniError } from './cni/cni-error.ts'

// With CNI_COMMAND a runtime calls us; each way loads only what it needs.
async function main(): Promise<void> {
  if (process.env.CNI_COMMAND === undefined) {
    const { runCli } = await import('./cli/cli.ts')
    await runCli(process.argv.slice(2))
  } else {
    const { runCniPlugin } = await import('./cli/cni-plugin.ts')
    await runCniPlugin()
  }
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
