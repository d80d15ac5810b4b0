import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { StringDecoder } from 'node:string_decoder'
import { isJsonObject, type JsonObject, toJsonObject } from '../cni/json.ts'
import type { CredentialSource, Credentials, TlsCredentials } from './kubernetes-credentials.ts'

/** TCP probes on an idle connection; the kernel gives one up that is half open some 10 s after that. */
const KEEP_ALIVE_MS = 10_000
const LONGEST_ANSWER_BYTES = 64 * 1024 * 1024
/** An idle connection kept for the next write; a load balancer drops it after a minute or more. */
const IDLE_CONNECTION_MS = 30_000
const LONGEST_MESSAGE = 300

/** Why the API server did not do what was asked. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** HTTP status; `undefined` when there was no answer, or none that can be understood. */
  readonly status: number | undefined
  /** The object that was asked for is not there, in the words of the API server and not of a proxy. */
  readonly isObjectMissing: boolean
  /** What the server asks to wait. */
  readonly retryAfterMs: number

  constructor(
    message: string,
    options: {
      status?: number | undefined
      isObjectMissing?: boolean
      retryAfterMs?: number
      cause?: unknown
    } = {},
  ) {
    super(message, { cause: options.cause })
    this.status = options.status
    this.isObjectMissing = options.isObjectMissing ?? false
    this.retryAfterMs = options.retryAfterMs ?? 0
  }
}

/** What of a request is not its path. */
interface ApiRequest {
  /** Bound for everything, the body of the answer included. */
  readonly timeoutMs: number
  readonly accept?: string
  readonly signal?: AbortSignal
}

/** A watch's bounds and its reader. */
interface ApiWatch {
  /** Longest silence, before the answer and in it; then the watch has ended. */
  readonly idleMs: number
  readonly accept?: string
  readonly signal: AbortSignal
  /** Told when the server has begun to answer. */
  readonly opened: () => void
  /** Takes one event; throwing ends the watch with that error. */
  readonly event: (event: JsonObject) => void
}

/** Requests to one API server. All methods reject with {@link ApiError}, or CniError for the credentials. */
export interface ApiClient {
  /** The server's URL, for messages; empty as long as nothing was sent. */
  readonly server: string
  /** On a connection of its own: a half-open one costs a read nothing. */
  get(path: string, options: ApiRequest): Promise<JsonObject>
  /** A strategic merge patch: lists of Kubernetes' own kinds are merged by their keys. */
  patch(path: string, body: JsonObject, options: ApiRequest): Promise<JsonObject>
  post(path: string, body: JsonObject, options: ApiRequest): Promise<JsonObject>
  /** Resolves when the server ended the watch or was silent for too long. */
  watch(path: string, options: ApiWatch): Promise<void>
  close(): void
}

/** One set of connections; made anew when certificates change. */
interface Connections {
  readonly tls: TlsCredentials
  readonly reads: Agent
  readonly writes: Agent
  readonly watches: Agent
}

/** Opens a client; nothing is sent yet. */
export function apiClient(source: CredentialSource): ApiClient {
  let connections: Connections | undefined
  let server = ''
  const connectionsFor = ({ tls }: Credentials): Connections => {
    if (connections?.tls === tls) return connections
    // What is under way on the earlier ones ends there; idle ones go by themselves.
    connections = {
      tls,
      reads: new Agent({ ...tls, keepAlive: false, maxSockets: 16 }),
      writes: new Agent({ ...tls, keepAlive: true, maxSockets: 4, timeout: IDLE_CONNECTION_MS }),
      watches: new Agent({ ...tls, keepAlive: false }),
    }
    return connections
  }

  /**
   * Sends with the credentials of the moment; once more when these are refused and others are there, in what is left
   * of the time.
   */
  const send = async <Answer>(
    boundMs: number,
    exchange: (credentials: Credentials, timeoutMs: number) => Promise<Answer>,
  ): Promise<Answer> => {
    const end = performance.now() + boundMs
    const credentials = source.current()
    server = credentials.server
    try {
      return await exchange(credentials, boundMs)
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error
      source.forget()
      const next = source.current()
      if (next.token === credentials.token && next.tls === credentials.tls) throw error
      return await exchange(next, Math.max(1, Math.ceil(end - performance.now())))
    }
  }
  const open = (
    credentials: Credentials,
    agent: Agent,
    method: string,
    path: string,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): ClientRequest =>
    request(`${credentials.server}${path}`, {
      method,
      agent,
      headers: {
        'user-agent': 'plexus-cni',
        accept: 'application/json',
        ...(credentials.token === undefined ? {} : { authorization: `Bearer ${credentials.token}` }),
        ...headers,
      },
      ...(signal === undefined ? {} : { signal }),
    }).on('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS))

  const write = (
    method: string,
    type: string,
    path: string,
    body: JsonObject,
    { timeoutMs: boundMs, signal, accept }: ApiRequest,
  ): Promise<JsonObject> =>
    send(boundMs, async (credentials, timeoutMs) => {
      const text = JSON.stringify(body)
      const headers = {
        'content-type': `application/${type}`,
        'content-length': String(Buffer.byteLength(text)),
        ...(accept === undefined ? {} : { accept }),
      }
      const { writes } = connectionsFor(credentials)
      return await readAnswer(open(credentials, writes, method, path, headers, signal), timeoutMs, text)
    })

  return {
    get server() {
      return server
    },
    get: (path, { accept, timeoutMs: boundMs, signal }) =>
      send(boundMs, async (credentials, timeoutMs) => {
        const headers: Record<string, string> = accept === undefined ? {} : { accept }
        const outgoing = open(credentials, connectionsFor(credentials).reads, 'GET', path, headers, signal)
        return await readAnswer(outgoing, timeoutMs)
      }),
    patch: (path, body, options) => write('PATCH', 'strategic-merge-patch+json', path, body, options),
    post: (path, body, options) => write('POST', 'json', path, body, options),
    watch: (path, options) =>
      // Its bound is a silence: each try has its own.
      send(options.idleMs, async (credentials) => {
        const headers: Record<string, string> = options.accept === undefined ? {} : { accept: options.accept }
        const { watches } = connectionsFor(credentials)
        await readEvents(open(credentials, watches, 'GET', path, headers, options.signal), options)
      }),
    close() {
      for (const agent of [connections?.reads, connections?.writes, connections?.watches]) agent?.destroy()
    },
  }
}

/** Sends the request and reads the whole answer as a JSON object. */
function readAnswer(outgoing: ClientRequest, timeoutMs: number, body?: string): Promise<JsonObject> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      outgoing.destroy(new ApiError(`no whole answer within ${timeoutMs / 1000} s`))
    }, timeoutMs)
    const fail = (error: unknown): void => {
      clearTimeout(timer)
      reject(toApiError(error))
    }
    outgoing.once('error', fail)
    outgoing.once('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      let sizeBytes = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        sizeBytes += chunk.length
        if (sizeBytes > LONGEST_ANSWER_BYTES) outgoing.destroy(new ApiError('the answer is too long'))
      })
      response.once('error', fail)
      response.once('end', () => {
        clearTimeout(timer)
        try {
          resolve(judge(response, Buffer.concat(chunks).toString('utf8')))
        } catch (error) {
          reject(toApiError(error))
        }
      })
    })
    outgoing.end(body)
  })
}

