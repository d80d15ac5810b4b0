import { toCniError } from '../cni/cni-error.ts'
import { isJsonObject, type JsonObject } from '../cni/json.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import type { Pod } from '../network/pod.ts'
import { ApiError, apiClient } from './kubernetes-client.ts'
import type { CredentialSource } from './kubernetes-credentials.ts'
import { METADATA, toNad, toPod } from './kubernetes-objects.ts'
import { toLookupError } from './lookup-error.ts'

/** All objects of a kind, and what is wrong with those that cannot be read. */
export interface Listed<T> {
  readonly objects: readonly T[]
  readonly faults: readonly string[]
}

/** Reads whole collections of a cluster, once each. */
export interface KubernetesLists {
  /** Metadata alone. @throws {CniError} When the API server cannot tell. */
  pods(): Promise<Listed<Pod>>
  /** @throws {CniError} When the API server cannot tell. */
  nads(): Promise<Listed<NetworkAttachmentDefinition>>
  close(): void
}

const PAGE = 500
/** Of a cluster of tens of thousands of pods; a server that never ends its list is not waited for. */
const MOST_PAGES = 200

/** @param pageMs Bound of one page. */
export function kubernetesLists(credentials: CredentialSource, pageMs: number): KubernetesLists {
  const client = apiClient(credentials)
  const list = async <T>(
    what: string,
    path: string,
    parse: (object: JsonObject) => T,
    accept?: string,
  ): Promise<Listed<T>> => {
    const objects: T[] = []
    const faults: string[] = []
    let token = ''
    try {
      for (let page = 0; page < MOST_PAGES; page++) {
        const query = new URLSearchParams({
          limit: String(PAGE),
          ...(token === '' ? {} : { continue: token }),
        })
        const options = { timeoutMs: pageMs, ...(accept === undefined ? {} : { accept }) }
        const { items, metadata } = await client.get(`${path}?${query}`, options)
        if (!Array.isArray(items)) throw new ApiError('the answer is no list')
        for (const item of items.filter(isJsonObject)) {
          try {
            objects.push(parse(item))
          } catch (error) {
            faults.push(toCniError(error).message)
          }
        }
        const next = isJsonObject(metadata) ? metadata.continue : undefined
        token = typeof next === 'string' ? next : ''
        if (token === '') break
      }
      if (token !== '') faults.push(`only the first ${MOST_PAGES * PAGE} ${what} were read`)
    } catch (error) {
      throw toLookupError(error, `all ${what}`, `list on ${what}`, client.server)
    }
    return { objects, faults }
  }
  const nads = 'network-attachment-definitions'
  return {
    pods: () => list('pods', '/api/v1/pods', toPod, METADATA.list),
    nads: () => list(nads, `/apis/k8s.cni.cncf.io/v1/${nads}`, toNad),
    close: () => client.close(),
  }
}
