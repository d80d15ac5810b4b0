import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import { isJsonObject, parseJson } from '../cni/json.ts'

/**
 * The version of this installation, from the nearest package.json above, whether this is the source or the
 * bundle.
 *
 * @throws {CniError} Io when the installation is incomplete.
 */
export function packageVersion(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    let text: string
    try {
      text = readFileSync(join(folder, 'package.json'), 'utf8')
    } catch {
      // Not here: one folder up.
      continue
    }
    const manifest = parseJson(text, join(folder, 'package.json'))
    if (isJsonObject(manifest) && typeof manifest.version === 'string') return manifest.version
  }
  throw new CniError(
    CniErrorCode.Io,
    'the version is not known: package.json of the installation is missing',
    {
      hint: 'install plexus anew',
    },
  )
}
