import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** What became of a review. */
type ReviewOutcome = 'allowed' | 'refused' | 'failed'

/** What the webhook counts; `docs/admission.md` lists every series. */
export interface WebhookMetrics {
  readonly registry: Registry
  observe(webhook: 'validate' | 'mutate', outcome: ReviewOutcome, seconds: number): void
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Makes the webhook's metrics. */
export function openWebhookMetrics(sources: {
  readonly isReady: () => boolean
  readonly expiresAt: () => Date
}): WebhookMetrics {
  const registry = new Registry()
  const registers = [registry]
  const reviews = new Counter({
    name: 'plexus_webhook_reviews_total',
    help: 'Admission reviews by webhook and outcome (failed: no verdict could be given).',
    labelNames: ['webhook', 'outcome'],
    registers,
  })
  const durations = new Histogram({
    name: 'plexus_webhook_review_duration_seconds',
    help: 'Time from the whole request to its answer, by webhook.',
    labelNames: ['webhook'],
    buckets: SECONDS,
    registers,
  })
  gauge(registers, 'plexus_webhook_ready', 'Whether /readyz answers 200.', () => Number(sources.isReady()))
  gauge(
    registers,
    'plexus_webhook_certificate_expiry_seconds',
    'End of the serving certificate since the epoch.',
    () => sources.expiresAt().getTime() / 1000,
  )
  gauge(registers, 'process_resident_memory_bytes', 'Resident memory of the process.', () =>
    process.memoryUsage.rss(),
  )
  return {
    registry,
    observe(webhook, outcome, seconds) {
      reviews.inc({ webhook, outcome })
      durations.observe({ webhook }, seconds)
    },
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
