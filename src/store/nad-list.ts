import { toCniError } from '../cni/cni-error.ts'
import { isJsonObject } from '../cni/json.ts'
import type { NetworkAttachmentDefinition } from '../network/nad.ts'
import { type ApiClient, ApiError } from './kubernetes-client.ts'
import { toNad } from './kubernetes-objects.ts'

/** All networks of a cluster. */
export interface NadList {
  readonly nads: readonly NetworkAttachmentDefinition[]
  /** What is wrong with the others. */
  readonly faults: readonly string[]
}

/** A store that can tell of all networks. */
export interface NadLister {
  /** All that there are, asked for anew. @throws {CniError} When it cannot tell. */
  nads(): Promise<NadList>
}

const PAGE = 500
/** More than any cluster has; whoever wants them all has to be told otherwise. */
const MOST_PAGES = 20

/** Reads them all from the API server, page by page. @throws {ApiError} */
export async function listNads(client: ApiClient, timeoutMs: number, signal: AbortSignal): Promise<NadList> {
  const nads: NetworkAttachmentDefinition[] = []
  const faults: string[] = []
  let token = ''
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = new URLSearchParams({ limit: String(PAGE), ...(token === '' ? {} : { continue: token }) })
    const path = `/apis/k8s.cni.cncf.io/v1/network-attachment-definitions?${query.toString()}`
    const { items, metadata } = await client.get(path, { timeoutMs, signal })
    if (!Array.isArray(items)) throw new ApiError('the answer is no list')
    for (const item of items.filter(isJsonObject)) {
      try {
        nads.push(toNad(item))
      } catch (error) {
        faults.push(toCniError(error).message)
      }
    }
    token = isJsonObject(metadata) && typeof metadata.continue === 'string' ? metadata.continue : ''
    if (token === '') break
  }
  return { nads, faults }
}
