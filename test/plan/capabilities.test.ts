import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'
import { netConf, planPod, pod } from './plan-input.ts'

const PORTS = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const GUID = '02:00:00:00:00:00:00:01'

/** A list of a bridge that declares nothing and a tuning that declares what is given. */
const list = (...capabilities: string[]) => ({
  cniVersion: '1.0.0',
  plugins: [
    { type: 'bridge' },
    { type: 'tuning', capabilities: Object.fromEntries(capabilities.map((key) => [key, true])) },
  ],
})

const asked: readonly (readonly [string, unknown, string, unknown])[] = [
  ['ips', ['10.0.0.5', '2001:db8::5/64'], 'ips', ['10.0.0.5', '2001:db8::5/64']],
  ['mac', '02-00-00-00-00-0A', 'mac', '02:00:00:00:00:0a'],
  ['portMappings', [{ hostPort: 8080, containerPort: 80 }], 'portMappings', PORTS],
  ['bandwidth', { ingressRate: 1000 }, 'bandwidth', { ingressRate: 1000 }],
  ['infiniband-guid', GUID, 'infinibandGUID', GUID],
  ['deviceID', '0000:03:02.0', 'deviceID', '0000:03:02.0'],
]

spec('capabilities', (it) => {
  for (const [key, value, capability, expected] of asked) {
    it(`NPWG-070, NPWG-073 "${key}" reaches the declaring plugin as runtimeConfig.${capability} and no other`, () => {
      const plan = planPod({
        pod: pod([{ name: 'a', [key]: value }]),
        nads: { 'telco/a': list(capability) },
      })
      assert.equal(plan.faults, [])
      assert.equal(
        plan.attachments[1]?.plugins.map(({ runtimeConfig }) => runtimeConfig),
        [undefined, { [capability]: expected }],
      )
    })
  }

  for (const [key, value, capability] of asked.filter(([name]) => name !== 'deviceID')) {
    it(`NPWG-071, NPWG-076, C-2 "${key}" that no plugin declares is a fault, without strictCapabilities a warning`, () => {
      const given = { pod: pod([{ name: 'a', [key]: value }]), nads: { 'telco/a': list('other') } }
      const strict = planPod(given)
      assert.is(strict.faults.length, 1)
      assert.is(strict.faults[0]?.code, CniErrorCode.InvalidNetworkConfig)
      const text = `network "a" (NAD telco/a): the pod asks for "${capability}"`
      assert.ok(strict.faults[0]?.message.startsWith(text), strict.faults[0]?.message)
      const loose = planPod({ ...given, conf: netConf({ strictCapabilities: false }) })
      assert.equal(loose.faults, [])
      assert.is(loose.warnings.filter((warning) => warning.startsWith(text)).length, 1)
      assert.equal(
        loose.attachments[1]?.plugins.map(({ runtimeConfig }) => runtimeConfig),
        [undefined, undefined],
      )
    })
  }

  for (const type of ['ovn-k8s-cni-overlay', 'kube-ovn']) {
    it(`${type} reads addresses and MAC in the annotation itself, and nothing else`, () => {
      const nads = { 'telco/a': { cniVersion: '1.0.0', type } }
      const fixed = { name: 'a', ips: ['10.0.0.5'], mac: '02:00:00:00:00:01' }
      const { faults, warnings, attachments } = planPod({ pod: pod([fixed]), nads })
      // The executable is not there, which is all.
      assert.equal([faults.map(({ code }) => code), warnings], [[CniErrorCode.PluginNotFound], []])
      assert.is(attachments[1]?.plugins[0]?.runtimeConfig, undefined)
      const ports = planPod({ pod: pod([{ name: 'a', portMappings: PORTS }]), nads })
      assert.match(ports.faults[0]?.message ?? '', 'declares the capability "portMappings"')
    })
  }

  it('CNI-076 a capability that is not literally true is none', () => {
    const config = { cniVersion: '1.0.0', type: 'bridge', capabilities: { ips: false } }
    const { faults } = planPod({ pod: pod([{ name: 'a', ips: ['10.0.0.5'] }]), nads: { 'telco/a': config } })
    assert.match(faults[0]?.message ?? '', 'declares the capability "ips"')
  })

  it("CNI-030, CNI-145, NPWG-072, NPWG-106, C-3 the runtime's runtimeConfig goes to the default network alone", () => {
    const conf = netConf({
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: PORTS, bandwidth: { ingressRate: 1 } },
      delegates: [{ name: 'd', ...list('portMappings', 'bandwidth') }],
    })
    const plan = planPod({ conf, pod: pod('a'), nads: { 'telco/a': list('portMappings', 'bandwidth') } })
    const [first, second] = plan.attachments.map(({ plugins }) =>
      plugins.map((plugin) => plugin.runtimeConfig),
    )
    assert.equal(first, [undefined, { portMappings: PORTS }])
    assert.equal(second, [undefined, undefined])
  })

  it('C-33 what the default-network annotation asks for is in its runtimeConfig', () => {
    const plan = planPod({
      pod: pod(undefined, [{ name: 'alt', namespace: 'telco', ips: ['10.0.0.5/24'] }]),
      nads: { 'telco/alt': list('ips') },
    })
    assert.equal(plan.attachments[0]?.plugins[1]?.runtimeConfig, { ips: ['10.0.0.5/24'] })
  })

  it('NPWG-074, CNI-151 a device is in the conf of every plugin too, declared or not', () => {
    const plan = planPod({ pod: pod([{ name: 'a', deviceID: '0000:03:02.0' }]), nads: { 'telco/a': list() } })
    assert.equal(plan.faults, [])
    for (const { extra } of plan.attachments[1]?.plugins ?? []) {
      assert.equal(extra, { deviceID: '0000:03:02.0', pciBusID: '0000:03:02.0' })
    }
  })

  it('NPWG-049 cni-args go to every plugin of the network and to no other network', () => {
    const plan = planPod({
      pod: pod([{ name: 'a', 'cni-args': { b: 2 } }, { name: 'b' }]),
      nads: { 'telco/a': list() },
    })
    assert.equal(
      plan.attachments.map(({ plugins }) => plugins.map(({ cniArgs }) => cniArgs)),
      [[undefined], [{ b: 2 }, { b: 2 }], [undefined]],
    )
  })

  it('NPWG-075, NPWG-122, C-26 each attachment has a device-info path of its own where the capability is declared', () => {
    const plan = planPod({
      conf: netConf({ devInfoDir: '/run/devinfo' }),
      pod: pod('a,a,b'),
      nads: { 'telco/a': list('CNIDeviceInfoFile') },
    })
    const files = plan.attachments.map(({ deviceInfoFile }) => deviceInfoFile)
    assert.equal([files[0], files[3]], [undefined, undefined])
    assert.match(files[1] ?? '', /^\/run\/devinfo\/cni\/[^/]+$/)
    assert.match(files[2] ?? '', /^\/run\/devinfo\/cni\/[^/]+$/)
    assert.is.not(files[1], files[2])
    const given: (JsonObject | undefined)[] =
      plan.attachments[1]?.plugins.map((plugin) => plugin.runtimeConfig) ?? []
    assert.equal(given, [undefined, { CNIDeviceInfoFile: files[1] }])
  })

  it('keys without a meaning in an element change nothing', () => {
    const plain = planPod({ pod: pod([{ name: 'a' }]) })
    const more = planPod({ pod: pod([{ name: 'a', gateway: ['1.1.1.1'], mtu: 9000, 'org.x.y': 1 }]) })
    assert.equal(more, plain)
  })
})
