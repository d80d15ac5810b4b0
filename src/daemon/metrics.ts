import { readdirSync } from 'node:fs'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EventOutcome } from '../store/pod-events.ts'
import type { PublicationOutcome } from '../store/publications.ts'
import type { JournalSize } from './journal-size.ts'
import { phasesOf } from './phases.ts'
import type { RequestReport } from './session.ts'

/** What the daemon counts; `docs/metrics.md` lists every series. */
export interface Metrics {
  readonly registry: Registry
  observe(report: RequestReport): void
  errand(outcome: 'undone' | 'failed'): void
  publication(outcome: PublicationOutcome): void
  event(outcome: EventOutcome): void
  eventLoopDelay(seconds: number): void
}

/** State that is read when the metrics are scraped. */
export interface MetricSources {
  readonly version: string
  readonly running: () => number
  readonly waiting: () => number
  readonly journal: () => Promise<JournalSize>
  readonly errands: () => number
  readonly publications: () => number
  readonly agents: () => number
  readonly isConfValid: () => boolean
  readonly isReady: () => Promise<boolean>
  readonly droppedLogLines: () => number
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]
const DELAY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]

/** Names of plugins and codes of errors come from pods' configurations and from plugins; no series for each. */
const DISTINCT_VALUES = 32

/** Makes the daemon's metrics. */
export function openMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const codeLabel = boundedLabel(DISTINCT_VALUES)
  const delegateCodeLabel = boundedLabel(DISTINCT_VALUES)
  const pluginLabel = boundedLabel(DISTINCT_VALUES)
  const requests = new Counter({
    name: 'plexus_requests_total',
    help: 'CNI requests by verb and CNI error code (0 for success).',
    labelNames: ['command', 'code'],
    registers,
  })
  const durations = new Histogram({
    name: 'plexus_request_duration_seconds',
    help: 'Time of a request in the daemon by verb and phase: queue (waiting for its turn), plan (until the first delegate), delegates (some delegate runs), own (the rest).',
    labelNames: ['command', 'phase'],
    buckets: SECONDS,
    registers,
  })
  const calls = new Histogram({
    name: 'plexus_delegate_duration_seconds',
    help: 'Time of one call of a delegate by plugin and verb.',
    labelNames: ['plugin', 'command'],
    buckets: SECONDS,
    registers,
  })
  const delegateFailures = new Counter({
    name: 'plexus_delegate_failures_total',
    help: 'Calls of delegates that failed, by plugin, verb and CNI error code.',
    labelNames: ['plugin', 'command', 'code'],
    registers,
  })
  const errands = new Counter({
    name: 'plexus_errands_total',
    help: 'Undo work on other sandboxes, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const publications = new Counter({
    name: 'plexus_publications_total',
    help: 'Writes of network-status and condition to the API server, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const events = new Counter({
    name: 'plexus_events_total',
    help: 'Events about pods, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const loopDelay = new Histogram({
    name: 'plexus_event_loop_delay_seconds',
    help: 'How much later than due the event loop came to a timer of 20 ms.',
    buckets: DELAY_SECONDS,
    registers,
  })
  gauge(registers, 'plexus_adds_running', 'ADDs that are running.', sources.running)
  gauge(registers, 'plexus_adds_waiting', 'ADDs that wait for their turn.', sources.waiting)
  gauge(registers, 'plexus_agents_connected', 'Agents that are connected.', sources.agents)
  const journalSize = (): Promise<JournalSize> => sources.journal().catch(() => NOT_KNOWN)
  gauge(
    registers,
    'plexus_journal_records',
    'Attachment records in the journal; NaN when it cannot be read.',
    async () => (await journalSize()).records,
  )
  gauge(
    registers,
    'plexus_journal_size_bytes',
    'Bytes of the attachment records in the journal; NaN when it cannot be read.',
    async () => (await journalSize()).bytes,
  )
  gauge(
    registers,
    'plexus_publications_pending',
    'Pods whose network-status or condition waits to be written.',
    sources.publications,
  )
  gauge(registers, 'plexus_errands_pending', 'Undo work that waits for a shim.', sources.errands)
  gauge(
    registers,
    'plexus_configuration_valid',
    'Whether the configuration file is in force (1) or wrong (0).',
    () => Number(sources.isConfValid()),
  )
  gauge(registers, 'plexus_ready', 'Whether /readyz answers 200.', async () =>
    Number(await sources.isReady()),
  )
  counter(
    registers,
    'plexus_log_lines_dropped_total',
    'Log lines that could not be written.',
    sources.droppedLogLines,
  )
  new Gauge({
    name: 'plexus_build_info',
    help: 'Version of Plexus and of Node.js; the value is always 1.',
    labelNames: ['version', 'node'],
    registers,
  }).set({ version: sources.version, node: process.versions.node }, 1)
  const startedAt = Date.now() / 1000 - process.uptime()
  gauge(registers, 'process_start_time_seconds', 'Start of the process since the epoch.', () => startedAt)
  gauge(registers, 'process_resident_memory_bytes', 'Resident memory of the daemon.', () =>
    process.memoryUsage.rss(),
  )
  gauge(registers, 'process_open_fds', 'Open file descriptors.', () => readdirSync('/proc/self/fd').length)
  counter(registers, 'process_cpu_seconds_total', 'CPU time of the daemon, user and system.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  return {
    registry,
    observe(report) {
      const command = report.request?.command ?? 'unknown'
      requests.inc({ command, code: codeLabel(String(report.error?.code ?? 0)) })
      for (const [phase, ms] of Object.entries(phasesOf(report))) {
        durations.observe({ command, phase }, ms / 1000)
      }
      for (const call of report.calls) {
        const labels = { plugin: pluginLabel(call.plugin), command: call.command }
        calls.observe(labels, call.durationMs / 1000)
        if (call.error !== undefined)
          delegateFailures.inc({ ...labels, code: delegateCodeLabel(String(call.error)) })
      }
    },
    errand: (outcome) => errands.inc({ outcome }),
    publication: (outcome) => publications.inc({ outcome }),
    event: (outcome) => events.inc({ outcome }),
    eventLoopDelay: (seconds) => loopDelay.observe(seconds),
  }
}

const NOT_KNOWN: JournalSize = { records: Number.NaN, bytes: Number.NaN }

/** The first so many distinct values as they are, all others as `other`. */
function boundedLabel(limit: number): (value: string) => string {
  const known = new Set<string>()
  return (value) => {
    if (known.size < limit) known.add(value)
    return known.has(value) ? value : 'other'
  }
}

function gauge(
  registers: Registry[],
  name: string,
  help: string,
  read: () => number | Promise<number>,
): void {
  new Gauge({
    name,
    help,
    registers,
    async collect() {
      this.set(await read())
    },
  })
}

/** A counter that something else keeps. */
function counter(registers: Registry[], name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers,
    collect() {
      this.reset()
      this.inc(read())
    },
  })
}
