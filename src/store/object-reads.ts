import { isJsonObject, type JsonObject } from '../cni/json.ts'
import { type ApiClient, ApiError } from './kubernetes-client.ts'
import { isPassing } from './lookup-error.ts'

/** An object to be read, and what tells it from others. */
interface Wanted<T> {
  readonly id: string
  /** Ends in its name. */
  readonly path: string
  readonly accept?: string
  readonly parse: (object: JsonObject) => T
}

/** Reads one object within a time; `undefined` when the server says that it does not exist. @throws {ApiError} */
type Read = <T>(wanted: Wanted<T>, timeoutMs: number) => Promise<T | undefined>

const RETRY_PAUSE_MS = 200

/** One request for all who want the same object at once; a second try when the first failed quickly. */
export function sharedReads(client: ApiClient, signal: AbortSignal): Read {
  const pending = new Map<string, Promise<unknown>>()
  const readObject = async <T>(
    { path, accept, parse }: Wanted<T>,
    timeoutMs: number,
  ): Promise<T | undefined> => {
    const end = performance.now() + timeoutMs
    for (let tries = 1; ; tries++) {
      try {
        const request = {
          timeoutMs: Math.max(1, Math.ceil(end - performance.now())),
          signal,
          ...(accept === undefined ? {} : { accept }),
        }
        const object = await client.get(path, request)
        if (!isNamed(object, path)) throw new ApiError('the answer is not the object that was asked for')
        return parse(object)
      } catch (error) {
        if (error instanceof ApiError && error.isObjectMissing) return undefined
        if (tries === 2 || !isPassing(error) || performance.now() + RETRY_PAUSE_MS > end) throw error
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS * (0.5 + Math.random())))
      }
    }
  }
  return <T>(wanted: Wanted<T>, timeoutMs: number): Promise<T | undefined> => {
    const { id } = wanted
    const known = pending.get(id) as Promise<T | undefined> | undefined
    const reading = known ?? readObject(wanted, timeoutMs).finally(() => pending.delete(id))
    pending.set(id, reading)
    return reading
  }
}

/** Whether an answer is of the object at the end of the path: something before the API server may answer too. */
function isNamed({ metadata }: JsonObject, path: string): boolean {
  return isJsonObject(metadata) && metadata.name === path.slice(path.lastIndexOf('/') + 1)
}
