import type { Conflist } from '../../cni/conflist.ts'
import { isJsonObject } from '../../cni/json.ts'

/** Something on the node that is there when a default network can attach pods. */
export type ReadinessProbe =
  | { readonly kind: 'file'; readonly path: string }
  /** A unix socket that accepts a connection. */
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** Holds when one of them does: the place differs between releases. */
  | { readonly kind: 'any'; readonly of: readonly ReadinessProbe[] }

/** Who serves a capability of the pod: a plugin of the list, the system's agent, the runtime, or nobody. */
export type ServedBy = 'plugin' | 'agent' | 'plugin or agent' | 'runtime' | 'nobody' | 'unknown'

/** Something that surprises beside a meta-plugin, and what to do. */
interface Quirk {
  readonly quirk: string
  readonly remedy: string
}

/** A network system that may own a node's default network. */
export interface NetworkSystem {
  readonly id: string
  /** As people call it. */
  readonly title: string
  /** Names of its conf file; `*` stands for any text. */
  readonly files: readonly string[]
  /** Folder of that file where it is not the usual one. */
  readonly folder?: string
  /** Plugin types of its list that are its own or that it needs, IPAM included. */
  readonly types: readonly string[]
  /** How its configuration is told from another system's. */
  readonly mark: Mark
  /** cniVersion that it writes. */
  readonly cniVersion: string
  readonly portMappings: ServedBy
  readonly bandwidth: ServedBy
  /** All of them hold when it is ready. */
  readonly readiness: readonly ReadinessProbe[]
  /** What a pod's failure says while it is not ready. */
  readonly notReady: string
  readonly quirks: readonly Quirk[]
  /** Whether it can be attached beside another default network, and what to heed, or why not. */
  readonly extra: { readonly works: boolean; readonly because: string }
  /** A meta-plugin of its own: never taken for the default network unless it is named. */
  readonly isMetaPlugin?: true
}

/** What a configuration must have to be a system's; each key that is there has to hold. */
interface Mark {
  /** Type of the first plugin. */
  readonly first?: readonly string[]
  /** Type of a plugin behind the first one. */
  readonly later?: string
  /** Type of the first plugin's IPAM. */
  readonly ipam?: string
  /** Bridge of the first plugin. */
  readonly bridge?: string
  /** The file has one of the system's names: its plugins are nobody's own. */
  readonly file?: true
  /** The file is in the system's folder. */
  readonly folder?: true
  /** Type of a plugin that a variant adds. */
  readonly has?: string
  /** Ending of another file in the folder. */
  readonly beside?: string
}

/** A conf file as far as a system can be told by it. */
export interface MarkedFile {
  readonly path: string
  readonly conflist: Pick<Conflist, 'plugins'>
  /** Names of everything in its folder. */
  readonly siblings: readonly string[]
}

/** Whether a conf file is the system's. */
export function isMarked(system: NetworkSystem, { path, conflist, siblings }: MarkedFile): boolean {
  const { mark } = system
  const [first, ...rest] = conflist.plugins
  const slash = path.lastIndexOf('/')
  const ipam = isJsonObject(first?.ipam) ? first.ipam.type : undefined
  return [
    mark.first === undefined || (first !== undefined && mark.first.includes(first.type)),
    mark.later === undefined || rest.some(({ type }) => type === mark.later),
    mark.ipam === undefined || ipam === mark.ipam,
    mark.bridge === undefined || first?.bridge === mark.bridge,
    mark.file === undefined || system.files.some((pattern) => matches(path.slice(slash + 1), pattern)),
    mark.folder === undefined || path.slice(0, slash) === system.folder,
    mark.has === undefined || conflist.plugins.some(({ type }) => type === mark.has),
    mark.beside === undefined || siblings.some((name) => name.endsWith(mark.beside ?? '')),
  ].every((holds) => holds)
}

/** Whether a file name is one that a pattern of {@link NetworkSystem.files} stands for. */
export function matches(name: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}