function judge(response: IncomingMessage, text: string): JsonObject {
  const status = response.statusCode ?? 0
  const body = toJsonObject(text)
  if (status >= 200 && status < 300) {
    if (body === undefined) throw new ApiError('the answer is cut off or no JSON')
    return body
  }
  throw refusal(response, body)
}

/** The error of an answer that is a `Status`, or of one that something before the API server gave. */
function refusal(
  { statusCode: status = 0, headers }: IncomingMessage,
  body: JsonObject | undefined,
): ApiError {
  if (body === undefined && headers['content-type']?.startsWith('application/json'))
    return new ApiError(`status ${status}, and the answer is cut off or no JSON`)
  const isStatus = body?.kind === 'Status'
  const message = isStatus && typeof body.message === 'string' ? `: ${rightFirst(body.message)}` : ''
  const details = isStatus && isJsonObject(body.details) ? body.details : {}
  const seconds = Number(details.retryAfterSeconds ?? headers['retry-after'])
  return new ApiError(`status ${status}${message.slice(0, LONGEST_MESSAGE)}`, {
    status,
    // A collection that does not exist has no name.
    isObjectMissing: status === 404 && typeof details.name === 'string' && details.name !== '',
    retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 60) * 1000 : 0,
  })
}

/** RBAC's words with the missing right before the user: a log line that is cut still names it. */
function rightFirst(message: string): string {
  const [, user, right] = /^.* is forbidden: User ("[^"]*") (cannot .*)$/s.exec(message) ?? []
  return user === undefined ? message : `${right} as user ${user}`
}

/** Reads a watch's events, one JSON object a line, until it ends. */
function readEvents(outgoing: ClientRequest, { idleMs, opened, event }: ApiWatch): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      clearTimeout(timer)
      outgoing.destroy()
      reject(toApiError(error))
    }
    let isOpen = false
    const timer = setTimeout(() => {
      // A server with nothing to say is no fault once it has begun to answer.
      if (!isOpen) return fail(new ApiError(`no answer within ${idleMs / 1000} s`))
      outgoing.destroy()
      resolve()
    }, idleMs)
    outgoing.once('error', fail)
    outgoing.once('response', (response: IncomingMessage) => {
      isOpen = response.statusCode === 200
      if (isOpen) opened()
      const decoder = new StringDecoder('utf8')
      let rest = ''
      response.on('data', (chunk: Buffer) => {
        timer.refresh()
        rest += decoder.write(chunk)
        if (rest.length > LONGEST_ANSWER_BYTES) return fail(new ApiError('the answer is too long'))
        const lines = rest.split('\n')
        rest = lines.pop() ?? ''
        if (!isOpen) {
          rest = [...lines, rest].join('\n')
          return
        }
        try {
          for (const line of lines) {
            if (line === '') continue
            const value = toJsonObject(line)
            if (value === undefined) throw new ApiError('an event of the watch is cut off or no JSON')
            event(value)
          }
        } catch (error) {
          fail(error)
        }
      })
      response.once('error', fail)
      response.once('end', () => {
        clearTimeout(timer)
        if (!isOpen) return reject(refusal(response, toJsonObject(rest)))
        if (rest === '') return resolve()
        reject(new ApiError('an event of the watch is cut off'))
      })
    })
    outgoing.end()
  })
}

function toApiError(error: unknown): Error {
  if (error instanceof ApiError) return error
  if (!(error instanceof Error)) return new ApiError(String(error))
  // A node:https error of an aggregate of addresses has no message.
  const text = error.message !== '' ? error.message : 'code' in error ? String(error.code) : error.name
  return new ApiError(text, { cause: error })
}
