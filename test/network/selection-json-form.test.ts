import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { parseSelectionElements } from '../../src/network/selection-element.ts'
import { spec } from '../spec.ts'

const options = { annotation: 'k8s.v1.cni.cncf.io/networks', namespace: 'telco' }
const plain = { name: 'a', namespace: 'telco', optional: false, extensions: {} }

const parse = (value: unknown) => parseSelectionElements(JSON.stringify(value), options)

function errorOf(text: string): CniError {
  try {
    parseSelectionElements(text, options)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    return error
  }
  throw new Error(`accepted: ${text}`)
}

spec('networks annotation, JSON form', (it) => {
  const accepted: [string, object, object][] = [
    ['NPWG-042 an empty namespace is the one of the pod', { namespace: '' }, {}],
    ['a namespace is taken', { namespace: 'other' }, { namespace: 'other' }],
    ['NPWG-047 an interface name is taken', { interface: 'eth0.100' }, { interface: 'eth0.100' }],
    [
      'NPWG-043, NPWG-045 addresses keep order, prefix and the absence of one',
      { ips: ['10.0.0.5/24', '2001:DB8::5', '10.0.0.6'] },
      { ips: ['10.0.0.5/24', '2001:DB8::5', '10.0.0.6'] },
    ],
    ['NPWG-046, C-16 a MAC is normalised', { mac: '02-00-00-AB-CD-EF' }, { mac: '02:00:00:ab:cd:ef' }],
    [
      'NPWG-054 an InfiniBand GUID has eight bytes',
      { 'infiniband-guid': 'C2:11:22:33:44:55:66:77' },
      { infinibandGuid: 'c2:11:22:33:44:55:66:77' },
    ],
    [
      'NPWG-050 a port mapping without protocol is TCP, protocols are case-insensitive',
      {
        portMappings: [
          { hostPort: 80, containerPort: 8080 },
          { hostPort: 65535, containerPort: 1, protocol: 'SCTP', hostIP: '::1' },
        ],
      },
      {
        portMappings: [
          { hostPort: 80, containerPort: 8080, protocol: 'tcp' },
          { hostPort: 65535, containerPort: 1, protocol: 'sctp', hostIP: '::1' },
        ],
      },
    ],
    [
      'NPWG-051, NPWG-052, C-28 bandwidth keys that were not given are not invented',
      { bandwidth: { ingressRate: 1000 } },
      { bandwidth: { ingressRate: 1000 } },
    ],
    [
      'NPWG-051 a burst goes with its rate',
      { bandwidth: { egressRate: 5, egressBurst: 6 } },
      { bandwidth: { egressRate: 5, egressBurst: 6 } },
    ],
    ['NPWG-049 cni-args are taken as they are', { 'cni-args': { b: 2 } }, { cniArgs: { b: 2 } }],
    [
      'NPWG-053, NPWG-094 default-route keeps its gateways in order',
      { 'default-route': ['10.0.0.1', '2001:db8::1'] },
      { defaultRoute: ['10.0.0.1', '2001:db8::1'] },
    ],
    ['NPWG-092, C-18 an empty default-route stays', { 'default-route': [] }, { defaultRoute: [] }],
    [
      'NPWG-055, NPWG-181 an IPAM claim may have dots in its name',
      { 'ipam-claim-reference': 'vm.a.b' },
      { ipamClaimReference: 'vm.a.b' },
    ],
    ['NPWG-058 a device is taken', { deviceID: '0000:03:02.0' }, { deviceID: '0000:03:02.0' }],
    ['an optional attachment is marked', { 'io.plexus-cni.optional': true }, { optional: true }],
    ['a time limit with unit is taken', { 'io.plexus-cni.timeout': '1m30s' }, { timeoutMs: 90_000 }],
    ['a time limit in seconds is taken', { 'io.plexus-cni.timeout': 0.5 }, { timeoutMs: 500 }],
    [
      'NPWG-040 keys of others are tolerated and kept',
      { 'org.x.y': { z: [1] } },
      { extensions: { 'org.x.y': { z: [1] } } },
    ],
    [
      'null and empty texts are as good as absent keys',
      { interface: '', mac: '', ips: null, 'default-route': null, 'cni-args': null, deviceID: '' },
      {},
    ],
  ]
  for (const [title, keys, expected] of accepted) {
    it(title, () => {
      assert.equal(parse([{ name: 'a', ...keys }]), { elements: [{ ...plain, ...expected }], warnings: [] })
    })
  }

  it('NPWG-056, C-19 of the default network alone the addresses may stand beside the claim', () => {
    const text = '[{"name":"a","ips":["10.0.0.5/24"],"ipam-claim-reference":"vm.a"}]'
    const { elements, warnings } = parseSelectionElements(text, {
      ...options,
      annotation: 'v1.multus-cni.io/default-network',
    })
    assert.equal(elements, [{ ...plain, ips: ['10.0.0.5/24'], ipamClaimReference: 'vm.a' }])
    assert.equal(warnings, [])
  })

  it('NPWG-021 both forms give the same elements', () => {
    assert.equal(
      parse([{ name: 'a' }, { name: 'b', namespace: 'other', interface: 'x1' }]),
      parseSelectionElements('a,other/b@x1', options),
    )
  })

  it('NPWG-029 blanks before and inside the JSON are ignored', () => {
    assert.equal(parseSelectionElements(' [ {"name":"a"} ]\n', options).elements, [plain])
  })

  it('an empty list asks for nothing', () => {
    assert.equal(parse([]), { elements: [], warnings: [] })
  })

  it('C-15 one object alone is a list of it, with a warning', () => {
    const { elements, warnings } = parse({ name: 'a' })
    assert.equal(elements, [plain])
    assert.match(warnings[0] ?? '', /an object where a list is wanted/)
  })

  it('NPWG-057 interfaceRequest is honoured when interface is empty', () => {
    const { elements, warnings } = parse([{ name: 'a', interface: '', interfaceRequest: 'x0' }])
    assert.is(elements[0]?.interface, 'x0')
    assert.match(warnings[0] ?? '', /key "interfaceRequest" .*write "interface"/)
    assert.is(parse([{ name: 'a', interface: 'x1', interfaceRequest: 'x0' }]).elements[0]?.interface, 'x1')
  })

  it('numbers in cni-args and in keys of others survive to the digit', () => {
    const text = '[{"name":"a","cni-args":{"id":12345678901234567890},"org.x":1.0}]'
    const [element] = parseSelectionElements(text, options).elements
    assert.is(JSON.stringify(element?.cniArgs), '{"id":12345678901234567890}')
    assert.is(JSON.stringify(element?.extensions), '{"org.x":1.0}')
  })

  const warned: [string, string, RegExp][] = [
    [
      'NPWG-040 an unknown key is tolerated with a suggestion and its place',
      '[{"name":"a",\n  "ip":["10.0.0.5"]}]',
      /element 0 \("a"\), key "ip" at 2:3: unknown key "ip"; did you mean "ips"\?$/,
    ],
    ['a typing error is recognised', '[{"name":"a","interfcae":"x"}]', /did you mean "interface"\?$/],
    ['another case is recognised', '[{"name":"a","defaultRoute":[]}]', /did you mean "default-route"\?$/],
    [
      'a typing error in a key of ours is recognised',
      '[{"name":"a","io.plexus-cni.optinal":true}]',
      /optional"\?$/,
    ],
    [
      'NPWG-059 gateway is no key of an element',
      '[{"name":"a","gateway":["1.1.1.1"]}]',
      /"gateway" is ignored$/,
    ],
    ['a key that is there twice is told', '[{"name":"b","name":"a"}]', /key "name" at 1:14: is there twice/],
    [
      'an unknown key of a port mapping is told',
      '[{"name":"a","portMappings":[{"hostPort":1,"containerPort":2,"protocl":"udp"}]}]',
      /key "portMappings\[0\].protocl" at 1:62: .*did you mean "protocol"\?$/,
    ],
  ]
  for (const [title, text, expected] of warned) {
    it(title, () => {
      const { elements, warnings } = parseSelectionElements(text, options)
      assert.is(elements[0]?.name, 'a')
      assert.is(elements[0]?.ips, undefined)
      assert.is(warnings.length, 1)
      assert.match(warnings[0] ?? '', expected)
    })
  }

  const refused: [string, object, RegExp][] = [
    ['NPWG-041 a missing name', { name: undefined }, /^element 0 at 1:2: key "name" is missing$/],
    ['NPWG-041 an empty name', { name: '' }, /key "name" is missing$/],
    ['a name that is no string', { name: 7 }, /key "name" at 1:3: must be a string, not a number$/],
    ['NPWG-027 a name that is no DNS name', { name: 'Net_A' }, /is no DNS-1123 subdomain .*"net-a"\?$/],
    ['a namespace with a slash', { namespace: '../x' }, /key "namespace" .*is no DNS-1123 subdomain/],
    ['NPWG-047 an interface name of 16 bytes', { interface: 'abcdefghijklmnop' }, /has 16 bytes/],
    ['an interface name that is no string', { interface: 5 }, /key "interface" .*must be a string/],
    [
      'NPWG-044 an address that is none',
      { ips: ['10.0.0.300'] },
      /key "ips\[0\]" .*"10.0.0.300" is no IP address/,
    ],
    ['NPWG-044 an empty list of addresses', { ips: [] }, /key "ips" .*is empty/],
    [
      'addresses in a text',
      { ips: '10.0.0.5' },
      /must be a list of strings, not a string; write \["10.0.0.5"\]$/,
    ],
    ['NPWG-046 a MAC that is none', { mac: 'zz:00:00:00:00:00' }, /is no hardware address of 6 bytes$/],
    ['C-16 a MAC of eight bytes', { mac: '02:00:00:00:00:00:00:01' }, /of 6 bytes$/],
    ['NPWG-054 a GUID of six bytes', { 'infiniband-guid': '02:00:00:00:00:01' }, /of 8 bytes$/],
    [
      'NPWG-050 host port 0',
      { portMappings: [{ hostPort: 0, containerPort: 1 }] },
      /key "portMappings\[0\].hostPort" .*is 0; it must be a whole number from 1 to 65535$/,
    ],
    [
      'NPWG-050 a missing container port',
      { portMappings: [{ hostPort: 1 }] },
      /containerPort" .*is missing; it must be/,
    ],
    [
      'NPWG-050 a port of another protocol',
      { portMappings: [{ hostPort: 1, containerPort: 1, protocol: 'icmp' }] },
      /must be TCP, UDP or SCTP, not "icmp"$/,
    ],
    ['NPWG-050 no port mapping', { portMappings: [] }, /key "portMappings" .*is empty/],
    [
      'NPWG-050 a host address that is none',
      { portMappings: [{ hostPort: 1, containerPort: 1, hostIP: '10.0.0.0/8' }] },
      /hostIP" .*must be an IP address/,
    ],
    ['NPWG-051 a burst without its rate', { bandwidth: { ingressBurst: 1 } }, /needs ingressRate beside it$/],
    ['NPWG-051 a rate of zero', { bandwidth: { ingressRate: 0 } }, /is 0; it must be a whole number above 0/],
    ['NPWG-051 a fraction of a bit', { bandwidth: { egressRate: 1.5 } }, /is 1.5; it must be a whole number/],
    ['NPWG-051 no rate at all', { bandwidth: {} }, /needs at least one of ingressRate, /],
    [
      'C-32 cni-args that are no object',
      { 'cni-args': [] },
      /key "cni-args" .*must be an object, not a list$/,
    ],
    ['NPWG-095 a gateway that is no address', { 'default-route': ['foo'] }, /"foo" is no IP address$/],
    [
      'NPWG-095 a gateway with prefix length',
      { 'default-route': ['10.0.0.1/24'] },
      /must be a gateway without prefix length$/,
    ],
    [
      'NPWG-056, C-19 addresses beside an IPAM claim',
      { ips: ['10.0.0.5'], 'ipam-claim-reference': 'vm.a' },
      /key "ipam-claim-reference" .*excludes "ips"/,
    ],
    [
      'an optional that is a text',
      { 'io.plexus-cni.optional': 'true' },
      /must be true or false, not "true"$/,
    ],
    ['a time limit that is none', { 'io.plexus-cni.timeout': 'soon' }, /"10s", "500ms" .*not "soon"$/],
    ['a time limit of zero', { 'io.plexus-cni.timeout': 0 }, /must be a time above 0/],
  ]
  for (const [title, keys, expected] of refused) {
    it(`refuses ${title}`, () => {
      const { faults } = errorOf(JSON.stringify([{ name: 'a', ...keys }]))
      assert.is(faults.length, 1)
      assert.match(faults[0] ?? '', expected)
    })
  }

  const syntax: [string, string, RegExp][] = [
    ['an element that is null', '[null]', /^element 0 at 1:2: must be an object, not null$/],
    ['an element that is a text', '["net-a"]', /must be an object, not a string; write \{"name": "net-a"\}$/],
    ['a text', '"net-a"', /^must be a list of objects, not a string$/],
    ['JSON that ends early', '[{"name":"a"', /^not JSON at 1:13: expected "," or "}", found the end$/],
    ['a comma too many', '[{"name":"a"},\n]', /^not JSON at 2:1: expected a value, found "]"$/],
    ['single quotes', "[{'name':'a'}]", /^not JSON at 1:3: expected a key in double quotes, found "'"$/],
    ['a text that is not closed', '[{"name":"a}]', /^not JSON at 1:10: a string is not closed/],
    ['something after the end', '[] x', /^not JSON at 1:4: expected the end, found "x"$/],
    ['comma form and JSON mixed', 'a,{"name":"b"}', /^not JSON at 1:1: /],
    ['endless nesting', '['.repeat(100_000), /^not JSON at 1:66: nested more than 64 deep$/],
  ]
  for (const [title, text, expected] of syntax) {
    it(`refuses ${title}, with its place`, () => {
      const error = errorOf(text)
      assert.is(error.faults.length, 1)
      assert.match(error.faults[0] ?? '', expected)
      assert.ok(error.message.startsWith('annotation k8s.v1.cni.cncf.io/networks: '))
    })
  }

  it('NPWG-048 refuses an interface name that two elements ask for', () => {
    const { faults } = errorOf('[{"name":"a","interface":"x0"},{"name":"b","interfaceRequest":"x0"}]')
    assert.match(faults[0] ?? '', /element 1 \("b"\).*"x0" is asked for by element 0 \("a"\) too$/)
  })

  const routes: [string, string[], string[], boolean][] = [
    ['NPWG-093 one family from two elements', ['10.0.0.1'], ['10.0.0.2'], false],
    ['C-17 two families from two elements', ['10.0.0.1'], ['2001:db8::1'], true],
    ['C-18 an empty list beside a gateway', [], ['2001:db8::1'], false],
    ['two empty lists', [], [], false],
  ]
  for (const [title, first, second, isAccepted] of routes) {
    it(`default-route: ${title} is ${isAccepted ? 'accepted' : 'refused'}`, () => {
      const text = JSON.stringify([
        { name: 'a', 'default-route': first },
        { name: 'b', 'default-route': second },
      ])
      if (isAccepted) assert.is(parseSelectionElements(text, options).elements.length, 2)
      else assert.match(errorOf(text).faults[0] ?? '', /default route is asked for by element 0 \("a"\) too$/)
    })
  }

  it('C-17 several gateways of one family in one element are accepted', () => {
    assert.is(parse([{ name: 'a', 'default-route': ['10.0.0.1', '10.0.0.2'] }]).elements.length, 1)
  })

  it('all faults are told at once, and then the misspelt keys that may explain them', () => {
    const { message, faults } = errorOf('[{"nam":"a","mac":"zz"},null,{"name":"c","ips":["x","y"]}]')
    assert.match(message, /networks: 5 faults, the first: element 0/)
    assert.is(faults.length, 6)
    assert.match(faults[0] ?? '', /key "name" is missing; did you mean it by "nam"\?$/)
    assert.match(faults[5] ?? '', /unknown key "nam"; did you mean "name"\?$/)
  })

  it('a key __proto__ changes no prototype', () => {
    const [element] = parseSelectionElements('[{"name":"a","__proto__":{"optional":true}}]', options).elements
    assert.equal(element, plain)
    assert.is(Object.getPrototypeOf(element?.extensions), Object.prototype)
  })
})
