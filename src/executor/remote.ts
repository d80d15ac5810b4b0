import { constants } from 'node:os'
import { CniError } from '../cni/cni-error.ts'
import { CniErrorCode } from '../cni/codes.ts'
import type { HostFacts, PluginFile } from '../plan/host-facts.ts'
import { readsInputFirst } from '../plan/plugin-quirks.ts'
import type { Connection } from './connection.ts'
import {
  type CallSeries,
  type DelegateCall,
  type DelegateExit,
  dropped,
  type Executor,
  ExecutorLostError,
} from './executor.ts'
import {
  decodeNumber,
  ExecMode,
  type Frame,
  HOLD,
  KEEP_PROCESSOR,
  START_AHEAD,
  TELL_AT_ONCE,
} from './frame.ts'
import {
  decodeExit,
  decodeFacts,
  Ended,
  type ExitMessage,
  encodeMessage,
  type Facts,
  type Hello,
  MessageKind,
} from './protocol.ts'

/** The executor of a request whose delegates run in a connected shim. */
export interface RemoteExecutor extends Executor {
  /** Takes a frame of the shim's; `false` when it answers nothing that was asked. */
  receive(frame: Frame): boolean
  /**
   * Tells what the request's calls are like as a rule. While few ADDs are running, the plugin that was the first of the
   * last such request starts up, without input: it waits for that, or is ended if the first call is another.
   */
  expect(call: ExpectedCall): void
  /** The shim is gone: whoever waits gets an error. */
  disconnect(): void
}

/** What a plugin's environment says of a call. */
type ExpectedCall = Pick<DelegateCall, 'containerId' | 'netns' | 'args'> & { readonly command: 'ADD' | 'DEL' }

interface Waiting<T> {
  resolve(value: T): void
  reject(error: CniError): void
}

/** Milliseconds beyond a call's own limit after which a silent shim counts as gone. */
const SHIM_GRACE_MS = 10_000

const SIGNAL_NAMES = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** Plugins that a shim has found lately, so that the next one need not be asked while their folders are the same. */
export interface FoundPlugins {
  /** All of these types, or `undefined` when one is not known. */
  find(hello: SearchedFolders, types: readonly string[]): ReadonlyMap<string, PluginFile> | undefined
  keep(hello: SearchedFolders, plugins: ReadonlyMap<string, PluginFile | undefined>): void
  /** The plugin that was the first of the last request of a verb, if it was called as expected and may start up ahead. */
  readonly first: Map<'ADD' | 'DEL', Pick<DelegateCall, 'type' | 'ifName'>>
}

type SearchedFolders = Pick<Hello, 'searchPath' | 'searchMark'>

/** A file that has changed its owner or mode is noticed by then; the shim itself looks before each start. */
const FOUND_FOR_MS = 10_000
const FOUND_LIMIT = 256

/** Makes an empty memory of plugins. */
export function openFoundPlugins(now: () => number): FoundPlugins {
  const found = new Map<string, { readonly file: PluginFile; readonly until: number }>()
  const keyOf = ({ searchPath, searchMark }: SearchedFolders): string =>
    `${searchPath.join(':')}\0${searchMark}\0`
  return {
    first: new Map(),
    find(hello, types) {
      const prefix = keyOf(hello)
      const time = now()
      const files = new Map<string, PluginFile>()
      for (const type of types) {
        const known = found.get(prefix + type)
        if (known === undefined || known.until <= time) return undefined
        files.set(type, known.file)
      }
      return files
    },
    keep(hello, plugins) {
      if (hello.searchMark === '') return
      if (found.size > FOUND_LIMIT) found.clear()
      const prefix = keyOf(hello)
      for (const [type, file] of plugins) {
        const isUsable = file !== undefined && !file.isPlexus && file.refusal === undefined
        if (isUsable) found.set(prefix + type, { file, until: now() + FOUND_FOR_MS })
      }
    },
  }
}

/**
 * @param hello Who is connected.
 * @param foundPlugins What other shims have found.
 * @param isCalm Whether there is time to look at each end when it comes, instead of at all of them together.
 */
