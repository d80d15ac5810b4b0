import * as assert from 'uvu/assert'
import { evaluateCel } from '../rig/cel.ts'
import { deployedObject, deployedObjects } from '../rig/deployment.ts'
import { spec } from '../spec.ts'

const NODE_CLAIM = 'authentication.kubernetes.io/node-name'
const STATUS = 'k8s.v1.cni.cncf.io/network-status'

/** Keys that the API has for a policy, by the place in it; only those that ours may use. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['apiVersion', 'kind', 'metadata', 'spec'],
  spec: ['failurePolicy', 'matchConstraints', 'matchConditions', 'variables', 'validations'],
  'spec.matchConstraints': ['resourceRules'],
  'spec.matchConstraints.resourceRules': ['apiGroups', 'apiVersions', 'resources', 'operations', 'scope'],
  'spec.matchConditions': ['name', 'expression'],
  'spec.variables': ['name', 'expression'],
  'spec.validations': ['expression', 'message', 'messageExpression'],
}

interface Expression {
  readonly name?: string
  readonly expression: string
  readonly message?: string
  readonly messageExpression?: string
}

/** What the policy is about: a request of somebody about an object. */
interface Review {
  readonly user?: string
  /** Node of the token; `null` for a token that says none. */
  readonly tokenNode?: string | null
  readonly operation?: string
  readonly subResource?: string
  readonly before?: object | null
  readonly now?: object | null
}

const [policy, binding] = deployedObjects('deploy/policy')
const policySpec: unknown = policy?.spec

function podOn(nodeName: string | undefined, metadata: object = {}): object {
  return { metadata: { name: 'upf-0', ...metadata }, spec: nodeName === undefined ? {} : { nodeName } }
}

/** Why a request is refused, as the API server finds it out; `undefined` when it is not. */
function refusalOf(review: Review): string | undefined {
  const { tokenNode = 'worker-1', before = podOn('worker-1'), now = before } = review
  const request = {
    operation: review.operation ?? 'UPDATE',
    subResource: review.subResource ?? 'status',
    userInfo: {
      username: review.user ?? 'system:serviceaccount:kube-system:plexus',
      ...(tokenNode === null ? {} : { extra: { [NODE_CLAIM]: [tokenNode] } }),
    },
  }
  const given = { request, object: now, oldObject: before }
  const { matchConditions, variables, validations } = policySpec as Record<string, readonly Expression[]>
  if (!matchConditions?.every(({ expression }) => evaluateCel(expression, given))) return undefined
  const values: Record<string, unknown> = {}
  for (const { name = '', expression } of variables ?? [])
    values[name] = evaluateCel(expression, { ...given, variables: values })
  const all = { ...given, variables: values }
  for (const { expression, message, messageExpression } of validations ?? []) {
    if (evaluateCel(expression, all) === true) continue
    return message ?? String(evaluateCel(messageExpression ?? '', all))
  }
  return undefined
}

