import { lstatSync, readFileSync, rmSync } from 'node:fs'
import { toCniError } from '../cni/cni-error.ts'
import type { JsonObject } from '../cni/json.ts'
import { isDeviceInfoPath, parseDeviceInfo } from '../network/device-info.ts'

/**
 * Reads the device-info that plugins left (NPWG-125). No file is no device; one that is wrong does not
 * fail the pod (NPWG-127).
 */
export function readDeviceInfo(
  path: string | undefined,
  warn: (message: string) => void,
): JsonObject | undefined {
  if (path === undefined) return undefined
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
      warn(`device-info ${path} cannot be read: ${toCniError(error).message}`)
    }
    return undefined
  }
  try {
    return text.trim() === '' ? undefined : parseDeviceInfo(text)
  } catch (error) {
    warn(`device-info ${path} is left out of network-status: ${toCniError(error).message}`)
    return undefined
  }
}

/**
 * Removes an attachment's device-info file (NPWG-126); one that is gone is fine. A path out of a record is
 * removed only when it is a plain file of that container in the folder of device-info: whoever writes a record
 * must not reach another file by it.
 */
export function removeDeviceInfo(
  path: string | undefined,
  owner: { readonly devInfoDir: string; readonly containerId: string },
  warn: (message: string) => void,
): void {
  if (path === undefined) return
  if (!isDeviceInfoPath(path, owner.devInfoDir, owner.containerId)) {
    warn(`device-info ${path} is not removed: it is no device-info file of this container`)
    return
  }
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat?.isFile() === false) warn(`device-info ${path} is not removed: it is no plain file`)
    else rmSync(path, { force: true })
  } catch (error) {
    warn(`device-info ${path} cannot be removed: ${toCniError(error).message}`)
  }
}
