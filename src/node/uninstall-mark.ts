import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeDurably } from './durable-file.ts'

/** While it is in the state directory nobody puts back what an uninstall removes. */
export const UNINSTALLING_FILE = 'uninstalling'

/** Says that the node is uninstalled from now on. */
export function setUninstallMark(stateDir: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  writeDurably(join(stateDir, UNINSTALLING_FILE), '', 0o600)
}

/** Takes that back: the node is installed. */
export function clearUninstallMark(stateDir: string): void {
  rmSync(join(stateDir, UNINSTALLING_FILE), { force: true })
}