spec('deploy/policy', (it) => {
  it('has a policy of keys that the API has, for every way to write a pod, and its binding', () => {
    assert.is(policy?.apiVersion, 'admissionregistration.k8s.io/v1')
    assert.is(policy?.kind, 'ValidatingAdmissionPolicy')
    const check = (value: unknown, path: string): void => {
      if (Array.isArray(value)) for (const item of value) check(item, path)
      else if (typeof value === 'object' && value !== null && Object.hasOwn(KEYS, path)) {
        for (const [key, part] of Object.entries(value)) {
          assert.ok(KEYS[path]?.includes(key), `${path}.${key}`)
          check(part, path === '' ? key : `${path}.${key}`)
        }
      }
    }
    check(policy, '')
    assert.equal(policy?.spec.matchConstraints.resourceRules, [
      {
        apiGroups: [''],
        apiVersions: ['v1'],
        resources: ['pods', 'pods/*'],
        operations: ['CREATE', 'UPDATE', 'DELETE'],
        scope: 'Namespaced',
      },
    ])
    assert.is(policy?.spec.failurePolicy, 'Fail')
    assert.equal(
      [binding?.kind, binding?.spec],
      [
        'ValidatingAdmissionPolicyBinding',
        { policyName: policy?.metadata.name, validationActions: ['Deny'] },
      ],
    )
  })

  it("is about the daemon's account, and nobody else", () => {
    const { name, namespace } = deployedObject('ServiceAccount').metadata
    const foreign = { before: podOn('worker-2') }
    assert.match(refusalOf({ ...foreign, user: `system:serviceaccount:${namespace}:${name}` }) ?? '', 'alone')
    assert.is(refusalOf({ ...foreign, user: 'system:node:worker-1' }), undefined)
    assert.is(refusalOf({ ...foreign, user: 'admin', tokenNode: null }), undefined)
  })

  it('lets the daemon write the status of a pod of its node, with network-status', () => {
    const before = podOn('worker-1', { labels: { app: 'upf' }, annotations: { a: 'b', [STATUS]: '[]' } })
    const now = podOn('worker-1', { labels: { app: 'upf' }, annotations: { a: 'b', [STATUS]: '[{}]' } })
    assert.is(refusalOf({ before, now }), undefined)
    assert.is(refusalOf({}), undefined)
    assert.is(refusalOf({ now: podOn('worker-1', { annotations: { [STATUS]: '[]' } }) }), undefined)
    const bare = podOn('worker-1')
    assert.is(
      refusalOf({ before: podOn('worker-1', { annotations: { [STATUS]: '[]' } }), now: bare }),
      undefined,
    )
  })

  it('refuses pods of other nodes, of none, and a token that says no node', () => {
    const words = 'the daemon of node "worker-1" may write pods of that node alone, not of'
    assert.is(refusalOf({ before: podOn('worker-2') }), `${words} "worker-2"`)
    assert.is(refusalOf({ before: podOn(undefined) }), `${words} ""`)
    assert.is(refusalOf({ before: podOn('worker-2'), now: podOn('worker-1') }), `${words} "worker-2"`)
    assert.match(refusalOf({ tokenNode: null }) ?? '', 'does not say which node')
    assert.match(refusalOf({ tokenNode: null, before: podOn(undefined) }) ?? '', 'does not say which node')
    assert.match(refusalOf({ tokenNode: '', before: podOn(undefined) }) ?? '', 'does not say which node')
  })

  it('refuses everything but an update of the status', () => {
    assert.match(refusalOf({ subResource: '' }) ?? '', 'nothing else of it')
    assert.match(refusalOf({ subResource: 'ephemeralcontainers' }) ?? '', 'nothing else of it')
    assert.match(refusalOf({ operation: 'DELETE', subResource: '', now: null }) ?? '', 'nothing else of it')
    assert.match(
      refusalOf({ operation: 'CREATE', subResource: '', before: null, now: podOn('worker-1') }) ?? '',
      'alone',
    )
  })

  it('refuses other labels and annotations', () => {
    const before = podOn('worker-1', { labels: { app: 'upf' }, annotations: { a: 'b' } })
    const changed = (metadata: object): string =>
      refusalOf({ before, now: podOn('worker-1', metadata) }) ?? ''
    const annotations = { a: 'b' }
    const labels = { app: 'upf' }
    assert.is(changed({ labels, annotations }), '')
    for (const other of [{ app: 'other' }, { app: 'upf', more: '' }, {}, undefined])
      assert.match(
        changed(other === undefined ? { annotations } : { labels: other, annotations }),
        'may not change the labels',
      )
    assert.match(changed({ labels, annotations: { a: 'c' } }), 'may not set other annotations')
    assert.match(changed({ labels, annotations: { a: 'b', c: 'd' } }), 'may not set other annotations')
    assert.match(changed({ labels, annotations: { [STATUS]: '' } }), 'may not remove annotations')
    assert.match(changed({ labels }), 'may not remove annotations')
    const bare = podOn('worker-1')
    assert.match(
      refusalOf({ before: bare, now: podOn('worker-1', { labels }) }) ?? '',
      'may not change the labels',
    )
    assert.match(
      refusalOf({ before: bare, now: podOn('worker-1', { annotations }) }) ?? '',
      'may not set other',
    )
  })

  it('refuses other finalizers, which keep a pod from going or let it go', () => {
    const finalizers = ['example.com/a', 'example.com/b']
    const before = podOn('worker-1', { finalizers })
    const refusal = (old: object, now: object): string | undefined => refusalOf({ before: old, now })
    assert.is(refusal(before, podOn('worker-1', { finalizers: [...finalizers] })), undefined)
    for (const other of [['example.com/a'], [...finalizers, 'example.com/c'], []])
      assert.is(
        refusal(before, podOn('worker-1', { finalizers: other })),
        'the daemon may not change the finalizers of a pod',
      )
    assert.match(refusal(before, podOn('worker-1')) ?? '', 'finalizers')
    assert.match(refusal(podOn('worker-1'), before) ?? '', 'finalizers')
  })
})

spec('the evaluator of policies', (it) => {
  const given = { a: { b: 'x', 'c/d': ['y'] }, n: null, yes: true }
  const cases: readonly (readonly [expression: string, value: unknown])[] = [
    ["a.b == 'x' && 'y' in a['c/d']", true],
    ["'c/d' in a && a['c/d'][0] == \"y\"", true],
    ['has(a.b) && !has(a.z)', true],
    ["yes ? 'p' + a.b : 'q'", 'px'],
    ["a.z == 'x' || yes", true],
    ["yes || a.z == 'x'", true],
    ["a.z == 'x' && !yes", false],
    ['n == null && a != null', true],
    ["a.all(key, key == 'b' || key == 'c/d')", true],
    ["a.all(key, key == 'b')", false],
    ['!(yes && false) == true', true],
  ]
  for (const [expression, value] of cases)
    it(expression, () => assert.equal(evaluateCel(expression, given), value))

  const errors = [
    "a.z == 'x'",
    "a.z == 'x' && yes",
    "a.z == 'x' || !yes",
    'has(a.z.y)',
    'z',
    "'x' && yes",
    'a.size()',
    '1 +',
    '(1',
    'a b',
  ]
  for (const expression of errors)
    it(`an error: ${expression}`, () => assert.throws(() => evaluateCel(expression, given)))
})
