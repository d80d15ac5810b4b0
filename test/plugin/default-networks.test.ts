import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { delegatedTypes } from '../../src/cni/conflist.ts'
import { isJsonObject, type JsonObject, parseJson } from '../../src/cni/json.ts'
import { detectDefaultNetwork } from '../../src/node/default-network-detection.ts'
import { NOTHING_KEPT, nodeConflist } from '../../src/plan/node-conflist.ts'
import { isMetaPlugin } from '../../src/plan/plugin-quirks.ts'
import { matches, type NetworkSystem } from '../../src/plan/systems/network-system.ts'
import { NETWORK_SYSTEMS, recogniseSystem } from '../../src/plan/systems/registry.ts'
import { readConfFile } from '../../src/store/conf-files.ts'
import { nadOfSection } from '../docs/default-networks-page.ts'
import { nad, podArgs } from '../rig/manifests.ts'
import { ROOT } from '../rig/plexus.ts'
import { type StubCall, stubCalls, stubPlugin } from '../rig/stub.ts'
import { type TestNode, type TestPod, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'
import { type ReferenceCall, type RuntimeCall, referenceCalls } from './reference-library.ts'

const FIXTURES = join(ROOT, 'test/fixtures/default-networks')
const UNDERLAY = { cniVersion: '1.0.0', name: 'underlay', type: 'macvlan', master: 'data0' }

/** What containerd has for a pod with host ports and bandwidth annotations. */
const CAPABILITY_ARGS: JsonObject = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }],
  bandwidth: { ingressRate: 1e7, ingressBurst: 4294967295, egressRate: 1e7, egressBurst: 4294967295 },
  dns: { servers: ['10.96.0.10'], searches: ['default.svc.cluster.local'], options: ['ndots:5'] },
  cgroupPath: '/kubepods/pod1',
}

interface Fixture {
  /** Title of its tests. */
  readonly title: string
  readonly system: NetworkSystem
  /** Name that the file has on a node. */
  readonly file: string
  readonly path: string
}

/** The conf files of all systems. */
const fixtures: readonly Fixture[] = NETWORK_SYSTEMS.flatMap((system) =>
  readdirSync(join(FIXTURES, system.id)).map((name) => ({
    title: `${system.id}/${name}`,
    system,
    file: name.slice(name.indexOf('@') + 1),
    path: join(FIXTURES, system.id, name),
  })),
)

interface SystemNode extends TestNode {
  /** The list that the runtime finds, as the daemon writes it for this default network. */
  readonly list: JsonObject
  /** The system's own file. */
  readonly system: JsonObject
}

/** A node on which a system has written its file and its plugins are stubs. */
async function nodeOf({ system, file, path }: Fixture): Promise<SystemNode> {
  const node = await testNode()
  const target = join(node.confDir, file)
  copyFileSync(path, target)
  const detection = detectDefaultNetwork(node.confDir, { pin: undefined })
  if (system.isMetaPlugin === true) {
    assert.is(detection.chosen, undefined)
    assert.match(detection.ignored.join(), `${target} is passed over: its plugin "danm" is a meta-plugin`)
  } else assert.is(detection.chosen?.path, target)
  const { conflist } = readConfFile(target)
  for (const type of new Set(conflist.plugins.flatMap(delegatedTypes))) stubPlugin(node.binDir, type)
  stubPlugin(node.binDir, 'macvlan')
  const { manifests, stateDir, confDir } = node
  const text = nodeConflist({
    cniVersion: '1.0.0',
    defaultPlugins: conflist.plugins,
    netConf: { manifests, stateDir, confDir, defaultNetwork: target },
    kept: NOTHING_KEPT,
  })
  return { ...node, list: objectOf(text), system: objectOf(readFileSync(path, 'utf8')) }
}

/** Calls Plexus as a runtime does that uses the reference library. */
async function runtime(
  command: 'ADD' | 'CHECK' | 'DEL',
  node: SystemNode,
  pod: TestPod,
  result?: JsonObject,
): Promise<JsonObject> {
  const [reference] = referenceCalls(command, node.list, runtimeCall(node, pod), { result })
  const run = await pod.run(command, { conf: reference?.stdin ?? {}, path: [node.binDir] })
  assert.is(run.status, 0, run.stdout)
  return run.json ?? {}
}

const runtimeCall = (node: TestNode, pod: TestPod, ifName = 'eth0'): RuntimeCall => ({
  containerId: pod.containerId,
  netns: pod.netns.path,
  ifName,
  args: podArgs(pod.manifest, pod.containerId),
  path: node.binDir,
  capabilityArgs:
    ifName === 'eth0'
      ? { ...CAPABILITY_ARGS, 'io.kubernetes.cri.pod-annotations': pod.manifest.metadata.annotations }
      : {},
})

const callsOf = (node: TestNode, command: string, ifName: string): StubCall[] =>
  stubCalls(node.binDir).filter((call) => call.command === command && call.ifName === ifName)

/** What the plugins got and what the reference library would have given them. */
function assertSame(calls: readonly StubCall[], expected: readonly ReferenceCall[], what: string): void {
  const seen = calls.map(({ type, env, stdin }) => ({
    type,
    env: Object.fromEntries(Object.entries(env).filter(([key]) => key.startsWith('CNI_'))),
    stdin: plain(stdin),
  }))
  assert.equal(seen, plain(expected), what)
}

