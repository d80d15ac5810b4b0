import type { DefaultRouteChange } from '../plan/route-change.ts'
import { decodeNumber, type ExecFields, encodeExec, encodeFrame, type Frame } from './frame.ts'

/** Lowest and highest version of the protocol that this release speaks. */
export const PROTOCOL_VERSIONS = { lowest: 1, highest: 1 } as const

/**
 * The highest version that shim and daemon both speak; `undefined` when there is none.
 *
 * @param daemon What the daemon speaks.
 */
export function agreedVersion(
  shim: { readonly lowest: number; readonly highest: number },
  daemon: { readonly lowest: number; readonly highest: number } = PROTOCOL_VERSIONS,
): number | undefined {
  const highest = Math.min(shim.highest, daemon.highest)
  return highest >= Math.max(shim.lowest, daemon.lowest) ? highest : undefined
}

/** Kinds of the frames between shim and daemon; those of the journal begin at 32. Design §6. */
export const MessageKind = {
  hello: 1,
  probe: 2,
  facts: 3,
  exec: 4,
  exit: 5,
  routes: 6,
  routed: 7,
  done: 8,
  errand: 9,
  log: 10,
  cancel: 11,
} as const

/** What the shim says first. */
export interface Hello {
  readonly lowest: number
  readonly highest: number
  /** CNI_* of the shim's environment, and CNI_NETNS_OVERRIDE. */
  readonly env: Readonly<Record<string, string>>
  /** '' when CNI_NETNS names nothing. */
  readonly netnsId: string
  readonly isHostNetns: boolean
  /** An agent: no runtime's request, but a shim that serves errands until the connection ends. */
  readonly isAgent: boolean
  /** Facts of the netns follow unasked, without plugins. */
  readonly factsFollow: boolean
  readonly searchPath: readonly string[]
  /** Changes when a file is put into a folder of the search path or taken away; '' when it is not told. */
  readonly searchMark: string
  readonly stdin: string
}

/** The shim's answer to a probe. */
export interface Facts {
  readonly netnsId: string
  readonly isHostNetns: boolean
  /** Something is there, but no network namespace that can be entered. */
  readonly isNotEntered: boolean
  readonly links: readonly string[]
  /** In the order asked. */
  readonly plugins: readonly { readonly state: '-' | '+' | 'p' | '!'; readonly text: string }[]
}

/** How a call ended, in the numbers of the wire. */
export interface ExitMessage {
  readonly id: number
  /** `undefined` when a signal ended it. */
  readonly status: number | undefined
  /** 0 for none. */
  readonly signal: number
  readonly ended: number
  /** CNI error code of a call that could not be started. */
  readonly code: number
  readonly durationUs: number
  readonly stdout: string
  readonly stderr: string
}

/** Values of {@link ExitMessage.ended}. */
export const Ended = { itself: 0, timeout: 1, output: 2, cancelled: 3, notStarted: 4, dropped: 5 } as const

const NO_STATUS = 0xffffffff

/** Frames that the daemon sends. */
export const encodeMessage = {
  hello: (version: number, message: string): Buffer => encodeFrame(MessageKind.hello, [version, message]),
  probe: (netns: string, types: readonly string[]): Buffer =>
    encodeFrame(MessageKind.probe, [netns, ...types]),
  exec: (exec: ExecFields): Buffer => encodeFrame(MessageKind.exec, encodeExec(exec)),
  routes: (netns: string, change: DefaultRouteChange): Buffer =>
    encodeFrame(MessageKind.routes, [
      netns,
      ...change.flatMap(({ family, losers, owner, gateways, keepCidrs, keepIfName }) => [
        family,
        list(losers),
        owner ?? '',
        list(gateways),
        list(keepCidrs),
        keepIfName ?? '',
        '',
      ]),
    ]),
  /** @param isForgotten Whether the lock file goes; `mayFollow`: whether errands may follow. */
  done: (status: number, isForgotten: boolean, mayFollow: boolean, stdout: string): Buffer =>
    encodeFrame(MessageKind.done, [status, (isForgotten ? 1 : 0) | (mayFollow ? 2 : 0), stdout]),
  errand: (containerId: string): Buffer => encodeFrame(MessageKind.errand, [containerId]),
  log: (text: string): Buffer => encodeFrame(MessageKind.log, [text]),
  /** Ends the calls that run; those that wait are not started. */
  cancel: (): Buffer => encodeFrame(MessageKind.cancel, []),
} as const

/** @returns `undefined` for a frame that is no hello. */
export function decodeHello({ kind, fields }: Frame): Hello | undefined {
  const [lowest, highest, env, netnsId, flags, searchPath, ...more] = fields
  const stdin = more.at(-1)
  const low = decodeNumber(lowest)
  const high = decodeNumber(highest)
  if (kind !== MessageKind.hello || low === undefined || high === undefined || stdin === undefined)
    return undefined
  const pairs = items(env).map((pair): [string, string] => {
    const equals = pair.indexOf('=')
    return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
  })
  return {
    lowest: low,
    highest: high,
    env: Object.fromEntries(pairs),
    netnsId: netnsId?.toString() ?? '',
    isHostNetns: ((decodeNumber(flags) ?? 0) & 1) !== 0,
    isAgent: ((decodeNumber(flags) ?? 0) & 2) !== 0,
    factsFollow: ((decodeNumber(flags) ?? 0) & 4) !== 0,
    searchPath: items(searchPath),
    searchMark: more.length > 1 ? (more[0]?.toString() ?? '') : '',
    stdin: stdin.toString(),
  }
}

/** @returns `undefined` for a frame that is no facts. */
export function decodeFacts({ kind, fields }: Frame): Facts | undefined {
  const [netnsId, flags, links, ...plugins] = fields
  if (kind !== MessageKind.facts || links === undefined) return undefined
  return {
    netnsId: netnsId?.toString() ?? '',
    isHostNetns: ((decodeNumber(flags) ?? 0) & 1) !== 0,
    isNotEntered: ((decodeNumber(flags) ?? 0) & 2) !== 0,
    links: items(links),
    plugins: plugins.map((field) => {
      const state = String.fromCharCode(field[0] ?? 45)
      const isKnown = state === '+' || state === 'p' || state === '!'
      return { state: isKnown ? state : '-', text: field.subarray(1).toString() }
    }),
  }
}

/** @returns `undefined` for a frame that is no exit. */
export function decodeExit({ kind, fields }: Frame): ExitMessage | undefined {
  const [id, status, signal, ended, code, durationUs] = fields.slice(0, 6).map((field) => decodeNumber(field))
  const [stdout, stderr] = fields.slice(6)
  if (kind !== MessageKind.exit || id === undefined || stderr === undefined || stdout === undefined)
    return undefined
  return {
    id,
    status: status === NO_STATUS ? undefined : status,
    signal: signal ?? 0,
    ended: ended ?? 0,
    code: code ?? 0,
    durationUs: durationUs ?? 0,
    stdout: stdout.toString(),
    stderr: stderr.toString(),
  }
}

/** A list field: each item ended by NUL. */
function list(texts: readonly string[]): string {
  return texts.map((text) => `${text}\0`).join('')
}

function items(field: Buffer | undefined): string[] {
  if (field === undefined || field.length === 0) return []
  return field.toString().split('\0').slice(0, -1)
}
