import { lstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { CniError, toCniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { JsonObject } from '../cni/json.ts'
import { isDeviceInfoPath, parseDeviceInfo } from '../network/device-info.ts'
import type { PlannedAttachment } from '../plan/plan.ts'

/** What network-status can carry; those of all devices of a pod go into one annotation of 256 KiB at most. */
const LONGEST_FILE_BYTES = 16 * 1024

/**
 * Puts what the device plugin says of a network's device into the attachment's own file, before any plugin of the
 * network runs, and makes the folder for plugins that are given the path. What an earlier attachment left under
 * that name goes. NPWG-123, NPWG-124, C-27.
 *
 * @throws {CniError} Io when the folder cannot be written.
 */
export function prepareDeviceInfo(attachment: PlannedAttachment, warn: (message: string) => void): void {
  const { deviceInfoFile: path, devicePluginFile, plugins } = attachment
  if (path === undefined) return
  const text = readText(devicePluginFile, warn)
  const isGiven = plugins.some(({ runtimeConfig }) => runtimeConfig?.CNIDeviceInfoFile !== undefined)
  try {
    rmSync(path, { force: true })
    if (text === undefined && !isGiven) return
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    if (text !== undefined) writeFileSync(path, text, { mode: 0o644, flag: 'wx' })
  } catch (error) {
    throw new CniError(
      CniErrorCode.Io,
      `device-info ${path} cannot be written: ${toCniError(error).message}`,
      {
        hint: 'make the folder that "devInfoDir" names writable for Plexus',
        cause: error,
      },
    )
  }
}

/**
 * Reads the device-info that plugins left (NPWG-125). No file is no device; one that is wrong does not
 * fail the pod (NPWG-127).
 */
export function readDeviceInfo(
  path: string | undefined,
  warn: (message: string) => void,
): JsonObject | undefined {
  const text = readText(path, warn)
  if (text === undefined) return undefined
  try {
    return text.trim() === '' ? undefined : parseDeviceInfo(text)
  } catch (error) {
    warn(`device-info ${path} is left out of network-status: ${toCniError(error).message}`)
    return undefined
  }
}

function readText(path: string | undefined, warn: (message: string) => void): string | undefined {
  if (path === undefined) return undefined
  try {
    const { size } = statSync(path)
    if (size <= LONGEST_FILE_BYTES) return readFileSync(path, 'utf8')
    warn(`device-info ${path} is left out: it has ${size} bytes, more than ${LONGEST_FILE_BYTES}`)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
      warn(`device-info ${path} cannot be read: ${toCniError(error).message}`)
    }
  }
  return undefined
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
