import { type Dirent, readdirSync, statSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'

/** The text of one manifest file. */
export interface ManifestFile {
  path: string
  text: string
}

const EXTENSIONS = ['.yaml', '.yml', '.json']

/**
 * Reads the manifest files of a folder and the folders in it, sorted bytewise by path; or the one file
 * that the path names. Names that begin with a dot are passed over (also the inside of a mounted ConfigMap,
 * whose links are followed); a link to a folder is not.
 *
 * @throws {CniError} Io when the folder or any file in it cannot be read.
 */
export async function readManifestFiles(path: string): Promise<ManifestFile[]> {
  try {
    const isFolder = (await stat(path)).isDirectory()
    const paths = isFolder ? await findManifestFiles(path, EXTENSIONS) : [path]
    const files: ManifestFile[] = []
    for (const file of paths) {
      const text = await readFile(file, 'utf8').catch((error: unknown) => {
        // A pod's manifest goes with its pod, also between the folder's list and this.
        if (isFolder && error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw error
      })
      if (text !== undefined) files.push({ path: file, text })
    }
    return files
  } catch (error) {
    throw toCniError(error, CniErrorCode.Io).at(`manifests ${path}`)
  }
}

/**
 * Files of a folder and the folders in it that have one of the endings, sorted bytewise by path.
 *
 * @throws When a folder cannot be read.
 */
export async function findManifestFiles(folder: string, extensions: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) found.push(...(await findManifestFiles(path, extensions)))
    else if (extensions.includes(extname(entry.name)) && (await isFile(entry, path))) found.push(path)
  }
  return found.sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
}

async function isFile(entry: Dirent, path: string): Promise<boolean> {
  return entry.isFile() || (entry.isSymbolicLink() && (await stat(path)).isFile())
}

/**
 * Something that changes whenever a manifest is written, added or taken away; '' when the path cannot be read.
 * Asked at every request, so without the detour of a thread for each file.
 */
export function manifestSignature(path: string): string {
  try {
    if (!statSync(path).isDirectory()) return fileSignature(path)
    const names = readdirSync(path, { withFileTypes: true })
    return names
      .filter(({ name }) => !name.startsWith('.'))
      .map((entry) => {
        const file = join(path, entry.name)
        return entry.isDirectory() ? manifestSignature(file) : fileSignature(file)
      })
      .join('\n')
  } catch {
    // The lookup that follows says what is wrong.
    return ''
  }
}

function fileSignature(path: string): string {
  if (!EXTENSIONS.includes(extname(path))) return ''
  const { ino, size, mtimeMs, ctimeMs } = statSync(path)
  return `${path}:${ino}:${size}:${mtimeMs}:${ctimeMs}`
}
