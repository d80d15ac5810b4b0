import { CniErrorCode } from '../cni/codes.ts'
import { toFaultsError, toShown } from '../cni/faults.ts'
import { isJsonObject, type JsonObject, parseJson } from '../cni/json.ts'

/** Required texts of each type's own object, with their values where the standard lists all. */
const REQUIRED: Record<string, Record<string, readonly string[]>> = {
  pci: { 'pci-address': [] },
  vdpa: { 'parent-device': [], driver: ['vhost', 'virtio'], path: [] },
  'vhost-user': { mode: ['client', 'server'], path: [] },
  // The mode is told in two spellings (`punt`, `inject-punt`), so any text is handed on (C-25).
  memif: { role: ['master', 'slave'], path: [], mode: [] },
}

/** Bytes of a file name on every file system that matters; the texts here are ASCII. */
const FILE_NAME_LIMIT = 255

const PCI_ADDRESS = /^[\da-f]{4,8}:[\da-f]{2}:[\da-f]{2}\.[0-7]$/i

/**
 * Reads a device-info file (Device Information Specification 1.1.0) and gives all of it back: unknown types
 * and keys are kept. NPWG-127 to 132.
 *
 * @throws {CniError} Decoding for what is no JSON, InvalidNetworkConfig with every fault for what is no
 *   device-info; the caller warns and goes on without.
 */
export function parseDeviceInfo(text: string): JsonObject {
  const what = 'device-info'
  const info = parseJson(text, what)
  if (!isJsonObject(info)) {
    throw toFaultsError(CniErrorCode.InvalidNetworkConfig, what, [`must be an object, not ${toShown(info)}`])
  }
  const faults: string[] = []
  const { type, version } = info
  if (typeof type !== 'string' || type === '') faults.push(`type must be a text, not ${toShown(type)}`)
  if (typeof version !== 'string' || !/^\d+\.\d+\.\d+$/.test(version)) {
    faults.push(`version must be MAJOR.MINOR.PATCH, not ${toShown(version)}`)
  }
  const required = typeof type === 'string' && Object.hasOwn(REQUIRED, type) ? REQUIRED[type] : undefined
  if (typeof type === 'string' && required !== undefined) checkDevice(info[type], type, required, faults)
  if (faults.length > 0) throw toFaultsError(CniErrorCode.InvalidNetworkConfig, what, faults)
  return info
}

function checkDevice(
  device: unknown,
  type: string,
  required: Record<string, readonly string[]>,
  faults: string[],
): void {
  if (!isJsonObject(device)) {
    faults.push(`${type} must be an object, not ${toShown(device)}`)
    return
  }
  for (const [key, allowed] of Object.entries(required)) {
    const value = device[key]
    if (typeof value !== 'string' || value === '')
      faults.push(`${type}.${key} must be a text, not ${toShown(value)}`)
    else if (allowed.length > 0 && !allowed.includes(value)) {
      faults.push(`${type}.${key} must be ${allowed.join(' or ')}, not ${toShown(value)}`)
    } else if (key === 'pci-address' && !PCI_ADDRESS.test(value)) {
      faults.push(`${type}.${key} must be like 0000:03:02.0, not ${toShown(value)}`)
    }
  }
}

/**
 * File name of one attachment's device-info below `devinfo/cni`: `<namespace>-<nad>-<containerID>_<ifName>`.
 * Unique without the network's name too, which is left out when the whole would be too long for a file.
 * NPWG-122.
 *
 * @param network `namespace/nad`, or the network's name.
 */
export function deviceInfoFileName(network: string, containerId: string, ifName: string): string {
  const own = toFileName(`${containerId}_${ifName}`)
  const full = `${toFileName(network)}-${own}`
  return full.length <= FILE_NAME_LIMIT ? full : own
}

/**
 * Whether a path is where {@link deviceInfoFileName} puts a file of this container: a name of its own directly
 * in `cni/` of that folder. What a record names must be, before it is removed.
 */
export function isDeviceInfoPath(path: string, devInfoDir: string, containerId: string): boolean {
  const folder = `${devInfoDir}/cni/`
  if (!path.startsWith(folder)) return false
  const name = path.slice(folder.length)
  const own = `${containerId}_`
  const at = name.startsWith(own) ? 0 : name.indexOf(`-${own}`) + 1
  return (at > 0 || name.startsWith(own)) && name.length > at + own.length && !/[/\0]/.test(name)
}

/** File name of a device below `devinfo/dp`, which the device plugin writes. NPWG-120. */
export function devicePluginFileName(resource: string, deviceId: string): string {
  return `${toFileName(resource)}-${toFileName(deviceId)}-device.json`
}

function toFileName(text: string): string {
  return text.replaceAll('/', '-').replaceAll('\0', '-')
}
