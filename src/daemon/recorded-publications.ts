import type { PodIdentity } from '../cni/cni-args.ts'
import { toCniError } from '../cni/cni-error.ts'
import { readCompleteMeta, readPlannedMeta, toPublication } from '../engine/recorded-plan.ts'
import { type JournalKey, openJournalDir, type PublishedMark } from '../journal/journal.ts'
import type { JournalRecord } from '../journal/record.ts'
import type { LaterPublication } from '../store/cluster-store.ts'
import type { Publisher } from '../store/publisher.ts'

/** Records that are taken up at once; the others when there is room. */
const ROOM = 500

/** What a look through the journal found of publications. */
export interface RecordedPublications {
  seen(key: JournalKey, record: JournalRecord): void
  /**
   * Takes up what nobody has published yet, and sees to it that what is published stays. Of several records of
   * a pod that is the last one.
   */
  lookAfter(publisher: Publisher, stateDir: string, warn: (message: string) => void): void
}

interface Seen {
  readonly key: JournalKey
  readonly pod: PodIdentity
  readonly time: string
  readonly isPublished: boolean
}

/** Begins a look through the journal. */
export function recordedPublications(): RecordedPublications {
  const last = new Map<string, Seen>()
  return {
    seen(key, record) {
      const { isPublished } = record
      const meta = readPlannedMeta(record.planned)
      if (meta?.pod === undefined || hasDelBegun(record)) return
      if (!isPublished && record.complete === undefined) return
      const { pod, time } = meta
      const id = `${pod.namespace}/${pod.name}`
      const other = last.get(id)
      if (other === undefined || other.time < time) last.set(id, { key, pod, time, isPublished })
    },
    lookAfter(publisher, stateDir, warn) {
      for (const { key, pod, isPublished } of last.values()) {
        if (isPublished) publisher.remember(pod, key)
        else if (publisher.pending < ROOM && !publisher.has(key))
          publishRecord(publisher, stateDir, key, warn)
      }
    },
  }
}

/** Publishes what a record says, unless it is gone by now. */
export function publishRecord(
  publisher: Publisher,
  stateDir: string,
  key: JournalKey,
  warn: (message: string) => void,
): void {
  try {
    const found = openJournalDir(stateDir).openToPublish(key)
    if (found === undefined) return
    const { mark, record } = found
    const meta = readPlannedMeta(record.planned)
    const complete = readCompleteMeta(record.complete)
    if (meta?.pod === undefined || complete === undefined || hasDelBegun(record)) {
      mark.close()
      return
    }
    const publication = toPublication(meta.pod, key.containerId, meta.time, complete)
    publisher.publishAgain(publication, later(key.ifName, mark))
  } catch (error) {
    warn(`container ${key.containerId} (${key.ifName}) cannot be published: ${toCniError(error).message}`)
  }
}

function later(ifName: string, mark: PublishedMark): LaterPublication {
  return {
    ifName,
    settled(isDone) {
      try {
        if (isDone) mark.set()
      } finally {
        mark.close()
      }
    },
  }
}

function hasDelBegun({ failedDels }: JournalRecord): boolean {
  return failedDels > 0
}
