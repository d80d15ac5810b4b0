import { readFileSync, statSync } from 'node:fs'
import { extname } from 'node:path'
import { parse } from 'yaml'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'
import { type DaemonConf, parseDaemonConf, takeOver } from '../config/daemon-conf.ts'
import { type WatchedFiles, watchFiles } from '../store/watched-files.ts'

const LIMIT_BYTES = 1024 * 1024

/**
 * The daemon's configuration file, read anew when it changes.
 *
 * @param changed Told of every change: a new configuration in force, or why the old one stays.
 * @throws {CniError} When the file is wrong at the start.
 */
export function watchConfFile(
  path: string,
  changed: (conf: DaemonConf | undefined, fault: string | undefined) => void,
): WatchedFiles<DaemonConf> {
  const read = (before: DaemonConf | undefined): DaemonConf => {
    const conf = readConfFile(path)
    return before === undefined ? conf : takeOver(before, conf)
  }
  return watchFiles([path], read, changed)
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
