import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, type JsonObject, parseJson } from '../../src/cni/json.ts'

/** One call of a stub plugin as the plugin itself saw it. */
export interface StubCall {
  /** Position among all calls of all stubs in the bin directory, from 1; gaps do not happen. */
  readonly order: number
  readonly type: string
  /** CNI_COMMAND, '' when it was not set; likewise the next ones. */
  readonly command: string
  readonly ifName: string
  readonly containerId: string
  readonly netns: string
  /** The whole environment; of a doubled variable the last. */
  readonly env: Readonly<Record<string, string>>
  /** The environment as it came, doubles included: `NAME=value`. */
  readonly envList: readonly string[]
  /** The bytes of stdin, `undefined` while or when they were not read. */
  readonly stdinText: string | undefined
  /** stdin parsed losslessly; `{}` when it is no JSON object or was not read. */
  readonly stdin: JsonObject
  /** What it printed (at most 64 KiB), `undefined` when it has not ended by itself. */
  readonly stdoutText: string | undefined
  readonly pid: number
  readonly ppid: number
  readonly pgid: number
  readonly sid: number
  readonly cwd: string
  /** Network namespace it ran in: `net:[inode]`. */
  readonly ownNetns: string
  /**
   * Open file descriptors at its start, ascending. What the shell that started the tests left open is among
   * them, so compare with a stub that the test itself ran.
   */
  readonly fds: readonly number[]
  /** Masks of blocked and ignored signals at its start, hexadecimal as in /proc/self/status. */
  readonly blockedSignals: string
  readonly ignoredSignals: string
  /** Exit status; `undefined` while it runs, or when a signal ended it. */
  readonly exit: number | undefined
  /** Monotonic clock, as process.hrtime.bigint(). */
  readonly startedNs: bigint
  readonly endedNs: bigint | undefined
}

/** Reads the records below `<binDir>/.stub`, oldest first. A torn record is one of a call that still runs. */
export function readCalls(binDir: string): StubCall[] {
  const dir = join(binDir, '.stub/calls')
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .map((name) => parseCall(name, readFileSync(join(dir, name))))
    .filter((call) => call !== undefined)
    .sort((a, b) => a.order - b.order)
}

function parseCall(name: string, bytes: Buffer): StubCall | undefined {
  const frames = parseFrames(bytes)
  const start = frames.get('start')
  const envBytes = frames.get('env')
  if (start === undefined || envBytes === undefined) return undefined
  const facts = new Map(start.split('\n').map((line) => splitAt(line, '=')))
  const fact = (key: string): string => facts.get(key) ?? ''
  const envList = envBytes.split('\0').filter((entry) => entry !== '')
  const env = Object.fromEntries(envList.map((entry) => splitAt(entry, '=')))
  const stdinText = frames.get('stdin')
  const [exit, endedNs] = (frames.get('end') ?? '').split(' ')
  const [order, type] = splitAt(name, '-')
  return {
    order: Number(order),
    type,
    command: env.CNI_COMMAND ?? '',
    ifName: env.CNI_IFNAME ?? '',
    containerId: env.CNI_CONTAINERID ?? '',
    netns: env.CNI_NETNS ?? '',
    env,
    envList,
    stdinText,
    stdin: parseStdin(stdinText),
    stdoutText: frames.get('stdout'),
    pid: Number(fact('pid')),
    ppid: Number(fact('ppid')),
    pgid: Number(fact('pgid')),
    sid: Number(fact('sid')),
    cwd: fact('cwd'),
    ownNetns: fact('netns'),
    fds: fact('fds')
      .split(',')
      .filter((fd) => fd !== '')
      .map(Number)
      .sort((a, b) => a - b),
    blockedSignals: fact('SigBlk'),
    ignoredSignals: fact('SigIgn'),
    exit: exit === undefined || exit === '' ? undefined : Number(exit),
    startedNs: BigInt(fact('startedNs')),
    endedNs: endedNs === undefined ? undefined : BigInt(endedNs),
  }
}

function parseFrames(bytes: Buffer): Map<string, string> {
  const frames = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf('\n', at)
    if (lineEnd < 0) break
    const [key, size] = splitAt(bytes.toString('latin1', at, lineEnd), ' ')
    const end = lineEnd + 1 + Number(size)
    if (end >= bytes.length) break
    frames.set(key, bytes.toString('utf8', lineEnd + 1, end))
    at = end + 1
  }
  return frames
}

function parseStdin(text: string | undefined): JsonObject {
  try {
    const value = text === undefined ? undefined : parseJson(text, 'stdin')
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}

function splitAt(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
