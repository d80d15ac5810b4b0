import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { RequestReport } from './session.ts'

/** What the daemon counts; `docs/metrics.md` lists every series. */
export interface Metrics {
  readonly registry: Registry
  observe(report: RequestReport): void
  errand(outcome: 'undone' | 'failed'): void
}

/** State that gauges read when they are scraped. */
export interface MetricSources {
  readonly running: () => number
  readonly waiting: () => number
  readonly journal: () => number
  readonly errands: () => number
  readonly agents: () => number
  /** Mean event-loop delay since the last scrape, seconds. */
  readonly eventLoopDelay: () => { readonly mean: number; readonly p99: number; readonly max: number }
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

/** Makes the daemon's metrics. */
export function openMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Counter({
    name: 'plexus_requests_total',
    help: 'CNI requests by verb and CNI error code (0 for success).',
    labelNames: ['command', 'code'],
    registers,
  })
  const durations = new Histogram({
    name: 'plexus_request_duration_seconds',
    help: 'Time of a request in the daemon by verb and phase: queue (waiting for its turn), delegates (their calls), own (the rest).',
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
  const failures = new Counter({
    name: 'plexus_request_failures_total',
    help: 'Failed requests by verb and CNI error code.',
    labelNames: ['command', 'code'],
    registers,
  })
  const errands = new Counter({
    name: 'plexus_errands_total',
    help: 'Undo work on other sandboxes, by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  gauge(registers, 'plexus_adds_running', 'ADDs that are running.', sources.running)
  gauge(registers, 'plexus_adds_waiting', 'ADDs that wait for their turn.', sources.waiting)
  gauge(registers, 'plexus_journal_records', 'Attachment records in the journal.', sources.journal)
  gauge(registers, 'plexus_errands_pending', 'Undo work that waits for a shim.', sources.errands)
  gauge(registers, 'plexus_agents_connected', 'Agents that are connected.', sources.agents)
  const delay = new Gauge({
    name: 'plexus_event_loop_delay_seconds',
    help: 'Event-loop delay since the last scrape.',
    labelNames: ['statistic'],
    registers,
    collect() {
      const { mean, p99, max } = sources.eventLoopDelay()
      this.set({ statistic: 'mean' }, mean)
      this.set({ statistic: 'p99' }, p99)
      this.set({ statistic: 'max' }, max)
    },
  })
  void delay
  gauge(registers, 'plexus_memory_resident_bytes', 'Resident memory of the daemon.', () =>
    process.memoryUsage.rss(),
  )
  return {
    registry,
    observe({ request, error, queueMs, durationMs, calls: made }) {
      const command = request?.command ?? 'unknown'
      const code = String(error?.code ?? 0)
      requests.inc({ command, code })
      if (error !== undefined) failures.inc({ command, code })
      // Parallel delegates overlap: what they take together is the time that any of them runs.
      const delegatesMs = Math.min(
        durationMs - queueMs,
        made.reduce((sum, call) => sum + call.durationMs, 0),
      )
      durations.observe({ command, phase: 'queue' }, queueMs / 1000)
      durations.observe({ command, phase: 'delegates' }, delegatesMs / 1000)
      durations.observe({ command, phase: 'own' }, Math.max(0, durationMs - queueMs - delegatesMs) / 1000)
      for (const call of made) {
        calls.observe({ plugin: call.plugin, command: call.command }, call.durationMs / 1000)
      }
    },
    errand: (outcome) => errands.inc({ outcome }),
  }
}

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read())
    },
  })
}
