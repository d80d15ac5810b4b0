import * as assert from 'uvu/assert'
import type { Verdict } from '../../src/webhook/admission-review.ts'
import { reviewNad } from '../../src/webhook/nad-admission.ts'
import { type NadOptions, nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { admissionRequest, type KnownObjects, knownObjects } from './known-objects.ts'

const RESOURCE = 'k8s.v1.cni.cncf.io/resourceName'
const OVERRIDE = 'plexus-cni.io/allow-in-use-change'
const IPAM = { type: 'whereabouts', range: '10.6.0.0/24' }
const N6 = { cniVersion: '1.0.0', type: 'macvlan', master: 'bond0', ipam: IPAM }
const CHAIN = {
  cniVersion: '1.0.0',
  plugins: [{ type: 'macvlan', master: 'bond0', ipam: IPAM }, { type: 'tuning' }],
}
const USED: KnownObjects = {
  users: { 'telco/n6': ['telco/upf-0', 'telco/upf-1'] },
  namespaces: [{ name: 'telco' }],
}

const n6 = (config: object | string = N6, annotations?: NadOptions['annotations']): object =>
  nad({ name: 'n6', namespace: 'telco', config, ...(annotations === undefined ? {} : { annotations }) })
const create = (object: object, known: KnownObjects = {}): Promise<Verdict> =>
  reviewNad(admissionRequest(object), knownObjects(known))
const update = (object: object, before: object, known: KnownObjects = USED): Promise<Verdict> =>
  reviewNad(admissionRequest(object, before), knownObjects(known))
const remove = (object: object, known: KnownObjects = USED): Promise<Verdict> =>
  reviewNad(admissionRequest(undefined, object), knownObjects(known))
const messageOf = ({ refusal }: Verdict): string | undefined => refusal?.message

spec('admission of NADs', (it) => {
  it('a good one is taken without a word', async () => {
    assert.equal(await create(n6()), { warnings: [] })
  })

  it('one with a fault is refused with the place and what to do', async () => {
    const ipam = { type: 'host-local', subnet: '10.6.0.0/24', gateway: '10.60.0.1' }
    const verdict = await create(n6({ cniVersion: '1.0.0', type: 'bridge', ipam }))
    assert.equal(verdict.refusal, {
      status: 422,
      reason: 'Invalid',
      message:
        'spec.config /ipam/gateway: host-local: gateway 10.60.0.1 is outside of 10.6.0.0/24 [gateway-outside-subnet]',
    })
  })

  it('every fault is told at once, warnings beside them', async () => {
    const { refusal, warnings } = await create(
      n6({ cniVersion: '1.0.0', type: 'vlan', vlanId: 5000, mtuu: 9000 }, { [RESOURCE]: 'no resource' }),
    )
    const lines = refusal?.message.split('\n') ?? []
    assert.is(lines[0], '3 faults:')
    const codes = lines.slice(1).map((line) => /\[([\w-]+)\]$/.exec(line)?.[1])
    assert.equal(codes.sort(), ['missing-key', 'resource-name', 'value-range'])
    assert.is(warnings?.length, 1)
    assert.match(warnings?.[0] ?? '', 'unknown key "mtuu"; did you mean "mtu"?')
  })

  it('one that is odd is taken with a warning', async () => {
    const { refusal, warnings } = await create(n6({ ...N6, mastr: 'bond1' }))
    assert.is(refusal, undefined)
    assert.match(warnings?.join() ?? '', /unknown key "mastr".*\[unknown-key\]/)
  })

  it('is compared with those of its namespace, and only its own findings are told', async () => {
    const bridge = { cniVersion: '1.0.0', type: 'bridge', bridge: 'br0', vlan: 7 }
    const others = { nads: [{ name: 'other', namespace: 'telco', config: { ...bridge, brdige: 'x' } }] }
    const { warnings } = await create(n6({ ...bridge, vlan: 0 }), others)
    assert.is(warnings?.length, 1)
    assert.match(
      warnings?.[0] ?? '',
      /what pods here \(no VLAN\) send reaches those of NAD telco\/other \(VLAN 7\) too/,
    )
  })

  it('a selector of namespaces that is none is refused', async () => {
    const selector = { 'plexus-cni.io/allowed-namespaces': 'a, b and c' }
    assert.match(messageOf(await create(n6(N6, selector))) ?? '', '[allowed-namespaces]')
    assert.is(messageOf(await create(n6(N6, { 'plexus-cni.io/allowed-namespaces': 'team=core' }))), undefined)
  })

  it('a bad one from before may get a finalizer, but no other bad configuration', async () => {
    const bad = n6('{') as { metadata: object }
    const finalized = { ...bad, metadata: { ...bad.metadata, finalizers: ['example.com/x'] } }
    assert.equal(await update(finalized, bad), {})
    assert.match(messageOf(await update(n6('['), bad)) ?? '', '[config-syntax]')
  })

  it('a bad configuration from before is a warning when something else is changed', async () => {
    for (const key of [OVERRIDE, 'kubectl.kubernetes.io/last-applied-configuration'])
      assert.equal(await update(n6('{', { [key]: 'true' }), n6('{')), {}, key)
    const selector = { 'plexus-cni.io/allowed-namespaces': 'team=core' }
    const { refusal, warnings } = await update(n6('{', selector), n6('{'))
    assert.is(refusal, undefined)
    assert.match(warnings?.join() ?? '', '[config-syntax]')
    const badSelector = { 'plexus-cni.io/allowed-namespaces': 'a, b and c' }
    assert.match(messageOf(await update(n6(N6, badSelector), n6())) ?? '', '[allowed-namespaces]')
  })
})

spec('a NAD that pods use', (it) => {
  const changes: readonly (readonly [aspect: string, object, object])[] = [
    ['type', N6, { ...N6, type: 'ipvlan' }],
    ['type', CHAIN, { ...CHAIN, plugins: [{ ...CHAIN.plugins[0], type: 'ipvlan' }] }],
    ['master', N6, { ...N6, master: 'bond1' }],
    ['master', { ...N6, type: 'bridge', bridge: 'br0' }, { ...N6, type: 'bridge', bridge: 'br1' }],
    ['master', N6, { ...N6, linkInContainer: true }],
    ['IPAM range', { ...N6, ipam: { type: 'dhcp' } }, { ...N6, ipam: { type: 'example-ipam' } }],
    ['VLAN', { ...N6, type: 'vlan', vlanId: 7 }, { ...N6, type: 'vlan', vlanId: 8 }],
    ['VLAN', { ...N6, type: 'bridge' }, { ...N6, type: 'bridge', vlan: 8 }],
    ['VLAN', { ...N6, type: 'sriov', vlan_trunk: '2,4' }, { ...N6, type: 'sriov', vlan_trunk: '2-4' }],
    ['IPAM range', N6, { ...N6, ipam: { ...IPAM, range: '10.7.0.0/24' } }],
    ['IPAM range', N6, { ...N6, ipam: { type: 'dhcp' } }],
    ['master', { ...N6, Master: 'bond0' }, { ...N6, Master: 'bond1' }],
    ['IPAM range', { ...N6, IPAM }, { ...N6, IPAM: { ...IPAM, Range: '10.7.0.0/24' } }],
    [
      'IPAM range',
      { ...N6, ipam: { type: 'host-local', ranges: [[{ subnet: '10.6.0.0/24', rangeStart: '10.6.0.9' }]] } },
      { ...N6, ipam: { type: 'host-local', ranges: [[{ subnet: '10.6.0.0/24', rangeStart: '10.6.0.10' }]] } },
    ],
  ]
  for (const [aspect, before, now] of changes) {
    it(`cannot be changed in ${aspect}: ${JSON.stringify(now)}`, async () => {
      const { refusal } = await update(n6(now), n6(before))
      assert.is(refusal?.status, 409)
      assert.ok(
        refusal?.message.startsWith(
          `NAD telco/n6 is in use by 2 pods: telco/upf-0, telco/upf-1, so its ${aspect} cannot be changed`,
        ),
        refusal?.message,
      )
      assert.is(messageOf(await update(n6(now), n6(before), {})), undefined, 'allowed while nobody uses it')
      const overridden = n6(now, { [OVERRIDE]: 'true' })
      assert.is(messageOf(await update(overridden, n6(before))), undefined, 'allowed by the annotation')
      const notSo = n6(now, { [OVERRIDE]: 'false' })
      assert.is((await update(notSo, n6(before))).refusal?.status, 409, 'but by "true" alone')
    })
  }

  it('cannot be changed in resourceName', async () => {
    const [a, b] = ['example.com/a', 'example.com/b'].map((resource) => n6(N6, { [RESOURCE]: resource }))
    assert.match(messageOf(await update(b ?? {}, a ?? {})) ?? '', 'so its resourceName cannot be changed')
    assert.match(messageOf(await update(n6(), a ?? {})) ?? '', 'so its resourceName cannot be changed')
  })

  it('cannot be changed in resourceName without a configuration in it either', async () => {
    const [a, b] = ['example.com/a', 'example.com/b'].map((resource) =>
      nad({ name: 'n6', namespace: 'telco', annotations: { [RESOURCE]: resource } }),
    )
    assert.match(messageOf(await update(b ?? {}, a ?? {})) ?? '', 'so its resourceName cannot be changed')
  })

  it('does not lose its configuration', async () => {
    for (const now of [nad({ name: 'n6', namespace: 'telco' }), n6('')])
      assert.match(messageOf(await update(now, n6())) ?? '', 'so its type cannot be changed')
    assert.is(messageOf(await update(n6(), nad({ name: 'n6', namespace: 'telco' }))), undefined)
  })

  const harmless: readonly (readonly [title: string, object, object])[] = [
    ['mtu', N6, { ...N6, mtu: 9000 }],
    ['the order of keys', N6, Object.fromEntries(Object.entries(N6).reverse())],
    ['the case of keys', { ...N6, vlan: 7, vlanid: 7 }, { ...N6, vlan: 7, vlanId: 7 }],
    ['a further plugin', CHAIN, { ...CHAIN, plugins: [...CHAIN.plugins, { type: 'sbr' }] }],
    ['a conf as a list', N6, CHAIN],
    ['routes', N6, { ...N6, ipam: { ...IPAM, routes: [{ dst: '10.9.0.0/16' }] } }],
  ]
  for (const [title, before, now] of harmless) {
    it(`may be changed in ${title}`, async () => {
      assert.is(messageOf(await update(n6(now), n6(before))), undefined)
    })
  }

  it('may be corrected when no pod can have been attached by it', async () => {
    assert.is(messageOf(await update(n6(), n6('{'))), undefined)
  })

  it('cannot be deleted, unless it says so itself or its namespace goes', async () => {
    const { refusal } = await remove(n6())
    assert.is(refusal?.status, 409)
    assert.match(refusal?.message ?? '', 'so it cannot be deleted; delete these pods first')
    assert.equal(await remove(n6(N6, { [OVERRIDE]: 'true' })), {})
    assert.equal(await remove(n6(), { namespaces: [{ name: 'telco' }] }), {})
    const going = [{ name: 'telco', deletionTimestamp: '2026-01-01T00:00:00Z' }]
    assert.equal(await remove(n6(), { ...USED, namespaces: going }), {})
  })

  it('names a few of many pods', async () => {
    const pods = Array.from({ length: 12 }, (_, index) => `telco/upf-${index}`)
    const { refusal } = await remove(n6(), { ...USED, users: { 'telco/n6': pods } })
    assert.match(
      refusal?.message ?? '',
      '12 pods: telco/upf-0, telco/upf-1, telco/upf-2, telco/upf-3, telco/upf-4 and 7 more',
    )
  })
})
