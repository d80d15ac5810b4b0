import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { openWebhookMetrics } from '../../src/webhook/metrics.ts'
import { evaluateCel } from '../rig/cel.ts'
import { deployedObjects } from '../rig/deployment.ts'
import { spec } from '../spec.ts'
import { codeOf, fencedBlocks, readDocument, sectionOf, tableRows } from './markdown.ts'

const text = readDocument('docs/admission.md')

spec('docs/admission.md', (it) => {
  it('has a row for every series of the webhook, with its type and labels, and no other', async () => {
    const metrics = openWebhookMetrics({ isReady: () => true, expiresAt: () => new Date() })
    metrics.observe('validate', 'allowed', 0.001)
    const series = (await metrics.registry.getMetricsAsJSON()).map(({ name, type, values }) => {
      const labels = values.flatMap((value) => Object.keys(value.labels)).filter((label) => label !== 'le')
      return `${name} ${type} ${[...new Set(labels)].sort().join(',')}`
    })
    const rows = tableRows(sectionOf(text, 'Watching it'), 'Series').map(({ Series, Type, Labels = '' }) => {
      const labels = Labels === '–' ? [] : Labels.split(', ').map(codeOf).sort()
      return `${codeOf(Series)} ${Type} ${labels.join(',')}`
    })
    assert.equal(rows.sort(), series.sort())
  })

  it('has a row for every right of the webhook, and no other', () => {
    const role = deployedObjects('deploy/webhook/base').find(({ kind }) => kind === 'ClusterRole')
    const rights = role?.rules.map(({ apiGroups, resources, verbs }: Record<string, string[]>) => {
      const group = apiGroups?.[0] === '' ? '' : `.${apiGroups?.[0]}`
      return `\`${verbs?.join(', ')}\` on \`${resources?.[0]}${group}\``
    })
    assert.equal(
      tableRows(sectionOf(text, 'Its rights'), 'Right').map(({ Right }) => Right),
      rights,
    )
  })

  it('its match condition is true of pods that name networks, and of no others', () => {
    const [block] = fencedBlocks(sectionOf(text, 'When it is down'))
    const [condition] = (parse(block?.text ?? '') as { matchConditions: { expression: string }[] })
      .matchConditions
    const holds = (metadata: object): unknown =>
      evaluateCel(condition?.expression ?? '', { object: { metadata } })
    assert.is(holds({ annotations: { 'k8s.v1.cni.cncf.io/networks': 'a' } }), true)
    assert.is(holds({ annotations: { 'v1.multus-cni.io/default-network': 'a' } }), true)
    assert.is(holds({ annotations: { other: 'a' } }), false)
    assert.is(holds({}), false)
  })
})
