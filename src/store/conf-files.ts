import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { type Conflist, parseConflist } from '../cni/conflist.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'

/** A network's configuration as a file holds it. */
export interface ConfFile {
  readonly path: string
  readonly conflist: Conflist
}

/** A search in conf folders, with what was passed over and why. */
export interface ConfSearch {
  readonly file: ConfFile | undefined
  readonly ignored: readonly string[]
}

const EXTENSIONS: readonly string[] = ['.conf', '.conflist', '.json']
/** More than any configuration has. */
const LIMIT_BYTES = 1024 * 1024

/**
 * Paths of a folder's conf files in byte order of their names; a missing folder has none. The extension
 * begins at the last dot, so a file called just `.conf` counts. CNI-136 to CNI-138.
 *
 * @throws {CniError} Io.
 */
export function listConfFiles(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && EXTENSIONS.includes(extensionOf(entry.name)))
      .map(({ name }) => name)
      .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
      .map((name) => join(directory, name))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw new CniError(
      CniErrorCode.Io,
      `conf directory ${directory} cannot be read: ${toCniError(error).message}`,
      {
        cause: error,
      },
    )
  }
}

/**
 * Reads one conf file; its extension says whether it is a list (CNI-142). A list also gets the plugins
 * of `<folder>/<network name>/*.conf`, unless it says `loadOnlyInlinedPlugins` (CNI-086).
 *
 * @throws {CniError} Io, Decoding, InvalidNetworkConfig, IncompatibleCniVersion, each naming the file.
 */
export function readConfFile(path: string): ConfFile {
  const value = readJsonFile(path)
  const isList = extensionOf(basename(path)) === '.conflist'
  return {
    path,
    conflist: parseConflist(value, {
      what: `file ${path}`,
      form: isList ? 'conflist' : 'conf',
      ...(isList
        ? { subdirectoryPlugins: readChainFolder(dirname(path), isJsonObject(value) ? value.name : '') }
        : {}),
    }),
  }
}

/** Confs of `<directory>/<name>/*.conf` in byte order; none when the folder is missing or the name is no file name. */
export function readChainFolder(directory: string, name: unknown): JsonObject[] {
  if (typeof name !== 'string' || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return []
  const folder = join(directory, name)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return []
  return listConfFiles(folder)
    .filter((path) => extensionOf(basename(path)) === '.conf')
    .map((path) => {
      const conf = readJsonFile(path)
      if (isJsonObject(conf)) return conf
      throw new CniError(CniErrorCode.InvalidNetworkConfig, `file ${path} is no JSON object`)
    })
}

/**
 * Finds a network by the `name` in its file: all lists first, then single confs, each in byte order
 * (NPWG-012, CNI-139). A file that cannot be read is passed over and named (C-11).
 *
 * @throws {CniError} InvalidNetworkConfig when no file has the name (CNI-140, NPWG-013).
 */
export function findConfByName(
  directories: readonly string[],
  name: string,
): ConfSearch & { file: ConfFile } {
  const ignored: string[] = []
  for (const directory of directories) {
    const paths = listConfFiles(directory)
    const isList = (path: string): boolean => extensionOf(basename(path)) === '.conflist'
    for (const path of [...paths.filter(isList), ...paths.filter((path) => !isList(path))]) {
      const file = tryRead(path, ignored)
      if (file?.conflist.name === name) return { file, ignored }
    }
  }
  throw new CniError(
    CniErrorCode.InvalidNetworkConfig,
    `no net configuration with name "${name}" in ${directories.join(', ')}`,
    { hint: 'give the NAD a spec.config, or put a file with that "name" there', faults: ignored },
  )
}

/**
 * The first file of a folder, in byte order over all three extensions, that is a valid configuration
 * and not of a meta-plugin (CNI-141, NPWG-103).
 *
 * @param isMetaPlugin Whether a plugin type is a meta-plugin's.
 */
export function findFirstConf(directory: string, isMetaPlugin: (type: string) => boolean): ConfSearch {
  const ignored: string[] = []
  for (const path of listConfFiles(directory)) {
    const file = tryRead(path, ignored)
    if (file === undefined) continue
    const meta = file.conflist.plugins.find(({ type }) => isMetaPlugin(type))
    if (meta === undefined) return { file, ignored }
    ignored.push(`${path} is passed over: its plugin "${meta.type}" is a meta-plugin`)
  }
  return { file: undefined, ignored }
}

/** All valid files of a folder in byte order, and the ones that are none with the reason. */
export function readConfFolder(directory: string): {
  readonly files: readonly ConfFile[]
  readonly ignored: readonly { readonly path: string; readonly reason: string }[]
} {
  const files: ConfFile[] = []
  const ignored: { path: string; reason: string }[] = []
  for (const path of listConfFiles(directory)) {
    try {
      files.push(readConfFile(path))
    } catch (error) {
      ignored.push({ path, reason: toCniError(error).message })
    }
  }
  return { files, ignored }
}

function tryRead(path: string, ignored: string[]): ConfFile | undefined {
  try {
    return readConfFile(path)
  } catch (error) {
    ignored.push(`${path} is passed over: ${toCniError(error).message}`)
    return undefined
  }
}

function readJsonFile(path: string): unknown {
  let text: string
  try {
    const stat = statSync(path)
    // Reading anything else might never end.
    if (!stat.isFile()) throw new Error('it is no regular file')
    if (stat.size > LIMIT_BYTES) throw new Error(`it has more than ${LIMIT_BYTES} bytes`)
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CniError(CniErrorCode.Io, `file ${path} cannot be read: ${toCniError(error).message}`, {
      cause: error,
    })
  }
  return parseJson(text, `file ${path}`)
}

function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.')
  return dot < 0 ? '' : name.slice(dot)
}
