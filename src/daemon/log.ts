import { type Logger, pino } from 'pino'
import type { DaemonConf } from '../config/daemon-conf.ts'
import type { RequestReport } from './session.ts'

/** Bytes of one request's line; a longer message is cut. */
const LINE_LIMIT_BYTES = 2048

/** The daemon's log: a JSON object a line on stderr. */
export function openDaemonLog(conf: Pick<DaemonConf, 'logLevel'>): Logger {
  return pino(
    { level: conf.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    process.stderr,
  )
}

/** One line for a request: who, what, how long and, when it failed, why. */
export function logRequest(log: Logger, report: RequestReport): void {
  const { request, error, warnings, queueMs, durationMs, calls } = report
  const pod = request?.args.find(([key]) => key === 'K8S_POD_NAME')?.[1]
  const namespace = request?.args.find(([key]) => key === 'K8S_POD_NAMESPACE')?.[1]
  const fields = {
    command: request?.command,
    ...(pod === undefined ? {} : { pod: `${namespace}/${pod}` }),
    containerId: request?.containerId.slice(0, 64),
    ifName: request?.ifName,
    queueMs: round(queueMs),
    durationMs: round(durationMs),
    calls: calls
      .slice(0, 16)
      .map(
        ({ network, plugin, durationMs: took }) => `${cut(network, 24)}/${cut(plugin, 16)} ${round(took)}`,
      ),
    ...(warnings.length === 0 ? {} : { warnings: warnings.slice(0, 3).map((warning) => cut(warning, 200)) }),
    ...(error === undefined ? {} : { code: error.code, error: cut(error.message, 600) }),
  }
  const line =
    Buffer.byteLength(JSON.stringify(fields)) > LINE_LIMIT_BYTES - 200
      ? { ...fields, calls: calls.length, warnings: warnings.length }
      : fields
  if (error === undefined) log.info(line, 'request finished')
  else log.error(line, 'request failed')
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
