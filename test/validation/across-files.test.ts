import * as assert from 'uvu/assert'
import type { Finding } from '../../src/validation/finding.ts'
import { validateFiles, validateObjects } from '../../src/validation/validate.ts'
import { spec } from '../spec.ts'

const nad = (name: string, config: object | string, metadata: object = {}): string =>
  JSON.stringify({
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name, ...metadata },
    spec: {
      config: typeof config === 'string' ? config : JSON.stringify({ cniVersion: '1.0.0', name, ...config }),
    },
  })
const pod = (networks: unknown, metadata: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'upf-0',
      ...metadata,
      annotations: { 'k8s.v1.cni.cncf.io/networks': JSON.stringify(networks) },
    },
  })

function find(files: Readonly<Record<string, string>>): readonly Finding[] {
  return validateFiles(Object.entries(files).map(([name, text]) => ({ name, text }))).findings
}

const lines = (findings: readonly Finding[]): string[] =>
  findings.map(({ file, severity, code, message }) => `${file} ${severity} ${code} ${message}`)

const bridge = { type: 'bridge', bridge: 'br0' }

spec('checks across files', (it) => {
  it('a request is checked against the NAD of another file, in any order', () => {
    const files = { 'pod.json': pod([{ name: 'lan', ips: ['10.0.0.5/24'] }]), 'nad.json': nad('lan', bridge) }
    const message =
      'pod.json error capability-not-declared network "lan" (NAD default/lan): the pod asks for "ips", but no plugin of it ("bridge") declares the capability "ips"'
    assert.equal(lines(find(files)), [message])
    assert.equal(lines(find({ 'nad.json': files['nad.json'], 'pod.json': files['pod.json'] })), [message])
  })

  it('"strictCapabilities": false of a net-conf among the files makes it a warning', () => {
    const findings = find({
      'pod.json': pod([{ name: 'lan', mac: '02:00:5e:00:53:01' }]),
      'nad.json': nad('lan', { type: 'ptp', ipam: { type: 'dhcp' } }),
      '00-plexus.conf':
        '{"cniVersion": "1.0.0", "name": "plexus", "type": "plexus", "strictCapabilities": false}',
    })
    assert.equal(lines(findings), [
      'pod.json warning attachment-oddity network "lan" (NAD default/lan): the pod asks for "mac", but no plugin of it ("ptp") declares the capability "mac"',
    ])
  })

  it('namespace isolation of a net-conf among the files is an error of the pod', () => {
    const findings = find({
      'pod.json': pod([{ name: 'lan', namespace: 'infra' }], { namespace: 'telco' }),
      'nad.json': nad('lan', bridge, { namespace: 'infra' }),
      'plexus.conf':
        '{"cniVersion": "1.0.0", "name": "plexus", "type": "plexus", "namespaceIsolation": true}',
    })
    assert.equal(lines(findings), [
      'pod.json error attachment-fault namespace isolation enabled, annotation violates permission, pod is in namespace telco but refers to target namespace infra',
    ])
  })

  it('plugins that a net-conf does not allow are an error of the pod', () => {
    const findings = find({
      'pod.json': pod([{ name: 'lan' }]),
      'nad.json': nad('lan', bridge),
      'plexus.conf':
        '{"cniVersion": "1.0.0", "name": "plexus", "type": "plexus", "allowedPluginTypes": ["macvlan"]}',
    })
    assert.equal(lines(findings), [
      'pod.json error attachment-fault network "lan" (NAD default/lan): plugin "bridge" is not in allowedPluginTypes',
    ])
  })

  it('a network that the net-conf or a pod has as the default one may have a default route', () => {
    const greedy = nad('greedy', { ...bridge, isDefaultGateway: true }, { namespace: 'kube-system' })
    const codes = (files: Readonly<Record<string, string>>): string[] =>
      find({ 'nad.json': greedy, ...files }).map(({ code }) => code)
    assert.equal(codes({}), ['extra-default-route'])
    assert.equal(
      codes({
        'a.conf': '{"cniVersion": "1.0.0", "name": "p", "type": "multus", "clusterNetwork": "greedy"}',
      }),
      [],
    )
    assert.equal(
      codes({
        'a.conf':
          '{"cniVersion": "1.0.0", "name": "p", "type": "plexus", "defaultNetwork": "kube-system/greedy"}',
      }),
      [],
    )
    const annotations = { 'v1.multus-cni.io/default-network': 'greedy' }
    assert.equal(
      codes({
        'p.json': JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', annotations } }),
      }),
      [],
    )
  })

  it('a network that a net-conf names and that is nearly one of the NADs is pointed at', () => {
    const findings = find({
      'nad.json': nad('audit', bridge, { namespace: 'infra' }),
      'a.conf':
        '{"cniVersion": "1.0.0", "name": "p", "type": "plexus",\n "defaultNetworks": ["infra/audits", "/a/path", "infra/audit"]}',
    })
    assert.equal(lines(findings), [
      'a.conf warning network-near-miss NAD infra/audits is not among these files; did you mean infra/audit?',
    ])
    assert.is(findings[0]?.line, 2)
  })

  it('networks of two net-confs are those of two nodes and not compared', () => {
    const conf = (bridgeName: string): string =>
      JSON.stringify({
        cniVersion: '1.0.0',
        name: 'cluster',
        type: 'bridge',
        bridge: bridgeName,
        ipam: { type: 'host-local', subnet: '10.0.0.0/24' },
      })
    assert.equal(lines(find({ 'a.conf': conf('br0'), 'b.conf': conf('br0') })), [])
    assert.equal(
      find({ 'a.conf': conf('br0'), 'n.json': nad('cluster', JSON.parse(conf('br1'))) }).map(
        ({ code }) => code,
      ),
      ['shared-address-store'],
    )
  })

  it('a NAD that is in two files is an error in the second', () => {
    assert.equal(lines(find({ 'a.json': nad('lan', bridge), 'b.json': nad('lan', bridge) })), [
      'b.json error duplicate-object it is there twice: also in a.json document 1',
    ])
  })

  it('findings are in the order of the files as given, each once', () => {
    const files = { 'z.json': nad('a b', bridge), 'a.json': nad('c d', bridge) }
    assert.equal(
      find(files).map(({ file }) => file),
      ['z.json', 'z.json', 'a.json', 'a.json'],
    )
  })
})

