import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { ifNameFault } from '../../src/cni/if-name.ts'
import { objectNameFault } from '../../src/cni/object-name.ts'
import { parseSelectionElements, type Selection } from '../../src/network/selection-element.ts'
import { spec } from '../spec.ts'

const options = { annotation: 'k8s.v1.cni.cncf.io/networks', namespace: 'telco' }

/** Pseudo-random numbers from 0 to 1 (mulberry32), the same at each run. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** The elements, or the typed error; anything else that is thrown fails the test. */
function outcome(text: string): Selection | CniError {
  try {
    return parseSelectionElements(text, options)
  } catch (error) {
    if (error instanceof CniError) return error
    throw new Error(`${JSON.stringify(text)} threw ${String(error)}`)
  }
}

function check(text: string): 'accepted' | 'refused' {
  const found = outcome(text)
  if (found instanceof CniError) {
    assert.is(found.code, CniErrorCode.InvalidNetworkConfig, text)
    assert.ok(found.faults.length > 0, text)
    for (const fault of found.faults)
      assert.match(fault, /at \d+:\d+: |list of objects|where a list is wanted/)
    return 'refused'
  }
  for (const element of found.elements) {
    assert.is(objectNameFault(element.name), undefined, text)
    assert.is(objectNameFault(element.namespace), undefined, text)
    if (element.interface !== undefined) assert.is(ifNameFault(element.interface), undefined, text)
  }
  assert.equal(outcome(text), found)
  return 'accepted'
}

const PIECES = [
  'net-a',
  'a',
  'b',
  'other',
  'x0',
  'Net_A',
  '/',
  '@',
  ',',
  ' ',
  '\n',
  '\t',
  '\0',
  ':',
  '.',
  '-',
  '_',
  '🙂',
  '\ud800',
  '[',
  ']',
  '{',
  '}',
  '"',
  '\\',
  "'",
  '\u0085',
  'null',
  'true',
  '1',
  '-',
  'e9',
  '"name"',
  '"name":"a"',
  '{"name":"a"}',
  '"ips":["10.0.0.5/24"]',
  '"mac":"02:00:00:00:00:01"',
  '"__proto__":{}',
  '"default-route":[]',
  '\\u0000',
  '/*',
  '0x1',
]

const KEYS = [
  'name',
  'namespace',
  'interface',
  'interfaceRequest',
  'ips',
  'mac',
  'infiniband-guid',
  'portMappings',
  'bandwidth',
  'cni-args',
  'default-route',
  'ipam-claim-reference',
  'deviceID',
  'io.plexus-cni.optional',
  'io.plexus-cni.timeout',
  'org.example.x',
  'constructor',
  '__proto__',
  'toString',
  '',
]

const VALUES: unknown[] = [
  null,
  true,
  0,
  1,
  -1,
  1.5,
  '',
  'a',
  'Net_A',
  '10.0.0.5',
  '10.0.0.5/24',
  '::1',
  '02:00:00:00:00:01',
  '10s',
  [],
  [''],
  ['10.0.0.1'],
  ['10.0.0.1/24'],
  [[]],
  [null],
  {},
  { hostPort: 1, containerPort: 2 },
  [{ hostPort: 1, containerPort: 2 }],
  { ingressRate: 1 },
  { toString: 1 },
  { length: 3 },
  '\ud800',
  '🙂',
]

spec('networks annotation, generated', (it) => {
  it('any text gives elements or the typed error with places, and the same at each try', () => {
    const random = generator(1)
    const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
    const seen = { accepted: 0, refused: 0 }
    for (let round = 0; round < 20_000; round++) {
      let text = ''
      for (let length = random() * 10; length > 0; length--) text += pick(PIECES)
      seen[check(text)] += 1
    }
    assert.ok(seen.accepted > 500 && seen.refused > 500, JSON.stringify(seen))
  })

  it('any JSON of the right outline gives elements or the typed error', () => {
    const random = generator(2)
    const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)]
    const seen = { accepted: 0, refused: 0 }
    for (let round = 0; round < 20_000; round++) {
      const elements = Array.from({ length: Math.floor(random() * 3) + 1 }, () => {
        const members = Array.from({ length: Math.floor(random() * 4) }, () => [pick(KEYS), pick(VALUES)])
        return { name: 'a', ...Object.fromEntries(members) }
      })
      seen[check(JSON.stringify(elements))] += 1
    }
    assert.ok(seen.accepted > 500 && seen.refused > 500, JSON.stringify(seen))
  })

  it('a valid annotation with one character changed gives elements or the typed error', () => {
    const random = generator(3)
    const valid = JSON.stringify([
      { name: 'a', ips: ['10.0.0.5/24'], mac: '02:00:00:00:00:01', 'cni-args': { k: [1, { l: null }] } },
      { name: 'b', portMappings: [{ hostPort: 80, containerPort: 8080 }], 'default-route': ['10.0.0.1'] },
    ])
    const seen = { accepted: 0, refused: 0 }
    for (let round = 0; round < 5000; round++) {
      const at = Math.floor(random() * valid.length)
      const character = String.fromCharCode(Math.floor(random() * 128))
      seen[check(valid.slice(0, at) + character + valid.slice(at + (random() < 0.5 ? 0 : 1)))] += 1
    }
    assert.ok(seen.accepted > 100 && seen.refused > 1000, JSON.stringify(seen))
  })

  it('an annotation as long as Kubernetes allows is read in a time that grows with its length', () => {
    const limit = 256 * 1024
    const started = performance.now()
    for (const text of [
      ','.repeat(limit),
      'a,'.repeat(limit / 2),
      '['.repeat(limit),
      `[{"name":"a","org.x":"${'x'.repeat(limit)}"}]`,
      `[{${'"k":1,'.repeat(limit / 6)}"name":"a"}]`,
    ]) {
      outcome(text)
    }
    // What grows with the square takes many minutes.
    assert.ok(performance.now() - started < 60_000, `${performance.now() - started} ms`)
  })
})
