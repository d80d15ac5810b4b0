import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { parseRequest } from '../../src/cni/request.ts'
import { serveHttp } from '../../src/daemon/http.ts'
import { type Metrics, openMetrics } from '../../src/daemon/metrics.ts'
import { spec } from '../spec.ts'
import { codeOf, readDocument, sectionOf, tableRows } from './markdown.ts'

const text = readDocument('docs/metrics.md')
const rows = tableRows(sectionOf(text, 'Series'), 'Series')
const NONE = '–'

/** A registry in which every series has a value. */
function filledMetrics(): Metrics {
  const metrics = openMetrics({
    version: '1.2.3',
    running: () => 1,
    waiting: () => 2,
    journal: async () => ({ records: 3, bytes: 300 }),
    errands: () => 4,
    publications: () => 6,
    agents: () => 5,
    isConfValid: () => true,
    isReady: async () => true,
    droppedLogLines: () => 5,
  })
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/p',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
  }
  const report = { conf: undefined, warnings: [], queueMs: 1, durationMs: 3 }
  const call = { network: 'n6', plugin: 'bridge', command: 'ADD', ifName: 'eth0', startMs: 1, durationMs: 1 }
  const request = parseRequest(env, '{"cniVersion":"1.0.0","name":"node-net","type":"plexus"}')
  metrics.observe({ ...report, request, error: undefined, calls: [call, { ...call, error: 105 }] })
  metrics.eventLoopDelay(0.001)
  metrics.observe({
    ...report,
    request: undefined,
    error: new CniError(CniErrorCode.TryAgainLater, 'no'),
    calls: [],
  })
  metrics.errand('undone')
  metrics.errand('failed')
  for (const outcome of ['published', 'kept', 'gone', 'failed', 'cancelled', 'deferred'] as const)
    metrics.publication(outcome)
  for (const outcome of ['sent', 'suppressed', 'dropped'] as const) metrics.event(outcome)
  return metrics
}

/** Name, type and labels of every series as a scraper sees them. */
async function seriesOf({ registry }: Metrics): Promise<{ name: string; type: string; labels: string }[]> {
  const all = await registry.getMetricsAsJSON()
  return all.map(({ name, type, values }) => {
    const labels = values.flatMap((value) => Object.keys(value.labels)).filter((label) => label !== 'le')
    return { name, type: String(type), labels: [...new Set(labels)].sort().join(',') }
  })
}

/** Values of a label, of all series or of those whose name begins so. */
function valuesOf(exposition: string, label: string, series = ''): string[] {
  const found = [...exposition.matchAll(new RegExp(`^${series}[^ ]*[{,]${label}="([^"]*)"`, 'gm'))].map(
    (match) => match[1] ?? '',
  )
  return [...new Set(found)]
}

spec('docs/metrics.md', (it) => {
  it('has a row for every series that the daemon makes, with its type and labels, and no other', async () => {
    const described = rows.map(({ Series, Type = '', Labels = '' }) => ({
      name: codeOf(Series),
      type: Type,
      labels: Labels === NONE ? '' : Labels.split(', ').map(codeOf).sort().join(','),
    }))
    const byName = (left: { name: string }, right: { name: string }): number =>
      left.name < right.name ? -1 : 1
    assert.equal(described.sort(byName), (await seriesOf(filledMetrics())).sort(byName))
  })

  it('says of every series what it means and when to look', () => {
    for (const row of rows) {
      assert.match(row.Meaning ?? '', /\.$/)
      assert.match(row['When to look'] ?? '', /\.$/)
    }
  })

  it('names every value of the labels that are ours', async () => {
    const exposition = await filledMetrics().registry.metrics()
    for (const label of ['phase', 'outcome']) {
      const labelled = rows.filter(({ Labels = '' }) => Labels.includes(`\`${label}\``))
      assert.ok(labelled.length > 0, label)
      for (const { Series, Meaning = '' } of labelled) {
        const values = valuesOf(exposition, label, codeOf(Series))
        assert.ok(values.length > 1, Series)
        for (const value of values) assert.match(Meaning, `\`${value}\``)
      }
    }
    assert.equal(valuesOf(exposition, 'command').sort(), ['ADD', 'unknown'])
  })

  it('every endpoint that it lists answers, and what is no endpoint names exactly these', async () => {
    const { registry } = filledMetrics()
    const readiness = async () => ({ isReady: false, reason: 'the daemon is stopping' })
    const http = await serveHttp({ host: '127.0.0.1', port: 0 }, { readiness, registry }, assert.unreachable)
    try {
      const get = async (path: string): Promise<[number, string]> => {
        const response = await fetch(`http://127.0.0.1:${http.port}${path}`)
        return [response.status, await response.text()]
      }
      const endpoints = tableRows(text, 'Endpoint').map(({ Endpoint }) => codeOf(Endpoint))
      for (const endpoint of endpoints)
        assert.is((await get(endpoint))[0], endpoint === '/readyz' ? 503 : 200, endpoint)
      assert.match((await get('/readyz'))[1], 'the daemon is stopping')
      const [status, others] = await get('/')
      assert.is(status, 404)
      assert.equal(others.match(/\/[a-z]+/g), endpoints)
    } finally {
      http.close()
    }
  })
})
