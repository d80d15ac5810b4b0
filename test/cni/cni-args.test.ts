import * as assert from 'uvu/assert'
import { type CniArgs, formatCniArgs, parseCniArgs, podIdentity, withCniArg } from '../../src/cni/cni-args.ts'
import { spec } from '../spec.ts'
import { thrownBy } from './thrown.ts'

const parsed: [title: string, text: string, expected: CniArgs][] = [
  ['CNI-016 an empty text has no pairs', '', []],
  ['CNI-016 a trailing semicolon is tolerated', 'A=1;', [['A', '1']]],
  [
    'CNI-018 empty pieces are ignored',
    ';;A=1;;B=2',
    [
      ['A', '1'],
      ['B', '2'],
    ],
  ],
  ['CNI-018 a value may contain an equals sign', 'A=1=2', [['A', '1=2']]],
  ['CNI-018 an empty value is kept', 'A=', [['A', '']]],
  [
    'CNI-018 unknown keys and their order are kept',
    'X=1;IgnoreUnknown=true;Y=2',
    [
      ['X', '1'],
      ['IgnoreUnknown', 'true'],
      ['Y', '2'],
    ],
  ],
]

const formatted: [title: string, args: CniArgs, expected: string][] = [
  ['CNI-020 no pairs give an empty text', [], ''],
  ['CNI-020 IgnoreUnknown is added', [['MAC', '02:00:00:00:00:01']], 'MAC=02:00:00:00:00:01;IgnoreUnknown=1'],
  [
    'CNI-020 a true IgnoreUnknown keeps its place and text',
    [
      ['IgnoreUnknown', 'TRUE'],
      ['A', '1'],
    ],
    'IgnoreUnknown=TRUE;A=1',
  ],
  [
    'CNI-020 a second IgnoreUnknown is dropped',
    [
      ['IgnoreUnknown', '1'],
      ['A', '1'],
      ['IgnoreUnknown', 'true'],
    ],
    'IgnoreUnknown=1;A=1',
  ],
  [
    'CNI-017 a false IgnoreUnknown gives way to a true one',
    [
      ['IgnoreUnknown', '0'],
      ['A', '1'],
    ],
    'A=1;IgnoreUnknown=1',
  ],
  [
    'CNI-017 a false IgnoreUnknown before a true one is dropped',
    [
      ['IgnoreUnknown', 'false'],
      ['IgnoreUnknown', '1'],
    ],
    'IgnoreUnknown=1',
  ],
  ['CNI-017 keys are case-sensitive', [['ignoreunknown', '1']], 'ignoreunknown=1;IgnoreUnknown=1'],
]

spec('CNI_ARGS', (it) => {
  for (const [title, text, expected] of parsed) it(title, () => assert.equal(parseCniArgs(text), expected))

  it('CNI-018 every piece without an equals sign is named in one error', () => {
    const error = thrownBy(() => parseCniArgs('A;B=1;C'))
    assert.is(error.code, 4)
    assert.match(error.message, 'invalid pair "A"')
    assert.match(error.message, 'invalid pair "C"')
  })

  for (const [title, args, expected] of formatted) it(title, () => assert.is(formatCniArgs(args), expected))

  for (const pair of [
    ['A', '1=2'],
    ['A', '1;2'],
    ['A=', '1'],
    ['A;', '1'],
  ] as const) {
    it(`CNI-018 the pair ${pair.join('=')} has no strict form`, () => {
      assert.is(thrownBy(() => formatCniArgs([pair])).code, 4)
    })
  }

  it('CNI-018 pairs with unknown keys survive a round trip', () => {
    const text = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=telco;K8S_POD_NAME=upf-0;MY_KEY=x'
    assert.is(formatCniArgs(parseCniArgs(text)), text)
  })

  it('CNI-020 a key that is there is replaced in its place, with its repetitions', () => {
    const args = parseCniArgs('A=1;MAC=old;B=2;MAC=older')
    assert.is(formatCniArgs(withCniArg(args, 'MAC', 'new')), 'A=1;MAC=new;B=2;IgnoreUnknown=1')
    assert.is(args.length, 4, 'the original is not changed')
  })

  it('CNI-020 a key that is not there comes last', () => {
    assert.equal(withCniArg([['A', '1']], 'IP', '10.0.0.1'), [
      ['A', '1'],
      ['IP', '10.0.0.1'],
    ])
  })
})

const pod = 'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=upf-0'
const badPods = [
  'K8S_POD_NAMESPACE=../etc;K8S_POD_NAME=a',
  'K8S_POD_NAMESPACE=a.b;K8S_POD_NAME=a',
  `K8S_POD_NAMESPACE=${'n'.repeat(64)};K8S_POD_NAME=a`,
  'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=..',
  'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=a/b',
  'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=Upf',
  'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=upf-',
  'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=a\n',
  `K8S_POD_NAMESPACE=telco;K8S_POD_NAME=${'n'.repeat(254)}`,
]

spec('pod identity', (it) => {
  it('CNI-019 all four keys are read', () => {
    assert.equal(
      podIdentity(parseCniArgs(`IgnoreUnknown=1;${pod};K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1`)),
      {
        namespace: 'telco',
        name: 'upf-0',
        uid: 'u1',
        infraContainerId: 'c1',
      },
    )
  })

  it('CNI-019 a pod name may have dots', () => {
    assert.is(
      podIdentity(parseCniArgs('K8S_POD_NAMESPACE=telco;K8S_POD_NAME=etcd-node.example.org'))?.name,
      'etcd-node.example.org',
    )
  })

  for (const text of ['', 'K8S_POD_NAME=a', 'K8S_POD_NAMESPACE=a', 'K8S_POD_NAMESPACE=;K8S_POD_NAME=a']) {
    it(`CNI-019 "${text}" names no pod`, () => assert.is(podIdentity(parseCniArgs(text)), undefined))
  }

  it('CNI-019 of a repeated key the last one counts', () => {
    assert.is(podIdentity(parseCniArgs(`${pod};K8S_POD_NAME=other`))?.name, 'other')
  })

  for (const text of badPods) {
    it(`CNI-019 ${JSON.stringify(text.slice(0, 60))} cannot become a path`, () => {
      const error = thrownBy(() => podIdentity(parseCniArgs(text)))
      assert.is(error.code, 4)
      assert.match(error.message, /no DNS-1123|at most (63|253) are allowed/)
    })
  }
})
