import { isAbsolute } from 'node:path'

/** What `plexus.shim` says; `native/config.c` is who obeys it. */
export interface ShimConf {
  readonly socket: string | undefined
  readonly stateDir: string | undefined
  readonly binDirs: readonly string[]
  readonly fallback: string | undefined
  /** What the shim would refuse it for. */
  readonly faults: readonly string[]
}

const PATHS: readonly string[] = ['socket', 'stateDir', 'devInfoDir', 'fallback']
const WAITS: readonly string[] = ['addWait', 'delWait']
const LONGEST_SOCKET_BYTES = 107

/** Reads the lines `key=value` as the shim does. */
export function parseShimConf(text: string): ShimConf {
  const values = new Map<string, string>()
  const faults: string[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const equals = trimmed.indexOf('=')
    if (equals < 0) {
      faults.push(`line ${index + 1} has no "="`)
      continue
    }
    const [key, value] = [trimmed.slice(0, equals).trim(), trimmed.slice(equals + 1).trim()]
    if (PATHS.includes(key) && !isAbsolute(value)) faults.push(`${key} must be an absolute path`)
    if (WAITS.includes(key) && !/^\d{1,4}$/.test(value))
      faults.push(`${key} must be whole seconds, 0 to 9999`)
    values.set(key, value)
  }
  const socket = values.get('socket')
  if (Buffer.byteLength(socket ?? '') > LONGEST_SOCKET_BYTES)
    faults.push(`socket has more than ${LONGEST_SOCKET_BYTES} bytes, which no unix socket's path may have`)
  return {
    socket,
    stateDir: values.get('stateDir'),
    binDirs: (values.get('binDirs') ?? '').split(':').filter((folder) => folder !== ''),
    fallback: values.get('fallback'),
    faults,
  }
}
