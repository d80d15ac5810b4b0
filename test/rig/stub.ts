import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { compileFixture } from './compiled-fixture.ts'
import { readCalls, type StubCall } from './stub-calls.ts'

export type { StubCall } from './stub-calls.ts'

/** Verbs that a stub's behaviour is told apart by. */
type StubCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'

/**
 * What a stub does in a call; the steps happen in the order of the keys here. A behaviour that names no
 * outcome (`result`, `stdout`, `error`, `stdoutBytes`, `exit`, `signal`, `hang`) ends as a well-behaved plugin:
 * ADD answers a result (or hands on `prevResult`), VERSION the versions, the rest nothing.
 *
 * Texts may hold `{{cniVersion}}`, `{{ifName}}`, `{{netns}}`, `{{containerId}}`, `{{address}}` (CIDR),
 * `{{gateway}}`, `{{mac}}`, `{{hostIfName}}`, `{{prevResult}}`, `{{result}}` (what ADD would answer without
 * prevResult), `{{ipamResult}}` (the same without interfaces), `{{ipam}}` (the IPAM plugin's answer).
 */
export interface Behaviour {
  /** Only calls with this CNI_IFNAME. */
  readonly onlyIfName?: string
  /** Only these calls, first and last, counted from 1 for each command and ifName. */
  readonly calls?: readonly [first: number, last?: number]
  /** `ignore`: exits without having read; `close`: closes it at once. */
  readonly stdin?: 'ignore' | 'close'
  readonly ignoreTerm?: boolean
  /** Before any effect: waits until {@link StubPlugin.release} is called with this name. */
  readonly blockBefore?: string
  /** So much memory is written to and kept to the end. */
  readonly occupyMiB?: number
  readonly sleepMs?: number
  /** Calls the plugin that `ipam.type` names; its failure is ours, its addresses are in our result. */
  readonly ipam?: boolean
  /** Folder of the fake lease `<containerId>-<ifName>`: ADD takes it (refused when there), DEL releases it. */
  readonly lease?: string
  /** A real link called CNI_IFNAME in CNI_NETNS: ADD makes it, DEL removes it. Run in a host-like netns. */
  readonly link?: 'veth' | 'dummy' | 'bridge'
  /** After the effects and before the answer: waits until {@link StubPlugin.release} is called with this name. */
  readonly blockAfter?: string
  /** A child that keeps stdout and stderr open so long; `detached`: in a session of its own. */
  readonly holdPipesMs?: number
  readonly detached?: boolean
  readonly stderr?: string
  readonly stderrBytes?: number
  readonly hang?: boolean
  /** So many bytes `x` on stdout. */
  readonly stdoutBytes?: number
  /** Printed as JSON; `null` prints `null`. */
  readonly result?: object | null
  /** Printed as it is. */
  readonly stdout?: string | Uint8Array
  /** Printed as JSON, with `cniVersion` as asked when it has none; exit status 1 unless `exit` says otherwise. */
  readonly error?: {
    readonly code: number
    readonly msg: string
    readonly details?: string
    readonly cniVersion?: string
  }
  readonly exit?: number
  /** Dies by this signal, after what it had to print. */
  readonly signal?: NodeJS.Signals
}

/** Behaviour per command; a list is tried in order, so that single calls can differ. */
export interface StubBehaviour {
  readonly add?: Behaviour | readonly Behaviour[]
  readonly del?: Behaviour | readonly Behaviour[]
  readonly check?: Behaviour | readonly Behaviour[]
  readonly gc?: Behaviour | readonly Behaviour[]
  readonly status?: Behaviour | readonly Behaviour[]
  readonly version?: Behaviour | readonly Behaviour[]
  /** What VERSION answers; every other version is refused as the reference plugins do. Default: all, no refusal. */
  readonly versions?: readonly string[]
  /** VERSION is an unknown command (code 4), as for a plugin older than CNI 0.2.0. */
  readonly legacy?: boolean
}

/** A recording CNI plugin in a bin directory. */
export interface StubPlugin {
  readonly type: string
  /** Its executable. */
  readonly path: string
  /** Its calls so far, oldest first; `order` counts over all stubs of the bin directory. */
  calls(): StubCall[]
  /** Replaces its behaviour from the next call on. */
  behave(behaviour: StubBehaviour): void
  /** Lets calls go on that wait at `blockBefore` or `blockAfter` of this name, now and later. */
  release(block: string): void
  /** Waits until so many calls have had their stdin, without which they are not at work; rejects after `timeoutMs` (30 s). */
  reached(count: number, command?: StubCommand, timeoutMs?: number): Promise<StubCall[]>
}

/**
 * Puts a recording stub plugin under a type's name into a bin directory.
 *
 * @param binDir Directory in CNI_PATH; the stubs' records are in its `.stub`.
 * @throws When there is no C compiler.
 */
