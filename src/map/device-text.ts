import { isJsonObject } from '../cni/json.ts'

/** The one line that tells a device from others, of a device-info object as the standard has it. */
export function deviceText(info: unknown): string | undefined {
  if (!isJsonObject(info) || typeof info.type !== 'string') return undefined
  const own = info[info.type]
  if (!isJsonObject(own)) return info.type
  const name = own['pci-address'] ?? own['parent-device'] ?? own.path
  return typeof name === 'string' ? `${info.type} ${name}` : info.type
}
