import { readFileSync, statSync } from 'node:fs'
import { extname } from 'node:path'
import { parse } from 'yaml'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { type DaemonConf, parseDaemonConf } from '../config/daemon-conf.ts'

/** The daemon's configuration file, read anew when it changes. */
export interface ConfFileWatch {
  /** The last good content. */
  readonly conf: DaemonConf
  /** Why the file as it is now is not in force; `undefined` when it is. */
  readonly fault: string | undefined
  close(): void
}

/** A mounted ConfigMap is swapped by links, which no inotify watch on the file sees: so it is looked at. */
const LOOK_INTERVAL_MS = 1000

/**
 * @param changed Told of every change: a new configuration in force, or why the old one stays.
 * @throws {CniError} When the file is wrong at the start.
 */
export function watchConfFile(
  path: string,
  changed: (conf: DaemonConf | undefined, fault: string | undefined) => void,
): ConfFileWatch {
  let conf = readConfFile(path)
  let seen = signature(path)
  let fault: string | undefined
  const timer = setInterval(() => {
    const now = signature(path)
    if (now === seen) return
    seen = now
    try {
      conf = readConfFile(path)
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

function readConfFile(path: string): DaemonConf {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CniError(
      CniErrorCode.Io,
      `daemon configuration ${path} cannot be read: ${toCniError(error).message}`,
      {
        cause: error,
      },
    )
  }
  let value: unknown
  try {
    value = extname(path) === '.json' ? parseJson(text, path) : (parse(text) ?? {})
  } catch (error) {
    throw new CniError(CniErrorCode.Decoding, `daemon configuration ${path}: ${toCniError(error).message}`, {
      cause: error,
    })
  }
  if (!isJsonObject(value))
    throw new CniError(CniErrorCode.InvalidNetworkConfig, `daemon configuration ${path} is no object`)
  return parseDaemonConf(value)
}

function signature(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? 'absent' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`
}