/** Whereabouts answers CHECK with an error although nothing is wrong: whoever uses it is not asked. */
function hasCheck({ stdin }: ReferenceCall): boolean {
  const { ipam } = stdin
  return !(isJsonObject(ipam) && ipam.type === 'whereabouts')
}

/** Holds the calls of a network against the reference library's. */
function assertLikeReference(
  node: TestNode,
  pod: TestPod,
  conf: JsonObject,
  {
    ifName,
    commands,
    name,
  }: { ifName: string; commands: readonly ('ADD' | 'CHECK' | 'DEL')[]; name?: string },
): void {
  const added = callsOf(node, 'ADD', ifName)
  const results = added.map(({ stdoutText }) => objectOf(stdoutText ?? ''))
  for (const command of commands) {
    const expected = referenceCalls(command, conf, runtimeCall(node, pod, ifName), {
      ...(name === undefined ? {} : { name }),
      result: results.at(-1),
      resultOf: (index) => results[index],
    })
    const asked = command === 'CHECK' ? expected.filter(hasCheck) : expected
    assertSame(callsOf(node, command, ifName), asked, `${command} of ${ifName}`)
  }
}

function objectOf(text: string): JsonObject {
  const value = parseJson(text, 'text')
  if (!isJsonObject(value)) throw new Error(`no object: ${text}`)
  return value
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

spec('registry of network systems', (it) => {
  it('has a fixture for every system and no other', () => {
    const folders = readdirSync(FIXTURES, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    assert.equal(folders.map(({ name }) => name).sort(), NETWORK_SYSTEMS.map(({ id }) => id).sort())
  })

  it('the meta-plugins in it are those that are passed over', () => {
    for (const { id, types, isMetaPlugin: isMeta } of NETWORK_SYSTEMS) {
      assert.is(types.some(isMetaPlugin), isMeta === true, id)
    }
  })

  for (const { title, system, file, path } of fixtures) {
    it(`${title} is told by the file that it writes`, () => {
      assert.ok(
        system.files.some((pattern) => matches(file, pattern)),
        file,
      )
      const { conflist } = readConfFile(path)
      const siblings = system.id === 'cilium-exclusive' ? [file, '00-plexus.conflist.cilium_bak'] : [file]
      const place = `${system.folder ?? '/etc/cni/net.d'}/${file}`
      assert.is(recogniseSystem({ path: place, conflist, siblings })?.id, system.id)
    })
  }
})

spec('default network of each system', (it) => {
  for (const fixture of fixtures) {
    const { title, system } = fixture
    it(`${title}: its plugins get from Plexus what the reference library would give them`, async () => {
      const node = await nodeOf(fixture)
      const pod = await node.pod({ annotations: { 'example.com/colour': 'green' } })
      const result = await runtime('ADD', node, pod)
      for (const command of ['CHECK', 'DEL'] as const) await runtime(command, node, pod, result)
      assert.ok(callsOf(node, 'ADD', 'eth0').length > 0)
      assertLikeReference(node, pod, node.system, { ifName: 'eth0', commands: ['ADD', 'CHECK', 'DEL'] })
    })

    // What is beside it does not depend on the variant.
    if (title.includes('@')) continue
    it(`${title}: an underlay, and where it works an overlay of its own, in one pod`, async () => {
      const node = await nodeOf(fixture)
      const example = nadOfSection(system.title)
      const conf = objectOf(example.config)
      const { plugins } = readConfFileOf(conf)
      for (const type of new Set(plugins.flatMap((plugin) => delegatedTypes(plugin)))) {
        if (!readdirSync(node.binDir).includes(type)) stubPlugin(node.binDir, type)
      }
      node.write(
        nad({ name: example.name, namespace: example.namespace, config: example.config }),
        nad({ name: 'underlay', config: UNDERLAY }),
      )
      const networks = [{ name: example.name, namespace: example.namespace }, { name: 'underlay' }]
      const pod = await node.pod({ networks })
      const result = await runtime('ADD', node, pod)
      for (const command of ['CHECK', 'DEL'] as const) await runtime(command, node, pod, result)
      const commands = ['ADD', 'CHECK', 'DEL'] as const
      assertLikeReference(node, pod, node.system, { ifName: 'eth0', commands })
      assertLikeReference(node, pod, conf, { ifName: 'net1', commands, name: example.name })
      assertLikeReference(node, pod, UNDERLAY, { ifName: 'net2', commands })
      assert.is(callsOf(node, 'CHECK', 'net2').length, 1)
      const own = system.mark.first ?? system.types
      const isOwn = plugins.some(({ type }) => own.includes(type))
      assert.is(isOwn, system.extra.works, 'the example is of the system itself where that works')
    })
  }
})

function readConfFileOf(conf: JsonObject): { plugins: (JsonObject & { type: string })[] } {
  return {
    plugins: (Array.isArray(conf.plugins) ? conf.plugins : [conf]) as (JsonObject & { type: string })[],
  }
}
