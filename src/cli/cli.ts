import yargs from 'yargs'
import { toCniError } from '../cni/cni-error.ts'
import { CNI_VERSIONS } from '../cni/version.ts'
import type { CommandContext } from './command-line.ts'
import { SHELLS } from './completion-scripts.ts'
import { ExitCode, formatFailure, UsageError } from './failure.ts'
import { packageVersion } from './installation.ts'
import { withNodeCommands } from './node-commands.ts'
import { terminalStyler } from './output.ts'
import { withPodCommands } from './pod-commands.ts'

const COMMANDS = [
  'list',
  'show',
  'map',
  'explain',
  'validate',
  'doctor',
  'demo',
  'daemon',
  'webhook',
  'install',
  'uninstall',
  'completion',
]

/** What `-` stands for as a file. */
const STDIN = '/dev/stdin'

/** yargs's words that a newcomer would not understand. */
const STRINGS = {
  'Did you mean %s?': 'there is no such command; did you mean %s?',
  'Not enough non-option arguments: got %s, need at least %s': {
    one: 'an argument is missing: %s given, at least %s needed',
    other: 'an argument is missing: %s given, at least %s needed',
  },
  'Unknown argument: %s': {
    one: 'there is no command, option or argument %s here',
    other: 'there are no commands, options or arguments %s here',
  },
  'Invalid values:': 'a value is not possible:',
} as unknown as Record<string, string>

/**
 * The command line, when no runtime calls. Data goes to stdout, errors to stderr; the exit code is one of
 * {@link ExitCode}.
 *
 * @param args Without node and script.
 */
export async function runCli(args: readonly string[]): Promise<void> {
  // A reader that has seen enough (`plexus list | head`) is no failure.
  process.stdout.on('error', (error) => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
  })
  if (args.length === 0) {
    // Whoever calls a CNI plugin without CNI_COMMAND is told what it is (CNI-010).
    process.stderr.write(`plexus ${packageVersion()}: CNI meta-plugin that gives a pod several networks
CNI protocol versions supported: ${CNI_VERSIONS.join(', ')}
plexus --help lists the commands.
`)
    return
  }
  const command = args.find((word) => COMMANDS.includes(word))
  const title = command === undefined ? programName() : `${programName()} ${command}`
  try {
    if (args[0] === '__complete') return await printCompletion(args.slice(1))
    process.exitCode = await runCommand(args)
  } catch (error) {
    if (isUsageError(error)) {
      process.stderr.write(`${title}: ${lowerFirst(error.message)}
  ${title} --help shows how to call it.
`)
      process.exitCode = ExitCode.usage
      return
    }
    process.stderr.write(formatFailure(title, toCniError(error)))
    process.exitCode = ExitCode.finding
  }
}

/** Also what yargs throws by itself, and what it makes of errors that are thrown while it parses. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && (error instanceof UsageError || error.name === 'YError')
}

/** What the user has typed before the command: `kubectl plexus` where kubectl has called us. */
function programName(): string {
  return process.env.PLEXUS_PROGRAM || 'plexus'
}

/** For the scripts of `plexus completion`, and for kubectl. */
async function printCompletion(words: readonly string[]): Promise<void> {
  const { completeWords, formatCompletion } = await import('./completion.ts')
  const { completionNames } = await import('./completion-names.ts')
  const completion = await completeWords(words, {
    help: (command) =>
      commandLine(command === undefined ? [] : [command], () => undefined)
        .wrap(null)
        .getHelp(),
    names: (what, before) => completionNames(what, before, process.env),
  })
  process.stdout.write(formatCompletion(completion))
}

async function runCommand(args: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.good
  await commandLine(args, (code) => {
    exitCode = code
  }).parseAsync()
  return exitCode
}

/** @param ended Told the exit code of the command. */
function commandLine(args: readonly string[], ended: (exitCode: number) => void) {
  const write = (text: string): void => void process.stdout.write(text)
  const context: CommandContext = { write, style: terminalStyler, ended }
  // yargs loses a positional `-`.
  const cli = yargs(args.map((arg) => (arg === '-' ? STDIN : arg)))
    .scriptName(programName())
    .locale('en')
    .updateStrings(STRINGS)
    .usage('$0 <command>\n\nSeveral networks for one pod, one merged result, nothing left behind.')
    .parserConfiguration({ 'greedy-arrays': false, 'parse-numbers': false, 'boolean-negation': false })
  return withNodeCommands(withPodCommands(cli, context), context)
    .command(
      'completion <shell>',
      'What a shell has to read to complete plexus',
      (command) =>
        command.positional('shell', {
          choices: SHELLS,
          demandOption: true,
          describe: 'Which shell reads it',
        }),
      async ({ shell }) => {
        const { COMPLETION_SCRIPTS } = await import('./completion-scripts.ts')
        write(COMPLETION_SCRIPTS[shell])
      },
    )
    .demandCommand(1, 'no command given')
    .strict()
    .recommendCommands()
    .version(packageVersion())
    .help()
    .alias('help', 'h')
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(message)
    })
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
