import type { Conflist } from '../cni/conflist.ts'
import type { NetworkSystem } from './systems/network-system.ts'

/** What identifies a default network over changes of its file: a file's name does not. */
interface NetworkIdentity {
  /** `name` of its configuration. */
  readonly name: string
  /** Type of its first plugin. */
  readonly type: string
}

/** The default network that was chosen, remembered so that no other file takes its place by chance. */
export interface NetworkPin extends NetworkIdentity {
  readonly path: string
  /** Whether it is a system of the registry's. */
  readonly isKnown: boolean
  /** Networks that lay beside it and were not chosen. */
  readonly beside: readonly NetworkIdentity[]
  /** The network that it stands in for: one that was missing while this one lay beside. */
  readonly standsInFor?: NetworkIdentity
}

/** A valid conf file that may be the default network's. */
export interface Candidate {
  readonly path: string
  readonly conflist: Conflist
  /** The system that it belongs to; `undefined` when it is nobody's we know. */
  readonly system: NetworkSystem | undefined
}

/** Which file is the default network's, and what is remembered of it. */
export interface DefaultNetworkChoice {
  readonly chosen: Candidate | undefined
  /** Unchanged while there is none. */
  readonly pin: NetworkPin | undefined
  /** Why other valid files are not it, one sentence each. */
  readonly ignored: readonly string[]
}

/**
 * Chooses the default network among the valid files of a folder, in their byte order.
 *
 * Without a pin it is the first one. With a pin it stays the pinned network, wherever its file sorts, as long
 * as a file has it. When none has it any more, the first other one takes its place; but where the pinned one
 * was a system of the registry's, none that is nobody's we know and lay beside it all the time: a bridge of
 * podman's is no successor of a default CNI that is being upgraded. One that lay beside and succeeds gives the
 * place back when its predecessor is there again. A known system that arrives takes the place of a pinned one
 * that is not known.
 */
export function chooseDefaultNetwork(
  candidates: readonly Candidate[],
  pin: NetworkPin | undefined,
): DefaultNetworkChoice {
  const wasBeside = (candidate: Candidate): boolean =>
    pin?.beside.some((identity) => isSame(identity, identityOf(candidate))) === true
  const pinned = pin === undefined ? undefined : findPinned(candidates, pin)
  const { standsInFor } = pin ?? {}
  const back = candidates.find(
    (candidate) => standsInFor !== undefined && isSame(standsInFor, identityOf(candidate)),
  )
  const arrived =
    pin?.isKnown === false
      ? candidates.find((candidate) => candidate.system !== undefined && !wasBeside(candidate))
      : undefined
  const maySucceed = (candidate: Candidate): boolean =>
    pin?.isKnown !== true || candidate.system !== undefined || !wasBeside(candidate)
  const chosen = back ?? arrived ?? pinned ?? candidates.find(maySucceed)
  const others = candidates.filter((candidate) => candidate !== chosen)
  const ignored = others.map(({ path }) =>
    chosen === undefined
      ? `${path} is passed over: the default network is ${title(pin)}, which is missing; ${path} lay beside it before and has to be named by "defaultNetwork" to take its place`
      : `${path} is passed over: the default network is ${title(identityOf(chosen))} of ${chosen.path}`,
  )
  if (chosen === undefined) return { chosen, pin, ignored }
  const isStillThere = chosen === pinned
  const predecessor = isStillThere ? standsInFor : wasBeside(chosen) && chosen !== back ? pin : undefined
  return {
    chosen,
    ignored,
    pin: {
      ...identityOf(chosen),
      path: chosen.path,
      isKnown: chosen.system !== undefined,
      beside: others
        .map(identityOf)
        .filter((identity) => !isSame(identity, identityOf(chosen)))
        .sort((left, right) => (title(left) < title(right) ? -1 : 1)),
      ...(predecessor === undefined
        ? {}
        : { standsInFor: { name: predecessor.name, type: predecessor.type } }),
    },
  }
}

/** The pin as a file holds it; `undefined` for anything else. */
export function parsePin(value: unknown): NetworkPin | undefined {
  if (!isIdentity(value)) return undefined
  const { name, type, path, isKnown, beside, standsInFor } = value as Partial<NetworkPin> & NetworkIdentity
  if (typeof path !== 'string' || typeof isKnown !== 'boolean') return undefined
  if (!Array.isArray(beside) || !beside.every(isIdentity)) return undefined
  const plain = (one: NetworkIdentity): NetworkIdentity => ({ name: one.name, type: one.type })
  return {
    ...{ name, type, path, isKnown, beside: beside.map(plain) },
    ...(isIdentity(standsInFor) ? { standsInFor: plain(standsInFor) } : {}),
  }
}

function isIdentity(value: unknown): value is NetworkIdentity {
  if (typeof value !== 'object' || value === null) return false
  const { name, type } = value as Partial<NetworkIdentity>
  return typeof name === 'string' && typeof type === 'string'
}

/** The same network in the same file, else in the first file that has it. */
function findPinned(candidates: readonly Candidate[], pin: NetworkPin): Candidate | undefined {
  const same = candidates.filter((candidate) => isSame(pin, identityOf(candidate)))
  return same.find(({ path }) => path === pin.path) ?? same[0]
}

function identityOf({ conflist }: Candidate): NetworkIdentity {
  return { name: conflist.name, type: conflist.plugins[0]?.type ?? '' }
}

function isSame(left: NetworkIdentity, right: NetworkIdentity): boolean {
  return left.name === right.name && left.type === right.type
}

function title(identity: NetworkIdentity | undefined): string {
  return `"${identity?.name}" (plugin "${identity?.type}")`
}
