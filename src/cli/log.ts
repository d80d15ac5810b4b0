import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { CniError } from '../cni/cni-error.ts'
import { toCniError } from '../cni/cni-error.ts'
import type { CniRequest } from '../cni/request.ts'
import type { NetConf } from '../config/net-conf.ts'

/** The log of one CNI call: a JSON object a line, never on stdout. */
export interface CallLog {
  warn(message: string): void
  error(error: CniError): void
  /** One line for the call, when it has succeeded. */
  info(request: CniRequest, durationMs: number): void
}

const SILENT: CallLog = { warn: () => undefined, error: () => undefined, info: () => undefined }

/** Opens the log that the net-conf asks for; pino is loaded only when something would be written. */
export async function openLog(conf: NetConf): Promise<CallLog> {
  if (conf.logLevel === 'silent' || (conf.logFile === undefined && !conf.logToStderr)) return SILENT
  const { pino } = await import('pino')
  const write = (fd: number, line: string): void => {
    try {
      writeSync(fd, line)
    } catch {
      // A log that cannot be written must not decide about a pod.
    }
  }
  const logger = pino(
    { level: conf.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write(line: string) {
        if (conf.logToStderr) write(2, line)
        if (conf.logFile !== undefined) appendLine(conf.logFile, line)
      },
    },
  )
  return {
    warn: (message) => logger.warn(message),
    error: ({ code, message, hint, faults }) => logger.error({ code, hint, faults }, message),
    info: ({ command, containerId, ifName }, durationMs) =>
      logger.info({ command, containerId, ifName, durationMs: Math.round(durationMs) }, 'call finished'),
  }
}

function appendLine(path: string, line: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
    const fd = openSync(path, 'a', 0o600)
    try {
      writeSync(fd, line)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    process.stderr.write(`log file ${path} cannot be written: ${toCniError(error).message}\n`)
  }
}
