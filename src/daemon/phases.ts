import type { RequestReport } from './session.ts'

/** Where the time of a request went; together its whole. Milliseconds. */
export interface Phases {
  /** An ADD waits for its turn. */
  readonly queue: number
  /** Until the first delegate is called: look-up, probe, plan, record. */
  readonly plan: number
  /** Some delegate runs. */
  readonly delegates: number
  /** The rest: between the delegates and after the last one. */
  readonly own: number
}

/** Divides the time of a request. */
export function phasesOf({
  queueMs,
  durationMs,
  calls,
}: Pick<RequestReport, 'queueMs' | 'durationMs' | 'calls'>): Phases {
  const whole = Math.max(0, durationMs)
  const queue = Math.min(queueMs, whole)
  const first = calls.reduce((least, { startMs }) => Math.min(least, startMs), whole)
  const plan = Math.max(0, first - queue)
  const delegates = Math.min(busyMs(calls), whole - queue - plan)
  return { queue, plan, delegates, own: whole - queue - plan - delegates }
}

/** Time in which any of the calls ran: those side by side count once. */
function busyMs(calls: RequestReport['calls']): number {
  let busy = 0
  let end = 0
  for (const { startMs, durationMs } of [...calls].sort((left, right) => left.startMs - right.startMs)) {
    busy += Math.max(0, startMs + durationMs - Math.max(end, startMs))
    end = Math.max(end, startMs + durationMs)
  }
  return busy
}