export function stubPlugin(binDir: string, type: string, behaviour: StubBehaviour = {}): StubPlugin {
  const path = join(binDir, type)
  const state = join(binDir, '.stub')
  mkdirSync(join(state, 'calls'), { recursive: true, mode: 0o700 })
  const compiled = compileFixture('delegates/stub.c')
  rmSync(path, { force: true })
  try {
    linkSync(compiled, path)
  } catch {
    copyFileSync(compiled, path) // another file system
  }
  const calls = (): StubCall[] => readCalls(binDir).filter((call) => call.type === type)
  const stub: StubPlugin = {
    type,
    path,
    calls,
    behave: (next) => {
      const file = join(state, `${type}.behaviour`)
      writeFileSync(`${file}.new`, behaviourLines(next, join(state, type)).join('\n'))
      renameSync(`${file}.new`, file)
    },
    release: (block) => writeFileSync(join(state, `${type}.${block}.release`), ''),
    reached: async (count, command, timeoutMs = 30_000) => {
      const end = Date.now() + timeoutMs
      for (;;) {
        const begun = calls().filter(
          (call) => call.stdinText !== undefined && (command === undefined || call.command === command),
        )
        if (begun.length >= count) return begun
        if (Date.now() > end) {
          throw new Error(
            `stub ${type}: ${begun.length} of ${count} calls${command ? ` of ${command}` : ''} came`,
          )
        }
        await setTimeout(5)
      }
    },
  }
  stub.behave(behaviour)
  return stub
}

/** All calls of all stubs in a bin directory, oldest first. */
export function stubCalls(binDir: string): StubCall[] {
  return readCalls(binDir)
}

function behaviourLines(behaviour: StubBehaviour, prefix: string): string[] {
  const lines: string[] = []
  if (behaviour.versions !== undefined) {
    lines.push(`* * 1-* versions ${behaviour.versions.join(',')}`, '* * 1-* refuse-others')
  }
  if (behaviour.legacy === true) {
    const error = { code: 4, msg: 'unknown CNI_COMMAND: VERSION' }
    lines.push(...commandLines('VERSION', { error }, prefix))
  }
  const commands = [
    ['ADD', behaviour.add],
    ['DEL', behaviour.del],
    ['CHECK', behaviour.check],
    ['GC', behaviour.gc],
    ['STATUS', behaviour.status],
    ['VERSION', behaviour.version],
  ] as const
  for (const [command, given] of commands) {
    for (const one of given === undefined ? [] : [given].flat())
      lines.push(...commandLines(command, one, prefix))
  }
  return lines
}

function commandLines(command: StubCommand, one: Behaviour, prefix: string): string[] {
  const [first, last] = one.calls ?? [1]
  const lines: string[] = []
  const step = (name: string, argument: string | number = ''): void => {
    lines.push(`${command} ${one.onlyIfName ?? '*'} ${first}-${last ?? '*'} ${name} ${argument}`.trimEnd())
  }
  if (one.ignoreTerm === true) step('ignore-term')
  if (one.stdin !== undefined) step(`${one.stdin}-stdin`)
  if (one.blockBefore !== undefined) step('wait', `${prefix}.${one.blockBefore}.release`)
  if (one.occupyMiB !== undefined) step('occupy', one.occupyMiB)
  if (one.sleepMs !== undefined) step('sleep', one.sleepMs)
  if (one.ipam === true) step('ipam')
  if (one.lease !== undefined && command === 'ADD') step('lease-take', one.lease)
  if (one.link !== undefined && command === 'ADD') step('link-add', one.link)
  if (one.link !== undefined && command === 'DEL') step('link-del', one.link)
  if (one.lease !== undefined && command === 'DEL') step('lease-release', one.lease)
  if (one.blockAfter !== undefined) step('wait', `${prefix}.${one.blockAfter}.release`)
  if (one.holdPipesMs !== undefined) step('holder', `${one.detached === true ? 'd' : '-'}${one.holdPipesMs}`)
  if (one.stderr !== undefined) step('stderr', escapeText(one.stderr))
  if (one.stderrBytes !== undefined) step('flood-stderr', one.stderrBytes)
  if (one.hang === true) step('hang')
  if (one.stdoutBytes !== undefined) step('flood-stdout', one.stdoutBytes)
  if (one.result !== undefined) step('stdout', escapeText(JSON.stringify(one.result)))
  if (one.stdout !== undefined) step('stdout', escapeText(one.stdout))
  if (one.error !== undefined) {
    step('stdout', escapeText(JSON.stringify({ cniVersion: '{{cniVersion}}', ...one.error })))
  }
  if (one.signal !== undefined) step('kill', constants.signals[one.signal])
  const printed = one.stdoutBytes ?? one.result ?? one.stdout
  const exit =
    one.exit ?? (one.error !== undefined ? 1 : printed !== undefined || one.result === null ? 0 : undefined)
  if (exit !== undefined) step('exit', exit)
  return lines
}

/** One line for the behaviour file: every byte that is not plain ASCII, the backslash too, as `\xHH`. */
function escapeText(text: string | Uint8Array): string {
  let line = ''
  for (const byte of typeof text === 'string' ? Buffer.from(text) : text) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x5c
    line += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return line
}

/** Removes the records of all stubs in a bin directory; their behaviour stays. */
export function forgetCalls(binDir: string): void {
  const calls = join(binDir, '.stub/calls')
  for (const name of existsSync(calls) ? readdirSync(calls) : []) rmSync(join(calls, name))
}
