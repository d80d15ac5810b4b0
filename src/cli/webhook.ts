import type { DaemonConf } from '../config/daemon-conf.ts'
import { type NetConf, parseNetConf } from '../config/net-conf.ts'
import { watchConfFile } from '../daemon/conf-file.ts'
import { openDaemonLog } from '../daemon/log.ts'
import { inClusterCredentials, kubeconfigCredentials } from '../store/kubernetes-credentials.ts'
import { startWebhook } from '../webhook/webhook.ts'
import { UsageError } from './failure.ts'

/** What `plexus webhook` is told. */
export interface WebhookCommandOptions {
  readonly listen: string
  readonly certificateFolder: string
  /** The daemon's configuration file: its net-conf's keys count. */
  readonly config: string | undefined
  readonly kubeconfig: string | undefined
}

/** Runs the webhook until SIGTERM or SIGINT; a second signal ends it at once. */
export async function runWebhook(options: WebhookCommandOptions): Promise<never> {
  process.stderr.on('error', () => undefined)
  let signals = 0
  const stopped = new Promise<void>((resolve) => {
    const hear = (): void => {
      if (++signals > 1) process.exit(1)
      resolve()
    }
    process.on('SIGTERM', hear)
    process.on('SIGINT', hear)
  })
  const { kubeconfig, config } = options
  const credentials =
    kubeconfig === undefined ? inClusterCredentials(process.env) : kubeconfigCredentials(kubeconfig)
  if (credentials === undefined)
    throw new UsageError('no cluster to follow: name a kubeconfig by --kubeconfig, or run it in a pod')
  const { logger: log } = openDaemonLog({ logLevel: 'info' })
  let conf = parseNetConf({ type: 'plexus' })
  if (config !== undefined) {
    const watch = watchConfFile(config, (next, fault) => {
      if (next === undefined)
        log.error({ file: config, reason: fault }, 'configuration not taken over, the old one stays in force')
      else conf = toNetConf(next)
    })
    conf = toNetConf(watch.current)
  }
  const webhook = await startWebhook({
    listen: parseAddress(options.listen),
    certificateFolder: options.certificateFolder,
    credentials,
    conf: () => conf,
    log: { info: (message) => log.info(message), warn: (message) => log.warn(message) },
  })
  log.info({ port: webhook.port }, 'webhook listens')
  const end = (error: unknown): never => {
    log.fatal({ err: error }, 'webhook ends')
    process.exit(1)
  }
  process.on('uncaughtException', end)
  process.on('unhandledRejection', end)
  await stopped
  await webhook.stop()
  process.exit(0)
}

function toNetConf({ netConf }: DaemonConf): NetConf {
  return parseNetConf({ type: 'plexus', ...netConf })
}

function parseAddress(text: string): { host: string | undefined; port: number } {
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(text) ?? []
  if (host === undefined || Number(port) > 65535)
    throw new UsageError(
      `"${text}" is no address to listen on: write HOST:PORT, for example 10.0.0.7:8443 or :8443`,
    )
  return { host: host.replace(/^\[(.*)\]$/, '$1') || undefined, port: Number(port) }
}
