import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { parseReview, toReview } from '../../src/webhook/admission-review.ts'
import { reviewObject } from '../../src/webhook/object-admission.ts'
import { mutatePod } from '../../src/webhook/pod-mutation.ts'
import { nad, pod } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { knownObjects } from './known-objects.ts'

const NETWORKS = 'k8s.v1.cni.cncf.io/networks'
const LAN = { name: 'lan', namespace: 'telco', config: { cniVersion: '1.0.0', type: 'bridge', vlan: 5 } }
const NAD_KIND = { group: 'k8s.cni.cncf.io', version: 'v1', kind: 'NetworkAttachmentDefinition' }
const POD_KIND = { group: '', version: 'v1', kind: 'Pod' }
const cluster = knownObjects({
  nads: [LAN],
  namespaces: [{ name: 'telco' }],
  users: { 'telco/lan': ['telco/upf-0'] },
  conf: { namespaceIsolation: true },
})

const wants = (name: string, metadata: object = {}): object => {
  const made = pod({ name: 'upf-1', namespace: 'telco', annotations: { [NETWORKS]: name } }) as {
    metadata: object
  }
  return { ...made, metadata: { ...made.metadata, ...metadata } }
}
const bare = (object: object): object => {
  const { kind: _, apiVersion: __, ...rest } = object as { kind: string; apiVersion: string }
  return rest
}
const deep = (levels: number): object => {
  let value = {}
  for (let level = 0; level < levels; level++) value = { a: value }
  return value
}
const machine = (spec: object): object => ({
  apiVersion: 'kubevirt.io/v1',
  kind: 'VirtualMachine',
  metadata: { name: 'vm' },
  spec,
})

/** What both webhooks say to a request: `allowed`, or why not. */
async function answers(request: object): Promise<string[]> {
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u1', operation: 'CREATE', namespace: 'telco', ...request },
  }
  const said: string[] = []
  for (const judge of [reviewObject, mutatePod]) {
    try {
      const parsed = parseReview(review)
      const { response } = toReview(parsed.uid, await judge(parsed, cluster)) as {
        response: { allowed: boolean; uid: string; status?: { message: string } }
      }
      assert.is(response.uid, 'u1')
      said.push(response.allowed ? 'allowed' : String(response.status?.message))
    } catch (error) {
      if (!(error instanceof CniError)) throw error
      said.push(`fault: ${error.message}`)
    }
  }
  return said
}

const allowed: Readonly<Record<string, object>> = {
  'a good pod': { object: wants('lan') },
  'a pod whose name is generated': { object: wants('lan', { name: undefined, generateName: 'upf-' }) },
  'a pod that does not say its namespace': { object: wants('lan', { namespace: undefined }) },
  'a pod that does not say its kind': { kind: POD_KIND, object: bare(wants('lan')) },
  'a container that is added to a running pod': {
    operation: 'UPDATE',
    subResource: 'ephemeralcontainers',
    object: wants('gone'),
    oldObject: wants('gone'),
  },
  'an eviction': {
    subResource: 'eviction',
    object: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'upf-0' } },
  },
  'a scale': {
    operation: 'UPDATE',
    subResource: 'scale',
    object: { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'upf' }, spec: { replicas: 3 } },
  },
  'a pod that goes': { operation: 'DELETE', oldObject: wants('gone') },
  'a NAD of which only metadata change': {
    operation: 'UPDATE',
    object: nad({ ...LAN, annotations: { 'example.com/note': 'new' } }),
    oldObject: nad(LAN),
  },
  'a NAD that is not there': { operation: 'DELETE', kind: NAD_KIND, name: 'gone' },
  'a template without anything': {
    object: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'upf' },
      spec: { template: null },
    },
  },
  'networks of a machine that are none': {
    object: machine({
      template: {
        spec: { networks: [null, 5, { multus: 5 }], domain: { devices: { interfaces: [null, 5] } } },
      },
    }),
  },
}

const refused: Readonly<Record<string, readonly [object, string]>> = {
  'a dry run like a real request': [
    { dryRun: true, operation: 'DELETE', oldObject: nad(LAN) },
    'is in use by pod telco/upf-0, so it cannot be deleted',
  ],
  'the end of a NAD of which only the name is told': [
    { operation: 'DELETE', kind: NAD_KIND, name: 'lan', object: null, oldObject: null },
    'is in use by pod telco/upf-0, so it cannot be deleted',
  ],
  'a pod whose kind only the request says': [
    { kind: POD_KIND, object: bare(wants('gone')) },
    'there is no NAD telco/gone',
  ],
  'a NAD whose kind only the request says': [
    { kind: NAD_KIND, object: { metadata: { name: 'x' }, spec: { config: '{' } } },
    'not JSON',
  ],
  'isolation, when only the request says the namespace': [
    { namespace: 'other', object: wants('telco/lan', { namespace: undefined }) },
    'namespace isolation enabled',
  ],
  'more networks than can be looked at': [
    { object: wants(Array(101).fill('lan').join(',')) },
    '101 networks are named',
  ],
  'annotations that are no object': [{ object: wants('lan', { annotations: [] }) }, 'must be an object'],
  'a configuration that is no text': [
    {
      operation: 'UPDATE',
      object: { ...nad(LAN), spec: { config: { type: 'bridge' } } },
      oldObject: nad(LAN),
    },
    'spec.config must be a string',
  ],
  'an object that is nested without end': [
    {
      operation: 'UPDATE',
      object: machine({ template: { spec: deep(100_000) } }),
      oldObject: machine({ template: { spec: deep(100_000) } }),
    },
    'nested too deep',
  ],
}

const faulty: Readonly<Record<string, object>> = {
  'without an object': { operation: 'CREATE' },
  'with an object that is a list': { object: [] },
  'with an object that is a text': { operation: 'UPDATE', object: 'x' },
  'to connect': { operation: 'CONNECT', object: {} },
  'without uid': { uid: '', object: wants('lan') },
}

spec('an AdmissionReview', (it) => {
  for (const [title, request] of Object.entries(allowed)) {
    it(`allows ${title}`, async () => assert.equal(await answers(request), ['allowed', 'allowed']))
  }
  for (const [title, [request, reason]] of Object.entries(refused)) {
    it(`refuses ${title}`, async () => {
      const [validating = '', mutating] = await answers(request)
      assert.match(validating, reason)
      assert.not.match(validating, /^fault/)
      assert.is(mutating, 'allowed')
    })
  }
  for (const [title, request] of Object.entries(faulty)) {
    it(`${title} is the caller's fault`, async () => {
      for (const answer of await answers(request)) assert.match(answer, /^fault: /)
    })
  }

  it('of another version is no review', () => {
    for (const review of [
      {},
      [],
      null,
      { apiVersion: 'admission.k8s.io/v1beta1', kind: 'AdmissionReview', request: { uid: 'u1' } },
      { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: null },
    ]) {
      assert.throws(() => parseReview(review), /no AdmissionReview of admission.k8s.io\/v1/)
    }
  })
})
