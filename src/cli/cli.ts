import yargs, { type Argv } from 'yargs'
import { toCniError } from '../cni/cni-error.ts'
import { CNI_VERSIONS } from '../cni/version.ts'
import { NET_CONF_DEFAULTS } from '../config/net-conf.ts'
import { namespaceFault, objectNameFault } from '../network/object-name.ts'
import type { ClusterOptions } from './asked-cluster.ts'
import { SHELLS } from './completion-scripts.ts'
import { ExitCode, formatFailure, UsageError } from './failure.ts'
import { packageVersion } from './installation.ts'
import { MAP_FORMATS, type MapSource } from './map-source.ts'
import { OUTPUT_FORMATS, terminalStyler } from './output.ts'
import { printable } from './printable.ts'
import type { PodName } from './show.ts'

const COMMANDS = ['list', 'show', 'map', 'explain', 'validate', 'demo', 'daemon', 'completion']

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
    if (args[0] === '__complete') {
      process.stdout.write(await completeLine(args.slice(1)))
      return
    }
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

/** What `plexus __complete WORD…` prints for the scripts of `plexus completion`, and for kubectl. */
export async function completeLine(words: readonly string[]): Promise<string> {
  const { completeWords, formatCompletion } = await import('./completion.ts')
  const { completionNames } = await import('./completion-names.ts')
  const completion = await completeWords(words, {
    help: (commands) =>
      commandLine(commands, () => undefined)
        .wrap(null)
        .getHelp(),
    names: (what, before) => completionNames(what, before, process.env),
  })
  return formatCompletion(completion)
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
  const style = terminalStyler
  // yargs loses a positional `-`.
  return yargs(args.map((arg) => (arg === '-' ? STDIN : arg)))
    .scriptName(programName())
    .locale('en')
    .updateStrings(STRINGS)
    .usage('$0 <command>\n\nSeveral networks for one pod, one merged result, nothing left behind.')
    .parserConfiguration({ 'greedy-arrays': false, 'parse-numbers': false, 'boolean-negation': false })
    .command(
      'list',
      'What is attached on this node',
      (command) => withOutput(withCluster(withFolders(command))),
      async ({ stateDir, manifests, kubeconfig, context, output: format }) => {
        assertOneSource(manifests, { kubeconfig, context })
        const { list } = await import('./list.ts')
        ended(await list({ stateDir, manifests, kubeconfig, context, format, style, write }))
      },
    )
    .command(
      'show <pod>',
      'One pod: its interfaces, addresses, plugin calls and network-status',
      (command) =>
        withOutput(withCluster(withFolders(command)))
          .positional('pod', { type: 'string', demandOption: true, describe: 'NAMESPACE/POD' })
          .example('$0 show telco/upf-0', ''),
      async ({ pod: name, stateDir, manifests, kubeconfig, context, output: format }) => {
        assertOneSource(manifests, { kubeconfig, context })
        const { show } = await import('./show.ts')
        const pod = parsePodName(name)
        ended(await show({ pod, stateDir, manifests, kubeconfig, context, format, style, write }))
      },
    )
    .command(
      'map',
      'A picture of the networks and their pods, or of one pod and its plugins',
      (command) =>
        withCluster(withFolders(command))
          .option('pod', once('pod', { describe: 'Only this pod: NAMESPACE/POD' }))
          .option('out', once('out', { describe: 'File to write to, in place of stdout' }))
          .option('output', {
            alias: 'o',
            choices: MAP_FORMATS,
            default: 'svg' as const,
            requiresArg: true,
            describe: 'The picture, or what it is drawn from',
          })
          .example('$0 map --out node.svg', '')
          .example('$0 map --kubeconfig ~/.kube/config > cluster.svg', '')
          .example('$0 map --pod telco/upf-0 --out upf.svg', ''),
      async ({ pod, stateDir, manifests, kubeconfig, context, out, output: format }) => {
        const cluster = { kubeconfig, context }
        assertOneSource(manifests, cluster)
        const { map } = await import('./map.ts')
        ended(
          await map({
            pod: pod === undefined ? undefined : parsePodName(pod),
            source: mapSource(manifests, cluster),
            ...{ stateDir, manifests, ...cluster, out, format, write },
            warn: (message) => void process.stderr.write(`plexus map: ${printable(message)}\n`),
          }),
        )
      },
    )
    .command(
      'explain [files..]',
      'What pods would get and why, and what is wrong, without running anything',
      (command) =>
        withOutput(
          withCluster(withFolders(command, 'Of no effect here: a plan does not depend on what is attached')),
        )
          .positional('files', {
            type: 'string',
            array: true,
            default: [] as string[],
            defaultDescription: 'the pods of --manifests',
            describe: 'Manifests of pods and NetworkAttachmentDefinitions',
          })
          .option('pod', once('pod', { describe: 'Only this pod: NAMESPACE/POD' }))
          .option('conf', once('conf', { describe: "Plexus's net-conf, or the conflist with it" }))
          .option('bin-dir', {
            type: 'string',
            array: true,
            requiresArg: true,
            default: [] as string[],
            defaultDescription: 'plugins are not looked for',
            describe: 'Folder of plugins to look for; may be given several times',
          })
          .example('$0 explain pod.yaml nad.yaml --conf /etc/cni/net.d/00-plexus.conflist', '')
          .example('$0 explain --pod telco/upf-0 --kubeconfig /etc/kubernetes/admin.conf', ''),
      async ({ files, pod, conf, manifests, kubeconfig, context, binDir, output: format }) => {
        const { explain } = await import('./explain.ts')
        ended(
          await explain({
            files,
            manifests,
            pod: pod === undefined ? undefined : parsePodName(pod),
            confFile: conf,
            kubeconfig,
            context,
            binDirs: binDir,
            format,
            style,
            write,
          }),
        )
      },
    )
    .command(
      'validate <files..>',
      'What is wrong in manifests and CNI configurations, before anything runs',
      (command) =>
        withOutput(command)
          .positional('files', {
            type: 'string',
            array: true,
            demandOption: true,
            describe:
              'NADs, pods, workloads, net-confs: files, or folders of .yaml, .yml, .json, .conf, .conflist; - is stdin',
          })
          .example('$0 validate nads.yaml deployment.yaml', '')
          .example('helm template . | $0 validate -', ''),
      async ({ files, output: format }) => {
        const { validate } = await import('./validate.ts')
        ended(await validate({ paths: files, format, style, write }))
      },
    )
    .command(
      'demo',
      'Shows all of it on real plugins, in network namespaces of its own',
      (command) =>
        command
          .option(
            'state-dir',
            once('state-dir', { describe: "Folder for the journal, in place of the demo's own" }),
          )
          .option(
            'manifests',
            once('manifests', { describe: 'Folder to write the manifests to and leave them in' }),
          )
          .option('pictures', once('pictures', { describe: 'Folder to leave pictures of the pods in' }))
          .option('bin-dir', {
            type: 'string',
            array: true,
            requiresArg: true,
            default: [] as string[],
            defaultDescription: '/opt/cni/bin, /usr/lib/cni',
            describe: 'Folder of the CNI plugins; may be given several times',
          }),
      async ({ binDir, stateDir, manifests, pictures }) => {
        const { runDemo } = await import('./demo.ts')
        ended(await runDemo({ binDirs: binDir, stateDir, manifests, pictures }))
      },
    )
    .command(
      'daemon',
      'Serves the shims of this node until it is told to stop',
      (command) =>
        command.option('config', {
          ...once('config', { describe: "The daemon's configuration, YAML or JSON" }),
          demandOption: true,
        }),
      async ({ config }) => {
        const { runDaemon } = await import('./daemon.ts')
        await runDaemon({ config })
      },
    )
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

function withFolders<T>(command: Argv<T>, describe = 'Folder of the journal ("stateDir" of the net-conf)') {
  return command
    .option('state-dir', {
      ...once('state-dir', { describe }),
      default: NET_CONF_DEFAULTS.stateDir as string,
    })
    .option('manifests', {
      type: 'string',
      array: true,
      requiresArg: true,
      default: [] as string[],
      defaultDescription: 'none',
      describe: 'Folder of YAML or JSON manifests; may be given several times',
    })
}

function withCluster<T>(command: Argv<T>) {
  return command
    .option('kubeconfig', {
      ...once('kubeconfig', { describe: 'Cluster to ask for pods and networks' }),
      defaultDescription: 'KUBECONFIG, or the cluster of the pod that this runs in',
    })
    .option(
      'context',
      once('context', { describe: 'Context of the kubeconfig, in place of its current one' }),
    )
}

/** The manifests stand in for a cluster. */
function assertOneSource(manifests: readonly string[], { kubeconfig, context }: ClusterOptions): void {
  if (manifests.length > 0 && (kubeconfig !== undefined || context !== undefined))
    throw new UsageError('--manifests and --kubeconfig are two clusters: name one')
}

/** What was named; else the cluster of kubectl, when that has called us, or this node's own. */
function mapSource(manifests: readonly string[], { kubeconfig, context }: ClusterOptions): MapSource {
  if (manifests.length > 0) return 'manifests'
  const isKubectl = process.env.PLEXUS_PROGRAM !== undefined && process.env.KUBECONFIG !== undefined
  return kubeconfig !== undefined || context !== undefined || isKubectl ? 'cluster' : 'journal'
}

function withOutput<T>(command: Argv<T>) {
  return command.option('output', {
    alias: 'o',
    choices: OUTPUT_FORMATS,
    default: 'table' as const,
    requiresArg: true,
    describe: 'How to print it',
  })
}

/** An option with one value; yargs would make a list of a repeated one. */
function once(name: string, options: { readonly describe: string }) {
  return {
    ...options,
    type: 'string',
    requiresArg: true,
    coerce: (value: string | readonly string[]): string => {
      if (typeof value === 'string') return value
      throw new UsageError(`--${name} is given more than once`)
    },
  } as const
}

function parsePodName(text: string): PodName {
  const [namespace = '', name, ...rest] = text.split('/')
  if (name === undefined || rest.length > 0) {
    throw new UsageError(
      `"${text}" is no pod: write NAMESPACE/POD, for example default/${name ?? (text || 'web-0')}`,
    )
  }
  const fault = namespaceFault(namespace) ?? objectNameFault(name)
  if (fault !== undefined) {
    const part = namespaceFault(namespace) === undefined ? 'name' : 'namespace'
    throw new UsageError(`"${text}" is no pod: its ${part} ${fault}`)
  }
  return { namespace, name }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
