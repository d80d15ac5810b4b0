import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { openJournalSize } from '../../src/daemon/journal-size.ts'
import { openMetrics } from '../../src/daemon/metrics.ts'
import { codeOf, readDocument, sectionOf, tableRows } from '../docs/markdown.ts'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { atEnd } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** The value of one series in the text of /metrics. */
function seriesValue(text: string, series: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
  return Number(line?.slice(series.length))
}

spec("the daemon's metrics", (it) => {
  it('every series of docs/metrics.md is served, and no other', async () => {
    const node = await stubNode()
    const daemon = await installDaemon(node).start()
    const { body } = await daemon.get('/metrics')
    const served = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
    const rows = tableRows(sectionOf(readDocument('docs/metrics.md'), 'Series'), 'Series')
    assert.equal(served.sort(), rows.map(({ Series, Type }) => `${codeOf(Series)} ${Type}`).sort())
    for (const series of served) {
      const [name = '', type] = series.split(' ')
      assert.is(name.endsWith('_total'), type === 'counter', series)
    }
    assert.is(await daemon.stop(), 0)
  })

  it('tells of real requests: verbs, codes, phases, plugins, the journal, the process', async () => {
    const node = await stubNode()
    const { shim: executable, socket, start } = installDaemon(node)
    const daemon = await start()
    const metrics = async (): Promise<string> => (await daemon.get('/metrics')).body
    assert.is(seriesValue(await metrics(), 'plexus_journal_records'), 0)
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    // The journal is not counted anew at each look, and a request is counted after its answer.
    await eventually(async () => {
      const text = await metrics()
      assert.is(seriesValue(text, 'plexus_journal_records'), 1)
      assert.is(seriesValue(text, 'plexus_requests_total{command="ADD",code="0"}'), 1)
    }, 60_000)
    const text = await metrics()
    assert.ok(seriesValue(text, 'plexus_journal_size_bytes') > 500)
    for (const plugin of ['primary', 'alpha', 'beta'])
      assert.is(
        seriesValue(text, `plexus_delegate_duration_seconds_count{plugin="${plugin}",command="ADD"}`),
        1,
      )
    const phase = (name: string): number =>
      seriesValue(text, `plexus_request_duration_seconds_sum{command="ADD",phase="${name}"}`)
    assert.ok(phase('delegates') > 0 && phase('plan') + phase('own') > 0)
    assert.ok(seriesValue(text, 'process_cpu_seconds_total') > 0)
    assert.ok(seriesValue(text, 'process_resident_memory_bytes') > 1e7)
    assert.ok(seriesValue(text, 'process_open_fds') > 5)
    assert.ok(Math.abs(seriesValue(text, 'process_start_time_seconds') - Date.now() / 1000) < 300)
    assertDone(await pod.run('DEL', { executable }))
    const stranger = connect(socket)
    stranger.on('error', () => undefined).end('no shim')
    await eventually(async () => {
      const after = await metrics()
      assert.is(seriesValue(after, 'plexus_journal_records'), 0)
      for (const command of ['ADD', 'DEL'])
        assert.is(seriesValue(after, `plexus_requests_total{command="${command}",code="0"}`), 1)
    }, 60_000)
    assert.is(await daemon.stop(), 0)
  })

  it('the event-loop delay is near 0 when idle, whoever scrapes', async () => {
    const node = await stubNode()
    const daemon = await installDaemon(node).start()
    const scrape = async (): Promise<{ count: number; sum: number; prompt: number }> => {
      const { body } = await daemon.get('/metrics')
      const of = (what: string): number => seriesValue(body, `plexus_event_loop_delay_seconds_${what}`)
      return { count: of('count'), sum: of('sum'), prompt: of('bucket{le="0.005"}') }
    }
    const first = await scrape()
    // None would be prompt if the 20 ms between two looks were part of it.
    await eventually(async () => {
      const last = await scrape()
      assert.ok(last.count > first.count + 20 && last.prompt > first.prompt, JSON.stringify({ first, last }))
    })
    const last = await scrape()
    // A daemon that cannot run is late.
    daemon.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 600))
    daemon.kill('SIGCONT')
    await eventually(async () => assert.ok((await scrape()).sum > last.sum + 0.4))
    assert.is(await daemon.stop(), 0)
  })

  it('names from pods and codes from plugins make a bounded number of series', async () => {
    const metrics = openMetrics({
      version: '',
      running: () => 0,
      waiting: () => 0,
      journal: () => Promise.reject(new Error('unreadable')),
      errands: () => 0,
      publications: () => 0,
      agents: () => 0,
      isConfValid: () => true,
      isReady: async () => true,
      droppedLogLines: () => 0,
    })
    const call = { network: 'n', command: 'ADD', ifName: 'net1', startMs: 0, durationMs: 1 }
    for (let index = 0; index < 1000; index++) {
      metrics.observe({
        request: undefined,
        conf: undefined,
        error: new CniError((1000 + index) as CniErrorCode, 'no'),
        warnings: [],
        queueMs: 0,
        durationMs: 1,
        calls: [{ ...call, plugin: `p${index}`, error: index }],
      })
    }
    metrics.observe({
      request: undefined,
      conf: undefined,
      error: new CniError(CniErrorCode.TryAgainLater, 'no'),
      warnings: [],
      queueMs: 0,
      durationMs: 1,
      calls: [{ ...call, plugin: 'p0"\n', error: 5 }],
    })
    const text = await metrics.registry.metrics()
    assert.ok(text.split('\n').length < 1000, `${text.split('\n').length} lines`)
    assert.is(seriesValue(text, 'plexus_requests_total{command="unknown",code="other"}'), 1001 - 32)
    assert.match(text, 'plexus_delegate_failures_total{plugin="other",command="ADD",code="other"}')
    // The journal cannot be read: the other series are told all the same.
    assert.match(text, /^plexus_journal_records N[a]N$/im)
  })

  it('10,000 records are counted beside the requests, and not anew for each scrape', async () => {
    // In memory: making and removing so many takes a disk long.
    const stateDir = mkdtempSync('/dev/shm/plexus-journal-')
    atEnd(() => rmSync(stateDir, { recursive: true, force: true }))
    for (let index = 0; index < 10_000; index++) {
      mkdirSync(join(stateDir, `sandboxes/c${index}`), { recursive: true })
      writeFileSync(join(stateDir, `sandboxes/c${index}/eth0`), 'x'.repeat(100))
    }
    // Turns that others get meanwhile: none if it were counted in one go.
    let turns = 0
    let isOver = false
    const turn = (): void => {
      turns++
      if (!isOver && turns < 1000) setImmediate(turn)
    }
    turn()
    const count = openJournalSize(() => stateDir)
    const [one, other] = await Promise.all([count(), count()])
    isOver = true
    assert.equal(one, { records: 10_000, bytes: 1_000_000 })
    assert.is(other, one)
    assert.is(await count(), one, 'it was counted again')
    assert.ok(turns > 100, `the event loop had ${turns} turns`)
    const daemon = await installDaemon({ stateDir }).start()
    const { body } = await daemon.get('/metrics')
    assert.is(seriesValue(body, 'plexus_journal_records'), 10_000)
    assert.is(seriesValue(body, 'plexus_journal_size_bytes'), 1_000_000)
    assert.is(await daemon.stop(), 0)
  })

  it('a journal that goes while it is counted, or is not there, is no fault', async () => {
    const dir = tempDir('journal')
    assert.equal(await openJournalSize(() => dir)(), { records: 0, bytes: 0 })
    mkdirSync(join(dir, 'sandboxes/c1'), { recursive: true })
    writeFileSync(join(dir, 'sandboxes/c1/eth0'), 'x'.repeat(7))
    writeFileSync(join(dir, 'sandboxes/c1/.planned-1-1234567'), 'x')
    writeFileSync(join(dir, 'sandboxes/stray'), 'x')
    assert.equal(await openJournalSize(() => dir)(), { records: 1, bytes: 7 })
  })
})
