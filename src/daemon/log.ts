import { writeSync } from 'node:fs'
import { type Logger, pino } from 'pino'
import { isJsonObject } from '../cni/json.ts'
import { redactMessage } from '../cni/redact.ts'
import type { DaemonConf } from '../config/daemon-conf.ts'
import { phasesOf } from './phases.ts'
import type { RequestReport } from './session.ts'

/** The daemon's log: a JSON object a line on stderr. */
export interface DaemonLog {
  readonly logger: Logger
  /** Lines that could not be written. */
  readonly dropped: () => number
}

/** Of a text that is looked at for secrets; what is shown of it is far shorter. */
const LOOKED_AT = 8192

// Of the 2048 bytes of a line the rest is for level, time, pid, msg and the names of the fields.
const TEXT_BYTES = 1400
const POD_BYTES = 320
const ERROR_BYTES = 520
const NOTES_BYTES = 700
const NETWORKS_BYTES = 220
const CALLS_BYTES = 280

/**
 * Opens the log. What cannot be written (a full disk, a reader that is gone) is dropped and counted: the log
 * never ends the daemon, and comes back with the next line that can be written.
 */
export function openDaemonLog(conf: Pick<DaemonConf, 'logLevel'>): DaemonLog {
  let dropped = 0
  let isTorn = false
  const write = (line: string): void => {
    const bytes = Buffer.from(isTorn ? `\n${line}` : line)
    let offset = 0
    try {
      while (offset < bytes.length) offset += writeSync(2, bytes, offset)
      isTorn = false
    } catch {
      // There is no other place to tell it.
      dropped++
      isTorn ||= offset > 0
    }
  }
  const logger = pino(
    {
      level: conf.logLevel,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: {
        logMethod(args, method) {
          method.apply(this, (args as unknown[]).map(bounded) as Parameters<typeof method>)
        },
      },
    },
    { write },
  )
  return { logger, dropped: () => dropped }
}

/**
 * One line for a request: who, which networks, how long and, when it failed, why. At most 2 KiB whatever the
 * names and messages are.
 */
export function logRequest(log: Logger, report: RequestReport): void {
  const { request, error, warnings, durationMs, calls } = report
  const arg = (name: string): string | undefined => request?.args.find(([key]) => key === name)?.[1]
  const pod = [arg('K8S_POD_NAMESPACE'), arg('K8S_POD_NAME')].filter((part) => part !== undefined).join('/')
  const phases = phasesOf(report)
  const message = error === undefined ? undefined : cut(toShown(error.message), ERROR_BYTES)
  const networks = [...new Set(calls.map(({ network }) => network))].map((name) => cut(toShown(name), 64))
  const spent = message === undefined ? 0 : sizeOf(message)
  const fields = {
    command: request?.command,
    ...(pod === '' ? {} : { pod: cut(toShown(pod), POD_BYTES) }),
    containerId: request === undefined ? undefined : cut(toShown(request.containerId), 64),
    ifName: request === undefined ? undefined : cut(toShown(request.ifName), 32),
    durationMs: round(durationMs),
    queueMs: round(phases.queue),
    planMs: round(phases.plan),
    delegatesMs: round(phases.delegates),
    ownMs: round(phases.own),
    ...list('networks', networks, NETWORKS_BYTES),
    ...list('calls', calls.map(describeCall), CALLS_BYTES),
    ...list(
      'warnings',
      warnings.map((warning) => cut(toShown(warning), 240)),
      NOTES_BYTES - spent,
    ),
    ...(message === undefined ? {} : { code: error?.code, error: message }),
  }
  if (error === undefined) log.info(fields, 'request finished')
  else log.error(fields, 'request failed')
}

/** A message, or the texts among the fields of a line, fit to be shown. */
function bounded(part: unknown): unknown {
  if (typeof part === 'string') return cut(toShown(part), TEXT_BYTES)
  if (!isJsonObject(part)) return part
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) => [key, typeof value === 'string' ? bounded(value) : value]),
  )
}

function describeCall({ network, plugin, durationMs, error }: RequestReport['calls'][number]): string {
  const outcome = error === undefined ? '' : ` failed ${error}`
  return `${cut(toShown(network), 32)}/${cut(toShown(plugin), 24)} ${round(durationMs)}${outcome}`
}

/**
 * Without secrets, and without what JSON leaves as it is though it breaks or reorders lines: control
 * characters above ASCII, line separators, marks of direction.
 */
function toShown(text: string): string {
  if (PLAIN_NAME.test(text)) return text
  return redactMessage(text.slice(0, LOOKED_AT)).replaceAll(
    /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** As many of the items as `limitBytes` has room for, and how many more there are. */
function list(name: string, items: readonly string[], limitBytes: number): Record<string, string[]> {
  if (items.length === 0) return {}
  const kept: string[] = []
  let bytes = 16
  for (const item of items) {
    bytes += sizeOf(item) + 3
    if (bytes > limitBytes) {
      kept.push(`${items.length - kept.length} more`)
      break
    }
    kept.push(item)
  }
  return { [name]: kept }
}

/** The beginning of a text that takes at most so many bytes in JSON. */
function cut(text: string, limitBytes: number): string {
  if (text.length <= limitBytes && isAscii(text)) return text
  let bytes = 0
  let length = 0
  for (const character of text) {
    bytes += sizeOf(character)
    if (bytes > limitBytes) {
      // Room for the mark: it takes three bytes.
      const kept = [...text.slice(0, length)]
      for (let freed = bytes - sizeOf(character); freed > limitBytes - 3; ) freed -= sizeOf(kept.pop() ?? '')
      return `${kept.join('')}…`
    }
    length += character.length
  }
  return text
}

/** What names mostly are: in these letters there is no secret, and nothing that JSON writes in another way. */
const PLAIN_NAME = /^[a-z0-9./-]{0,253}$/
const ASCII = /^[ !#-[\]-~]*$/

/** Whether each of its characters is one byte in JSON. */
function isAscii(text: string): boolean {
  return ASCII.test(text)
}

/** Bytes of a text in JSON, without the quotes. */
function sizeOf(text: string): number {
  if (isAscii(text)) return text.length
  return Buffer.byteLength(JSON.stringify(text)) - 2
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
