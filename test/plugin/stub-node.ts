import { readdirSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { assertNothingLeft, type Snapshot, snapshot } from '../rig/leftovers.ts'
import { nad, type PodOptions } from '../rig/manifests.ts'
import type { PlexusRun } from '../rig/plexus.ts'
import { filesBelow } from '../rig/state-files.ts'
import {
  type Behaviour,
  type StubBehaviour,
  type StubCall,
  type StubPlugin,
  stubCalls,
  stubPlugin,
} from '../rig/stub.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'

/**
 * A node whose networks are made by recording stubs with real effects: each ADD makes a veth and takes a
 * lease, each DEL removes both, so that whatever is not undone can be seen. The default network
 * `cluster-net` is made by `primary`, the NADs `alpha-net` and `beta-net` by `alpha` and `beta`.
 */
export interface StubNode extends TestNode {
  readonly primary: StubPlugin
  readonly alpha: StubPlugin
  readonly beta: StubPlugin
  /** A pod with both NADs, unless its options say otherwise. */
  pod(options?: PodOptions): Promise<TestPod>
  /** Further stub with the same effects; the given behaviour is added to them. */
  stub(type: string, behaviour?: StubBehaviour): StubPlugin
  /** Adds to the effects of a stub, from its next call on. */
  behave(stub: StubPlugin, behaviour: StubBehaviour): void
  /** All calls so far but VERSION, as `type COMMAND ifName`. */
  steps(): string[]
  calls(): StubCall[]
  /** What is there now, to be compared with by {@link StubNode.assertClean}. */
  watch(...pods: readonly TestPod[]): Promise<Snapshot>
  /** Nothing is left since: links, leases, processes, and no file at all below the state directory. */
  assertClean(before: Snapshot): Promise<void>
}

/** Makes a {@link StubNode}; `overrides` go into its net-conf. */
export async function stubNode(overrides: object = {}): Promise<StubNode> {
  const node = await testNode()
  const { binDir, leaseDir, stateDir } = node
  const withEffects = (behaviour: StubBehaviour): StubBehaviour => ({
    ...behaviour,
    add: effects(behaviour.add, leaseDir),
    del: effects(behaviour.del, leaseDir),
  })
  const stub = (type: string, behaviour: StubBehaviour = {}): StubPlugin =>
    stubPlugin(binDir, type, withEffects(behaviour))
  const calls = (): StubCall[] => stubCalls(binDir).filter(({ command }) => command !== 'VERSION')
  for (const name of ['alpha', 'beta']) {
    node.write(nad({ name: `${name}-net`, config: { cniVersion: '1.0.0', type: name } }))
  }
  const delegates = [{ cniVersion: '1.0.0', name: 'cluster-net', type: 'primary' }]
  const conf = (more: object = {}): object => node.conf({ delegates, ...overrides, ...more })
  return {
    ...node,
    conf,
    primary: stub('primary'),
    alpha: stub('alpha'),
    beta: stub('beta'),
    stub,
    behave: (plugin, behaviour) => plugin.behave(withEffects(behaviour)),
    async pod(options = {}) {
      const pod = await node.pod({ networks: 'alpha-net,beta-net', ...options })
      return {
        ...pod,
        run: (command, call = {}) => pod.run(command, { conf: conf(), ...call }),
        start: (command, call = {}) => pod.start(command, { conf: conf(), ...call }),
      }
    },
    calls,
    steps: () => calls().map(({ type, command, ifName }) => `${type} ${command} ${ifName}`.trim()),
    watch: (...pods) =>
      snapshot({ netns: [node.host, ...pods.map(({ netns }) => netns)], leases: [leaseDir], stateDir }),
    async assertClean(before) {
      await assertNothingLeft(before)
      assert.equal(filesBelow(stateDir), [], 'files are left in the state directory')
      assert.equal(foldersBelow(stateDir), [], 'folders of containers are left in the state directory')
    },
  }
}

function effects(given: StubBehaviour['add'], lease: string): readonly Behaviour[] {
  const all = given === undefined ? [] : [given].flat()
  // Before the first effect and with its own outcome: a call that is told to end has no effect.
  return [...all, { link: 'veth', lease }]
}

function foldersBelow(stateDir: string): string[] {
  return ['sandboxes', 'status'].flatMap((folder) => {
    try {
      return readdirSync(`${stateDir}/${folder}`)
    } catch {
      return []
    }
  })
}

/**
 * The answer to a request that cannot be served: status 1, exactly one JSON error object on stdout with
 * this code, and each phrase in `msg` or `details`. CNI-024, CNI-025, CNI-027.
 */
export function assertRefused(run: PlexusRun, code: number, ...phrases: readonly (string | RegExp)[]): void {
  assert.is(run.signal, undefined)
  assert.is(run.status, 1, `status ${run.status}, stdout ${run.stdout}, stderr ${run.stderr}`)
  const error = JSON.parse(run.stdout) as { code: number; msg: string; details?: string }
  assert.is(error.code, code, run.stdout)
  for (const key of Object.keys(error)) assert.ok(['cniVersion', 'code', 'msg', 'details'].includes(key), key)
  assert.ok(error.msg.length <= 300, `msg has ${error.msg.length} characters`)
  const words = `${error.msg}\n${error.details ?? ''}`
  for (const phrase of phrases) {
    const isThere = typeof phrase === 'string' ? words.includes(phrase) : phrase.test(words)
    assert.ok(isThere, `${phrase} is not in: ${words}`)
  }
}

/** The answer to a verb that succeeds without a result: status 0 and an empty stdout. CNI-026. */
export function assertDone(run: PlexusRun): void {
  assert.is(run.status, 0, `stdout ${run.stdout}, stderr ${run.stderr}`)
  assert.is(run.stdout, '')
}

/** The answer to an ADD that succeeds. CNI-024. */
export function assertAdded(run: PlexusRun): void {
  assert.is(run.status, 0, `stdout ${run.stdout}, stderr ${run.stderr}`)
  assert.ok(Array.isArray(run.json?.ips) || run.json?.ip4 !== undefined, run.stdout)
}

/** `ips` of a result. */
export function ipsOf({ json }: PlexusRun): { address: string; interface?: unknown; version?: string }[] {
  return Array.isArray(json?.ips) ? json.ips : []
}

/** What a call logged on stderr, one message a line; the words of delegates that are there too are left out. */
export function warningsOf({ stderr }: PlexusRun): string {
  return stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { msg: string }).msg)
    .join('\n')
}
