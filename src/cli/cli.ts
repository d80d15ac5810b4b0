/** The command line, when no runtime calls. */
export async function runCli(_args: readonly string[]): Promise<void> {
  process.stdout.write('plexus\n')
}
