import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

/** What a pod may not ask for; the phrases name it. */
const refused: [title: string, networks: string | object[], phrases: (string | RegExp)[]][] = [
  [
    'CNI-041 one name twice',
    'alpha-net@data0,beta-net@data0',
    ['data0', /element 1 .*asked for by element 0 \("alpha-net"\) too/],
  ],
  ["CNI-041 the runtime's own name", 'alpha-net@eth0', ['eth0', 'asked for twice']],
  ['CNI-092 a name of 16 bytes', 'alpha-net@abcdefghijklmnop', ['abcdefghijklmnop', '15']],
  ['CNI-006 eight é, which are 16 bytes', [{ name: 'alpha-net', interface: 'éééééééé' }], ['éééééééé', '15']],
  ['CNI-006 a slash', [{ name: 'alpha-net', interface: 'a/b' }], ['"a/b"']],
  ['CNI-006 a colon', [{ name: 'alpha-net', interface: 'a:b' }], ['"a:b"']],
  ['CNI-006 two dots', [{ name: 'alpha-net', interface: '..' }], ['".."']],
  ['CNI-006 a blank that is none of ASCII', [{ name: 'alpha-net', interface: 'a\u00a0b' }], ['interface']],
  [
    'NPWG-044 an IP that is none',
    [{ name: 'alpha-net', ips: ['10.0.0.300'] }],
    ['"10.0.0.300" is no IP address'],
  ],
  ['NPWG-044 no IP in the list', [{ name: 'alpha-net', ips: [] }], ['"ips"', 'is empty']],
  ['NPWG-044 a prefix that is none', [{ name: 'alpha-net', ips: ['10.0.0.3/33'] }], ['"10.0.0.3/33"']],
  [
    'NPWG-046 a MAC that is none',
    [{ name: 'alpha-net', mac: 'zz:11:22:33:44:55' }],
    ['"mac"', 'zz:11:22:33:44:55'],
  ],
  ['NPWG-046 a MAC of 8 bytes', [{ name: 'alpha-net', mac: '00:11:22:33:44:55:66:77' }], ['"mac"']],
  [
    'NPWG-054 a GUID of 6 bytes',
    [{ name: 'alpha-net', 'infiniband-guid': '00:11:22:33:44:55' }],
    ['infiniband-guid'],
  ],
  [
    'NPWG-093 two default routes of a family',
    [
      { name: 'alpha-net', 'default-route': ['10.1.0.1'] },
      { name: 'beta-net', 'default-route': ['10.2.0.1'] },
    ],
    ['the IPv4 default route is asked for by element 0 ("alpha-net") too'],
  ],
  [
    'NPWG-093 an empty list beside an IPv6 gateway',
    [
      { name: 'alpha-net', 'default-route': ['fd00::1'] },
      { name: 'beta-net', 'default-route': [] },
    ],
    ['the IPv6 default route is asked for by element 0 ("alpha-net") too'],
  ],
  [
    'NPWG-095 a gateway that is none',
    [{ name: 'alpha-net', 'default-route': ['foo'] }],
    ['"foo" is no IP address'],
  ],
]

spec('names and addresses that a pod cannot have', (it) => {
  for (const [title, networks, phrases] of refused) {
    it(`${title}: named, and no delegate runs`, async () => {
      const node = await stubNode()
      const pod = await node.pod({ networks })
      const before = await node.watch(pod)
      assertRefused(await pod.run('ADD'), 7, 'pod default/pod-a', ...phrases)
      assert.equal(node.steps(), [])
      await node.assertClean(before)
    })
  }

  for (const [title, taken, networks] of [
    ['the name that the runtime wants', 'eth0', undefined],
    ['a name that the annotation asks for', 'data0', 'alpha-net@data0'],
    ['a name that we choose', 'net1', 'alpha-net'],
  ] as const) {
    it(`CNI-041 ${title} is taken in the pod: named, and what is there stays`, async () => {
      const node = await stubNode()
      const pod = await node.pod(networks === undefined ? {} : { networks })
      await pod.netns.exec('ip', ['link', 'add', taken, 'type', 'veth', 'peer', 'name', 'other'])
      const before = await node.watch(pod)
      assertRefused(
        await pod.run('ADD'),
        7,
        `interface name ${taken}`,
        'already exists',
        "pod's network namespace",
      )
      assert.equal(node.steps(), [])
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
      assert.equal(
        (await pod.netns.links()).map(({ ifname }) => ifname).sort(),
        ['lo', 'other', taken].sort(),
      )
    })
  }

  it('CNI-006 a name of 15 bytes and one of other scripts are given', async () => {
    const node = await stubNode()
    const pod = await node.pod({
      networks: [
        { name: 'alpha-net', interface: 'abcdefghijklmno' },
        { name: 'beta-net', interface: 'ééééééé' },
      ],
    })
    assertAdded(await pod.run('ADD'))
    const names = (await pod.netns.links()).map(({ ifname }) => ifname)
    assert.ok(names.includes('abcdefghijklmno') && names.includes('ééééééé'), names.join())
    assertDone(await pod.run('DEL'))
  })

  it('CNI-043 one network twice in a pod is legal, and NPWG-083 numbers count every network', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: 'alpha-net@foo,alpha-net,beta-net' })
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    assert.equal(node.steps(), ['primary ADD eth0', 'alpha ADD foo', 'alpha ADD net2', 'beta ADD net3'])
    assertDone(await pod.run('DEL'))
    await node.assertClean(before)
  })

  it('NPWG-070 what no plugin of the network can do is refused, or with strictCapabilities off told', async () => {
    const node = await stubNode()
    node.write(
      nad({ name: 'mac-net', config: { cniVersion: '1.0.0', type: 'alpha', capabilities: { mac: true } } }),
    )
    const networks = [{ name: 'mac-net', mac: '02:00:00:00:00:07', ips: ['10.0.0.7/24'] }]
    const pod = await node.pod({ networks })
    assertRefused(await pod.run('ADD'), 7, 'network "mac-net"', 'declares the capability "ips"', '"alpha"')
    assert.equal(node.steps(), [])
    const run = await pod.run('ADD', { conf: node.conf({ strictCapabilities: false }) })
    assertAdded(run)
    assert.match(run.stderr, 'declares the capability')
    const [call] = node.alpha.calls()
    assert.equal(call?.stdin.runtimeConfig, { mac: '02:00:00:00:00:07' })
  })
})
