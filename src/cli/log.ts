import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { CniError } from '../cni/cni-error.ts'
import { toCniError } from '../cni/cni-error.ts'
import type { CniRequest } from '../cni/request.ts'
import type { NetConf } from '../config/net-conf.ts'

/** The log of one CNI call: JSON objects a line, never on stdout. Lines are written by `flush`. */
export interface CallLog {
  warn(message: string): void
  error(error: CniError): void
  /** One line for the call, when it has succeeded. */
  info(request: CniRequest, durationMs: number): void
  /** Writes what was logged; never throws. */
  flush(): Promise<void>
}

type Level = 'error' | 'warn' | 'info'

const LEVELS: readonly NetConf['logLevel'][] = ['silent', 'error', 'warn', 'info', 'debug']

/** The log that the net-conf asks for; pino is loaded only when there is something to write. */
export function openLog(conf: NetConf): CallLog {
  const entries: { level: Level; fields: object; message: string; time: number }[] = []
  const isOpen = conf.logFile !== undefined || conf.logToStderr
  const note = (level: Level, fields: object, message: string): void => {
    const isEnabled = isOpen && LEVELS.indexOf(level) <= LEVELS.indexOf(conf.logLevel)
    if (isEnabled) entries.push({ level, fields, message, time: Date.now() })
  }
  return {
    warn: (message) => note('warn', {}, message),
    error: ({ code, message, hint, faults }) => note('error', { code, hint, faults }, message),
    info: ({ command, containerId, ifName }, durationMs) =>
      note('info', { command, containerId, ifName, durationMs: Math.round(durationMs) }, 'call finished'),
    async flush() {
      if (entries.length === 0) return
      const { pino } = await import('pino')
      const write = (line: string): void => {
        if (conf.logToStderr) process.stderr.write(line)
        if (conf.logFile !== undefined) appendLine(conf.logFile, line)
      }
      const logger = pino({ level: conf.logLevel, base: { pid: process.pid }, timestamp: false }, { write })
      for (const { level, fields, message, time } of entries) {
        logger[level]({ time: new Date(time).toISOString(), ...fields }, message)
      }
    },
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
