import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertDone, assertRefused, stubNode } from './stub-node.ts'

const COMMA_FAULTS = [
  'alpha-net,Beta_Net@eth/0',
  'a/b/c',
  'beta-net@net1@net2',
  '',
  'x-net@waytoolongforalink',
].join(',')

const JSON_FAULTS = `[
  {"name": "alpha-net", "interface": "very-long-interface-name"},
  {"name": "beta-net", "ips": ["10.0.0.300", "10.0.0.4/24"], "mac": "00:11:22:33:44"},
  {"name": "Beta-Net", "default-route": ["10.0.0.1/24"]},
  {"nane": "alpha-net"},
  {"name": "alpha-net", "portMappings": [{"hostPort": 70000, "containerPort": 80}]}
]`

/** What each form of the annotation is answered with; nothing of the pod is attached. */
const malformed: [title: string, networks: string, phrases: (string | RegExp)[]][] = [
  [
    'the comma form: every fault with its position and a near miss',
    COMMA_FAULTS,
    [
      /element 1 .* at 1:11: "Beta_Net" .*did you mean "beta-net"\?/,
      /element 1 .*"interface" at 1:20: .*eth\/0/,
      /element 2 .* at 1:26: .*more than one "\/"/,
      /element 3 .*more than one "@"/,
      /element 4 .*is empty/,
      /element 5 .*waytoolongforalink/,
    ],
  ],
  [
    'the JSON form: every fault with line, column and key',
    JSON_FAULTS,
    [
      /element 0 \("alpha-net"\), key "interface" at 2:\d+: .*very-long-interface-name/,
      /element 1 \("beta-net"\), key "ips\[0\]" at 3:\d+: "10\.0\.0\.300" is no IP address/,
      /element 1 \("beta-net"\), key "mac" at 3:\d+: .*00:11:22:33:44/,
      /element 2 \("Beta-Net"\), key "name" at 4:\d+: .*did you mean "beta-net"\?/,
      /element 2 .*key "default-route\[0\]" at 4:\d+: .*without prefix length/,
      /element 3 at 5:\d+: .*name/,
      /element 4 .*key "portMappings\[0\]\.hostPort" at 6:\d+: .*70000/,
    ],
  ],
  ['JSON that is cut off', '[{"name": "alpha-net"}', [/1:23|position 22|end/i]],
  ['a list in the list', '[["alpha-net"]]', ['element 0', 'at 1:2']],
  ['a number in the list', '[7]', ['element 0', 'at 1:2']],
  ['bytes that are no name', '\u202ealpha-net', ['element 0', 'at 1:1']],
  ['a control character', '\u0000,[', ['at 1:1', '"\\u0000"']],
]

spec('a malformed annotation', (it) => {
  for (const [title, networks, phrases] of malformed) {
    it(`NPWG-060 is refused before any delegate runs: ${title}`, async () => {
      const node = await stubNode()
      const pod = await node.pod({ networks })
      const before = await node.watch(pod)
      assertRefused(await pod.run('ADD'), 7, 'pod default/pod-a', ...phrases)
      assert.equal(node.steps(), [])
      await node.assertClean(before)
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('a key that is nearly one of the standard is pointed out and does not fail the pod', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: [{ name: 'alpha-net', defaultRoute: [], interfce: 'x' }] })
    const run = await pod.run('ADD')
    assert.is(run.status, 0, run.stdout)
    assert.match(run.stderr, /unknown key .*interfce.*did you mean .*interface/)
    assertDone(await pod.run('DEL'))
  })

  it('faults of both annotations are told at once', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: 'Alpha-Net', defaultNetwork: 'one,Two' })
    const run = await pod.run('ADD')
    assertRefused(run, 7, 'did you mean "alpha-net"', 'v1.multus-cni.io/default-network')
    assertRefused(run, 7, '"Two"')
    assert.equal(node.steps(), [])
  })
})

/** NADs that cannot be used, and what is said about them. */
const unusable: [
  title: string,
  config: string | object | undefined,
  code: number,
  phrase: string | RegExp,
][] = [
  [
    'that does not exist',
    undefined,
    7,
    'cannot find a network-attachment-definition (bad-net) in namespace (default)',
  ],
  ['with broken JSON', '{"type": "alpha",', 6, /spec\.config of NAD default\/bad-net/],
  [
    'with JSON that is no object',
    '["alpha"]',
    7,
    /spec\.config of NAD default\/bad-net.*must be a JSON object/,
  ],
  ['without type', { cniVersion: '1.0.0' }, 7, "missing 'type'"],
  ['with a list without type', { plugins: [{ type: 'alpha' }, {}] }, 7, /\/plugins\/1.*missing 'type'/],
  ['with empty plugins', { cniVersion: '1.0.0', plugins: [] }, 7, 'no plugins in list'],
  ['with plugins that is no list', { plugins: {} }, 7, '/plugins must be a list'],
  ['with a path for a type', { type: '../../bin/sh' }, 7, 'invalid plugin name: ../../bin/sh'],
  [
    'with a path for an IPAM type',
    { type: 'alpha', ipam: { type: '../sh' } },
    7,
    'invalid plugin name: ../sh',
  ],
  [
    'with capabilities that are no booleans',
    { type: 'alpha', capabilities: { mac: 'true' } },
    7,
    '/capabilities/mac',
  ],
  ['with a bad network name', { type: 'alpha', name: '../x' }, 7, '/name "../x"'],
]

spec('a NAD that cannot be used', (it) => {
  for (const [title, config, code, phrase] of unusable) {
    it(`CNI-083 ${title} is named with its fault, and no delegate runs`, async () => {
      const node = await stubNode()
      if (config !== undefined) node.write(nad({ name: 'bad-net', config }))
      const pod = await node.pod({ networks: 'alpha-net,bad-net' })
      const before = await node.watch(pod)
      assertRefused(await pod.run('ADD'), code, 'pod default/pod-a', 'bad-net', phrase)
      assert.equal(node.steps(), [])
      await node.assertClean(before)
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
    })
  }

  it('all networks of a pod are looked at: every fault in one answer', async () => {
    const node = await stubNode()
    node.write(nad({ name: 'empty', config: { plugins: [] } }), nad({ name: 'typeless', config: {} }))
    const pod = await node.pod({ networks: 'empty,typeless,nowhere' })
    assertRefused(await pod.run('ADD'), 7, 'no plugins in list', "missing 'type'", '(nowhere)')
    assert.equal(node.steps(), [])
  })
})
