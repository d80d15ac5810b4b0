import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { isJsonObject } from '../../src/cni/json.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { planAttachments } from '../../src/plan/plan-attachments.ts'
import { type Random, seededRandom } from '../cni/random.ts'
import { spec } from '../spec.ts'
import { hostFacts, netConf, type PlanCase, planInput, planPod, pod } from './plan-input.ts'

const NAMES = ['a', 'b', 'c', 'n-6', 'x.y'] as const
const IF_NAMES = ['net1', 'net2', 'eth0', 'x0', 'net_1', 'eth0.100'] as const

/** Text pieces of which most annotations are broken. */
const PIECES = [
  'a',
  'b',
  'other',
  '/',
  '@',
  ',',
  ' ',
  '\n',
  '[',
  ']',
  '{',
  '}',
  '"',
  'x0',
  'Net',
  '\0',
  'name',
] as const

/** One element that is well-formed, though the network may not be able to do what it asks. */
function element(random: Random): Record<string, unknown> {
  const made: Record<string, unknown> = { name: random.pick(NAMES) }
  if (random.below(4) === 0) made.namespace = random.pick(['telco', 'other', 'default'])
  if (random.below(3) === 0) made.interface = random.pick(IF_NAMES)
  if (random.below(4) === 0) made.ips = ['10.0.0.5/24']
  if (random.below(4) === 0) made.mac = '02:00:00:00:00:0a'
  if (random.below(4) === 0) made['cni-args'] = { n: random.below(9) }
  if (random.below(5) === 0) made['default-route'] = random.pick([[], ['10.0.0.1'], ['fd00::1']])
  if (random.below(5) === 0) made['io.plexus-cni.optional'] = true
  return made
}

const CONFIGS = [
  { cniVersion: '1.0.0', type: 'bridge', capabilities: { ips: true, mac: true } },
  { cniVersion: '0.3.1', name: 'other-name', type: 'macvlan', master: 'net1', ipam: { type: 'host-local' } },
  { cniVersion: '1.0.0', plugins: [{ type: 'bridge' }, { type: 'tuning', capabilities: { mac: true } }] },
  { cniVersion: '1.0.0', type: 'ovs' },
  { type: 7 },
  { cniVersion: '9.9.9', type: 'bridge' },
] as const

function planCase(random: Random): PlanCase {
  const nads = Object.fromEntries(
    ['telco', 'other', 'default'].flatMap((namespace) =>
      NAMES.map((name) => [
        `${namespace}/${name}`,
        random.below(3) > 0 ? CONFIGS[0] : random.pick<unknown>(CONFIGS),
      ]),
    ),
  )
  const elements = Array.from({ length: random.below(4) }, () => element(random))
  return {
    conf: netConf({ namespaceIsolation: random.chance(), strictCapabilities: random.chance() }),
    pod: pod(elements, random.below(5) === 0 ? [element(random)] : undefined),
    nads,
    args: random.chance() ? '' : 'K8S_POD_NAMESPACE=telco;K8S_POD_NAME=p',
    facts: random.below(4) === 0 ? undefined : hostFacts({ links: random.chance() ? ['lo'] : ['lo', 'x0'] }),
  }
}

/** The plan, or the typed error that the annotation gives; anything else fails the test. */
function outcome(given: PlanCase): Plan | CniError {
  try {
    return planPod(given)
  } catch (error) {
    if (error instanceof CniError && error.code === CniErrorCode.InvalidNetworkConfig) return error
    throw error
  }
}

/** The same value, with every object made in another order of keys. */
function shuffled(value: unknown, random: Random): unknown {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, random))
  if (value instanceof Map) return new Map([...value].reverse())
  if (!isJsonObject(value) || value instanceof Error) return value
  const rest = Object.entries(value)
  const entries: [string, unknown][] = []
  while (rest.length > 0) entries.push(...rest.splice(random.below(rest.length), 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, shuffled(item, random)]))
}

spec('plan, generated', (it) => {
  it('any annotation gives a plan or the typed error', () => {
    const random = seededRandom(1)
    let planned = 0
    let refused = 0
    for (let round = 0; round < 5000; round++) {
      const text = Array.from({ length: random.below(8) }, () => random.pick(PIECES)).join('')
      const found = outcome({ pod: pod(text, random.below(4) === 0 ? text : undefined) })
      if (found instanceof CniError) refused++
      else planned++
    }
    assert.ok(planned > 500 && refused > 500, `${planned} planned, ${refused} refused`)
  })

  it('a plan without faults holds together: order, unique names, strict args, only declared capabilities', () => {
    const random = seededRandom(2)
    let good = 0
    for (let round = 0; round < 3000; round++) {
      const found = outcome(planCase(random))
      if (found instanceof CniError || found.faults.length > 0) continue
      good++
      const { attachments } = found
      assert.is(attachments[0]?.isDefault, true)
      assert.is(attachments[0]?.ifName, 'eth0')
      const names = attachments.map(({ ifName }) => ifName)
      assert.is(new Set(names).size, names.length, names.join())
      const places = attachments.map(({ index }) => index)
      assert.equal(
        places,
        [...places].sort((left, right) => left - right),
      )
      for (const { index, args, plugins, waitsFor, reasons } of attachments) {
        assert.ok(args === '' || args.split('IgnoreUnknown=1').length === 2, args)
        assert.ok(waitsFor.every((other) => other < index && places.includes(other)))
        assert.ok(reasons.length >= 3)
        for (const { conf, runtimeConfig } of plugins) {
          const declared = isJsonObject(conf.capabilities) ? conf.capabilities : {}
          for (const key of Object.keys(runtimeConfig ?? {})) assert.is(declared[key], true, key)
        }
      }
    }
    assert.ok(good > 300, String(good))
  })

  it('the same input gives the same plan, and is left as it was', () => {
    const random = seededRandom(3)
    for (let round = 0; round < 500; round++) {
      const given = planCase(random)
      const first = outcome(given)
      assert.equal(outcome(given), first)
      if (first instanceof CniError) continue
      const input = planInput(given)
      const before = structuredClone(input.networks.map(({ conflist }) => conflist))
      planAttachments(input)
      assert.equal(
        input.networks.map(({ conflist }) => conflist),
        before,
      )
    }
  })

  it('the order in which objects were made does not matter', () => {
    const random = seededRandom(4)
    let compared = 0
    for (let round = 0; round < 500; round++) {
      const given = planCase(random)
      const first = outcome(given)
      if (first instanceof CniError) continue
      const input = planInput(given)
      const again = planAttachments(shuffled(input, random) as typeof input)
      // uvu compares objects without regard to the order of their keys.
      assert.equal(again.attachments, first.attachments)
      assert.equal(again.warnings, first.warnings)
      assert.equal(
        again.faults.map(({ code, message, hint }) => [code, message, hint]),
        first.faults.map(({ code, message, hint }) => [code, message, hint]),
      )
      compared++
    }
    assert.ok(compared > 200, String(compared))
  })
})
