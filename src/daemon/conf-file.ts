import { readFileSync, statSync } from 'node:fs'
import { extname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parse } from 'yaml'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { type DaemonConf, parseDaemonConf, takeOver } from '../config/daemon-conf.ts'

/** The daemon's configuration file, read anew when it changes. */
export interface ConfFileWatch {
  /** What is in force. */
  readonly conf: DaemonConf
  /** Why the file as it is now is not in force; `undefined` when it is. */
  readonly fault: string | undefined
  close(): void
}

/** A mounted ConfigMap is swapped by links, which no inotify watch on the file sees: so it is looked at. */
const LOOK_INTERVAL_MS = 200
/** A file that is taken away for a moment is being replaced. */
const ABSENT_AFTER_MS = 1000
const LIMIT_BYTES = 1024 * 1024
const ABSENT = 'absent'

/**
 * @param changed Told of every change: a new configuration in force, or why the old one stays.
 * @throws {CniError} When the file is wrong at the start.
 */
export function watchConfFile(
  path: string,
  changed: (conf: DaemonConf | undefined, fault: string | undefined) => void,
): ConfFileWatch {
  // Before the content, so that a change in between is seen at the next look.
  let inForce = signature(path)
  let seen = inForce
  let seenSince = performance.now()
  let conf = readConfFile(path)
  let fault: string | undefined
  const timer = setInterval(() => {
    const now = signature(path)
    if (now !== seen) {
      // It may be half written: what stays for two looks is read.
      seen = now
      seenSince = performance.now()
      return
    }
    if (now === inForce || (now === ABSENT && performance.now() - seenSince < ABSENT_AFTER_MS)) return
    inForce = now
    try {
      conf = takeOver(conf, readConfFile(path))
      fault = undefined
      changed(conf, undefined)
    } catch (error) {
      fault = toCniError(error).message
      changed(undefined, fault)
    }
  }, LOOK_INTERVAL_MS)
  timer.unref()
  return {
    get conf() {
      return conf
    },
    get fault() {
      return fault
    },
    close: () => clearInterval(timer),
  }
}

/** Reads the file once. @throws {CniError} With everything that is wrong with it. */
export function readConfFile(path: string): DaemonConf {
  const text = readText(path)
  let value: unknown
  try {
    value = extname(path) === '.json' ? parseJson(text, path) : (parse(text) ?? {})
  } catch (error) {
    // YAML's words quote the lines around the fault, which may be a secret.
    const [reason = ''] = toCniError(error).message.split(/:?\n/)
    throw new CniError(CniErrorCode.Decoding, `daemon configuration ${path}: ${reason}`, { cause: error })
  }
  if (!isJsonObject(value))
    throw new CniError(CniErrorCode.InvalidNetworkConfig, `daemon configuration ${path} is no object`)
  try {
    return parseDaemonConf(value)
  } catch (error) {
    const fault = toCniError(error)
    // Every fault of the file at once: whoever corrects it sees only this text.
    throw new CniError(
      fault.code,
      `file ${path}: ${fault.faults.length > 1 ? fault.faults.join('; ') : fault.message}`,
      { hint: 'docs/configuration.md lists every key with its type', cause: error, faults: fault.faults },
    )
  }
}

function readText(path: string): string {
  try {
    const stat = statSync(path)
    // Reading anything else might never end.
    if (!stat.isFile()) throw new Error('it is no regular file')
    if (stat.size > LIMIT_BYTES) throw new Error(`it has more than ${LIMIT_BYTES} bytes`)
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new CniError(
      CniErrorCode.Io,
      `daemon configuration ${path} cannot be read: ${toCniError(error).message}`,
      { cause: error, hint: 'name a readable file by --config' },
    )
  }
}

/** Something that changes with the file; links are followed. */
function signature(path: string): string {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
    if (stat === undefined) return ABSENT
    return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(':')
  } catch (error) {
    // Reading it says what is wrong.
    return `unreadable: ${toCniError(error).message}`
  }
}
