import type { JsonObject } from '../cni/json.ts'
import type { CniRequest } from '../cni/request.ts'
import { overlayNetConf } from '../config/daemon-conf.ts'
import { type NetConf, parseDelConf, parseNetConf, withRequestValues } from '../config/net-conf.ts'

/** The configurations of requests, each the daemon's keys over those that the runtime passed. */
export interface NetConfs {
  /** @throws {CniError} What is wrong with it. */
  of(request: CniRequest): NetConf
  /**
   * What holds where nobody asks. The runtime's file is not ours to read: what it last passed stands for it.
   *
   * @throws {CniError} What is wrong with it.
   */
  current(): NetConf
  /** Whether the runtime has passed one yet. */
  readonly isPassed: boolean
  /** The daemon's keys have changed. */
  forget(): void
}

/** Net-confs of which the parsed form is kept: a node has one or two. */
const KEPT_CONFS = 64

/** @param daemonKeys Asked again after each {@link NetConfs.forget}. */
export function openNetConfs(daemonKeys: () => JsonObject): NetConfs {
  // What the runtime has on stdin is the same for every pod but for what belongs to the request.
  const confs = new Map<string, NetConf>()
  const delConfs = new Map<string, NetConf>()
  let passed: { readonly key: string; readonly conf: JsonObject } | undefined
  let current: NetConf | undefined
  return {
    of(request) {
      const { runtimeConfig, prevResult, ...rest } = request.stdin
      const key = JSON.stringify(rest)
      const isDel = request.command === 'DEL'
      const keys = daemonKeys()
      const whole = overlayNetConf(request.stdin, keys)
      const kept = isDel ? delConfs : confs
      // What is recorded is undone whatever the net-conf has become.
      const parse = isDel ? parseDelConf : parseNetConf
      let known = kept.get(key)
      if (known === undefined) {
        known = parse(overlayNetConf(rest, keys))
        if (kept.size >= KEPT_CONFS) kept.clear()
        kept.set(key, known)
      }
      const conf = withRequestValues(known, whole) ?? parse(whole)
      if (request.command === 'ADD' || request.command === 'STATUS') {
        if (key !== passed?.key) current = undefined
        passed = { key, conf: rest }
      }
      return conf
    },
    current() {
      current ??= parseNetConf(overlayNetConf(passed?.conf ?? { type: 'plexus' }, daemonKeys()))
      return current
    },
    get isPassed() {
      return passed !== undefined
    },
    forget() {
      confs.clear()
      delConfs.clear()
      current = undefined
    },
  }
}
