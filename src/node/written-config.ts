import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { toJsonObject } from '../cni/json.ts'
import { writeDurably } from './durable-file.ts'

/** Where it is remembered, below the state directory. */
export const WRITTEN_CONFIG_FILE = 'written-config.json'

/** Writes the daemon's configuration for people, and remembers that the file is ours unless it was there before. */
export function writeConfig(stateDir: string, configFile: string, text: string): void {
  const path = resolve(configFile)
  if (!existsSync(path) || remembered(stateDir)?.path === path) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    writeDurably(join(stateDir, WRITTEN_CONFIG_FILE), JSON.stringify({ path, sha256: hashOf(text) }), 0o600)
  }
  writeDurably(path, text, 0o600)
}

/**
 * Removes that file unless somebody has changed it since.
 *
 * @param root Where the node's root is seen.
 * @returns Its path, when it was removed.
 */
export function removeWrittenConfig(stateDir: string, root: string): string | undefined {
  const { path, sha256 } = remembered(stateDir) ?? {}
  if (path === undefined) return undefined
  const file = join(root, path)
  if (!isFile(file) || hashOf(readFileSync(file)) !== sha256) return undefined
  rmSync(file)
  return file
}

function remembered(stateDir: string): { readonly path: string; readonly sha256: string } | undefined {
  const file = join(stateDir, WRITTEN_CONFIG_FILE)
  if (!isFile(file)) return undefined
  const { path, sha256 } = toJsonObject(readFileSync(file, 'utf8')) ?? {}
  return typeof path === 'string' && typeof sha256 === 'string' ? { path, sha256 } : undefined
}

/** As we have written it: no link, no folder. */
function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true
}

function hashOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
