import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { getAsset, isSea } from 'node:sea'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'

/** Path of the executable that people and runtimes start: the single file itself, or `bin/plexus`. */
export function ownExecutable(): string {
  return isSea() ? process.execPath : join(dirname(process.argv[1] ?? ''), '..', 'bin', 'plexus')
}

/**
 * Path of a file that comes with the package; the image has the single file where the package has it.
 *
 * @param remedy What to do when it does not.
 * @throws {CniError} Io when it is not there.
 */
export function shippedFile(name: string, remedy: string): string {
  const path = join(dirname(ownExecutable()), '..', name)
  if (existsSync(path)) return path
  throw new CniError(CniErrorCode.Io, `${path} is not part of this installation`, {
    hint: isSea() ? 'call plexus of the whole package, or of its image' : remedy,
  })
}

/**
 * The version of this installation: from the package.json inside the single file, or from the nearest one
 * above, whether this is the source or the bundle.
 *
 * @throws {CniError} Io when the installation is incomplete.
 */
export function packageVersion(): string {
  const manifest = isSea() ? parseJson(getAsset('package.json', 'utf8'), 'package.json') : nearestManifest()
  if (isJsonObject(manifest) && typeof manifest.version === 'string') return manifest.version
  throw new CniError(
    CniErrorCode.Io,
    'the version is not known: package.json of the installation is missing',
    {
      hint: 'install plexus anew',
    },
  )
}

function nearestManifest(): unknown {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    let text: string
    try {
      text = readFileSync(join(folder, 'package.json'), 'utf8')
    } catch {
      // Not here: one folder up.
      continue
    }
    return parseJson(text, join(folder, 'package.json'))
  }
  return undefined
}
