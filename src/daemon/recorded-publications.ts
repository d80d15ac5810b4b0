import type { PodIdentity } from '../cni/cni-args.ts'
import { toCniError } from '../cni/cni-error.ts'
import { readCompleteMeta, readPlannedMeta, toPublication } from '../engine/recorded-plan.ts'
import { readBootId } from '../journal/boot-id.ts'
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
   * a pod's name that is the last one of the pod that has the name now, as far as that is known.
   */
  lookAfter(publisher: Publisher, stateDir: string, warn: (message: string) => void): void
}

interface Seen {
  readonly key: JournalKey
  readonly pod: PodIdentity
  readonly bootId: string | undefined
  readonly uptimeUs: number
  readonly time: string
  readonly isPublished: boolean
}

/** Begins a look through the journal. */
export function recordedPublications(): RecordedPublications {
  /** By the pod's name, and then by its UID. */
  const last = new Map<string, Map<string, Seen>>()
  return {
    seen(key, record) {
      const { isPublished } = record
      const meta = readPlannedMeta(record.planned)
      if (meta?.pod === undefined || hasDelBegun(record)) return
      if (!isPublished && record.complete === undefined) return
      const { pod, time, uptimeUs = 0 } = meta
      const seen: Seen = { key, pod, bootId: record.bootId, uptimeUs, time, isPublished }
      const id = `${pod.namespace}/${pod.name}`
      const ofName = last.get(id) ?? new Map<string, Seen>()
      last.set(id, ofName)
      const other = ofName.get(pod.uid ?? '')
      if (other === undefined || isLater(seen, other)) ofName.set(pod.uid ?? '', seen)
    },
    lookAfter(publisher, stateDir, warn) {
      for (const ofName of last.values()) {
        const current = [...ofName.values()]
          .filter(({ pod }) => !publisher.isOthers(pod))
          .reduce<Seen | undefined>((one, next) => (one && isLater(one, next) ? one : next), undefined)
        if (current === undefined) continue
        const { key, pod, isPublished } = current
        if (isPublished) publisher.remember(pod, key)
        else if (publisher.pending < ROOM && !publisher.has(key))
          publishRecord(publisher, stateDir, key, warn)
      }
    },
  }
}

/** Within a boot by the clock that nobody sets; this boot is after all others. */
function isLater(one: Seen, other: Seen): boolean {
  if (one.bootId === other.bootId && one.uptimeUs !== other.uptimeUs) return one.uptimeUs > other.uptimeUs
  const boot = readBootId()
  if (one.bootId !== other.bootId && (one.bootId === boot || other.bootId === boot))
    return one.bootId === boot
  return one.time > other.time
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