spec('objects that are from no file', (it) => {
  it('have findings without a place in a text, but with their path', () => {
    const { findings, checked } = validateObjects([
      JSON.parse(nad('lan', { ...bridge, vlan: 5000 })),
      JSON.parse(pod([{ name: 'a', ips: [] }])),
    ])
    assert.equal(findings, [
      {
        severity: 'error',
        code: 'value-range',
        message: 'bridge: "vlan" must be from 0 to 4094, not 5000',
        hint: null,
        file: null,
        document: null,
        line: null,
        column: null,
        object: 'NAD default/lan',
        path: 'spec.config /vlan',
      },
      {
        severity: 'error',
        code: 'selection-fault',
        message: 'element 0 ("a"), key "ips": is empty; leave the key out to let IPAM choose',
        hint: null,
        file: null,
        document: null,
        line: null,
        column: null,
        object: 'pod default/upf-0',
        path: 'metadata.annotations["k8s.v1.cni.cncf.io/networks"]',
      },
    ])
    assert.equal(checked, { networks: 1, pods: 1, netConfs: 0, others: 0 })
  })

  it('of a hundred faults in one annotation the others are counted', () => {
    const networks = Array.from({ length: 107 }, () => ({ name: 'A' }))
    const { findings } = validateObjects([JSON.parse(pod(networks))])
    assert.is(findings.length, 101)
    assert.ok(findings.some(({ message }) => message === 'and 7 more faults'))
  })

  it('may be anything at all', () => {
    for (const value of [
      null,
      1,
      'x',
      [],
      {},
      { kind: 'Pod' },
      { kind: 'NetworkAttachmentDefinition', spec: [] },
      { kind: 'List', items: [1, { kind: 'List', items: {} }] },
    ]) {
      validateObjects([value])
    }
  })
})