export function remoteExecutor(
  connection: Connection,
  hello: Pick<Hello, 'netnsId' | 'factsFollow' | 'searchPath' | 'searchMark'> & { readonly netns: string },
  foundPlugins: FoundPlugins,
  isCalm: () => boolean,
): RemoteExecutor {
  const exits = new Map<number, Waiting<ExitMessage>>()
  const facts: Waiting<Facts>[] = []
  const routes: Waiting<void>[] = []
  let nextId = 1
  let isConnected = true
  // Worth nothing any more once a plugin has run.
  let isUntouched = true
  let early: Promise<Facts> | undefined

  const gone = (): CniError =>
    new ExecutorLostError(CniErrorCode.TryAgainLater, 'the plexus shim of this request is gone', {
      hint: 'the runtime ended it; what was started is undone at DEL',
    })

  let expected: ExpectedCall | undefined
  const learn = (call: DelegateCall | undefined): void => {
    if (expected === undefined || call?.command !== expected.command) return
    const isAsExpected = call.args === expected.args && call.netns === expected.netns
    if (isAsExpected && readsInputFirst(call.type))
      foundPlugins.first.set(call.command, { type: call.type, ifName: call.ifName })
    else foundPlugins.first.delete(call.command)
  }

  /**
   * A known plugin's ADD is short: spread over processors it loses more than it wins. With few ADDs the time counts,
   * with more than processors the work. Calls that run together leave no processor for looking at the end of the one
   * before them.
   */
  const manner = ({ command, type }: DelegateCall, index: number, together: number): number => {
    const isKnown = readsInputFirst(type)
    const keeping = isKnown && command === 'ADD' ? KEEP_PROCESSOR : 0
    if (!isCalm()) return keeping
    const telling = index > 0 && together > 1 ? 0 : TELL_AT_ONCE
    return keeping + telling + (isKnown && index > 0 ? START_AHEAD : 0)
  }

  const ask = <T>(send: () => void, wait: (waiting: Waiting<T>) => void, timeoutMs: number): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!isConnected) {
        reject(gone())
        return
      }
      const timer = setTimeout(() => connection.close('the shim does not answer'), timeoutMs + SHIM_GRACE_MS)
      wait({
        resolve: (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      })
      send()
    })

  const probe = (path: string, types: readonly string[]): Promise<Facts> =>
    ask(
      () => connection.send(encodeMessage.probe(path, types)),
      (waiting) => facts.push(waiting),
      0,
    )

  // Cancellation by the runtime reaches the shim before it reaches us.
  const execSeries = ({
    calls,
    next,
    together = 0,
    withinMs,
    signal,
    starting,
  }: CallSeries): Promise<DelegateExit>[] => {
    // A call that no frame can hold throws here, when nothing has been promised of the others.
    const asked = calls.map((call, index) => {
      const id = nextId++
      const follows = next === 'end' ? ExecMode.afterEnd : ExecMode.afterSuccess
      const order =
        index === 0 ? ExecMode.now : index > calls.length - together ? ExecMode.withBefore : follows
      const mode = order + manner(call, index, together)
      const timeoutMs = Math.max(0, Math.ceil(call.timeoutMs))
      return { call, id, frame: encodeMessage.exec({ ...call, id, mode, timeoutMs }) }
    })
    starting?.([...calls.keys()])
    if (isUntouched) learn(calls[0])
    isUntouched = false
    let isOver = false
    const ownLimitsMs = calls.reduce((sum, call) => sum + call.timeoutMs, 0)
    const isBounded = withinMs < ownLimitsMs
    const answers = asked.map(({ call, id }, index) => {
      const answer = ask<ExitMessage>(
        // The last one sends them all.
        () => {
          if (index === asked.length - 1) connection.send(...asked.map(({ frame }) => frame))
        },
        (waiting) => exits.set(id, waiting),
        Math.min(ownLimitsMs, withinMs),
      )
      return answer.then((exit) => toExit(exit, call, isOver && signal?.aborted !== true))
    })
    if (isBounded) {
      const timer = setTimeout(
        () => {
          isOver = true
          connection.send(encodeMessage.cancel())
        },
        Math.max(0, withinMs),
      )
      void Promise.allSettled(answers).then(() => clearTimeout(timer))
    }
    for (const answer of answers) answer.catch(() => undefined)
    return answers
  }

  if (hello.factsFollow) {
    early = ask<Facts>(
      () => undefined,
      (waiting) => facts.push(waiting),
      0,
    )
    early.catch(() => undefined)
  }

  return {
    expect(call) {
      expected = call
      const first = foundPlugins.first.get(call.command)
      if (first === undefined || !isCalm()) return
      const { type, ifName } = first
      const mode = START_AHEAD + HOLD
      connection.send(encodeMessage.exec({ ...call, id: 0, mode, timeoutMs: 0, type, ifName, stdin: '' }))
    },
    async probe(path, types) {
      if (early !== undefined && isUntouched && path === hello.netns) {
        const known = foundPlugins.find(hello, types)
        if (known !== undefined) return toHostFacts(await early, known, hello.searchPath)
      }
      const found = await probe(path, types)
      const plugins = new Map<string, PluginFile | undefined>(
        types.map((type, index) => {
          const { state = '-', text = '' } = found.plugins[index] ?? {}
          if (state === '-') return [type, undefined]
          return [
            type,
            state === '!'
              ? { path: '', isPlexus: false, refusal: text }
              : { path: text, isPlexus: state === 'p' },
          ]
        }),
      )
      foundPlugins.keep(hello, plugins)
      return toHostFacts(found, plugins, hello.searchPath)
    },
    async netnsId(path) {
      if (path === '') return undefined
      if (path === hello.netns) return hello.netnsId === '' ? undefined : hello.netnsId
      const { netnsId } = await probe(path, [])
      return netnsId === '' ? undefined : netnsId
    },
    exec: (call) => {
      const [exit] = execSeries({ calls: [call], next: 'end', withinMs: Number.POSITIVE_INFINITY })
      return exit ?? Promise.reject(gone())
    },
    execSeries,
    changeRoutes: (path, change) =>
      ask(
        () => connection.send(encodeMessage.routes(path, change)),
        (waiting) => routes.push(waiting),
        SHIM_GRACE_MS,
      ),
    receive(frame) {
      if (frame.kind === MessageKind.facts) {
        const found = decodeFacts(frame)
        const waiting = facts.shift()
        if (found === undefined || waiting === undefined) return false
        waiting.resolve(found)
        return true
      }
      if (frame.kind === MessageKind.exit) {
        const exit = decodeExit(frame)
        const waiting = exit === undefined ? undefined : exits.get(exit.id)
        if (exit === undefined || waiting === undefined) return false
        exits.delete(exit.id)
        waiting.resolve(exit)
        return true
      }
      if (frame.kind === MessageKind.routed) {
        const waiting = routes.shift()
        const failed = decodeNumber(frame.fields[0])
        if (waiting === undefined || failed === undefined) return false
        if (failed === 0) waiting.resolve()
        else
          waiting.reject(
            new CniError(CniErrorCode.RouteChange, frame.fields[1]?.toString() ?? 'routes not changed'),
          )
        return true
      }
      return false
    },
    disconnect() {
      isConnected = false
      const error = gone()
      for (const waiting of [...exits.values(), ...facts, ...routes]) waiting.reject(error)
      exits.clear()
      facts.length = 0
      routes.length = 0
    },
  }
}

function toHostFacts(
  { netnsId, isHostNetns, isNotEntered, links }: Facts,
  plugins: HostFacts['plugins'],
  searchPath: readonly string[],
): HostFacts {
  return {
    netnsId: netnsId === '' ? undefined : netnsId,
    isHostNetns,
    isNotEntered,
    links,
    plugins,
    searchPath,
  }
}

/** @param isOver Whether the time of the series was over: then that is why the shim was told to end it. */
function toExit(exit: ExitMessage, call: DelegateCall, isOver: boolean): DelegateExit {
  const { status, signal, ended, stdout, stderr } = exit
  if (ended === Ended.notStarted) throw new CniError(exit.code, stderr)
  if (ended === Ended.dropped) throw dropped(call)
  const reasons = {
    [Ended.timeout]: 'timeout',
    [Ended.output]: 'output',
    [Ended.cancelled]: isOver ? 'timeout' : 'cancelled',
  } as const
  return {
    status,
    signal: signal === 0 ? undefined : (SIGNAL_NAMES.get(signal) ?? `signal ${signal}`),
    stdout,
    stderr,
    ended: reasons[ended as keyof typeof reasons],
    durationMs: exit.durationUs / 1000,
  }
}
