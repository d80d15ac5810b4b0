import { join } from 'node:path'
import { isNetns } from '../own-place.ts'
import type { SandboxRecord } from '../sandbox-records.ts'
import type { ExaminedNode } from './examined-node.ts'
import { evidenceOf, type FindingId, type Found, shellWord } from './finding.ts'

/** An ADD that runs for longer than that has been killed. */
const ADD_IS_OVER_AFTER_MS = 10 * 60_000

/** What the journal says of attachments that are not as they should be. */
export function attachmentProbe(node: ExaminedNode): Found[] {
  const { stateDir, shim, isPod } = node
  const records = node.records()
  const now = Date.now()
  const inState = (state: SandboxRecord['state']): SandboxRecord[] =>
    records.filter((record) => record.state === state)
  const damagedFolder = join(stateDir, 'damaged')
  const [keptAside, damaged] = partition(inState('damaged'), ({ path }) =>
    path.startsWith(`${damagedFolder}/`),
  )
  const left = inState('incomplete').filter(
    ({ meta }) => meta?.time !== undefined && now - Date.parse(meta.time) > ADD_IS_OVER_AFTER_MS,
  )
  // The agent does what is due at once; without it the next requests do.
  const undo = `timeout 60 ${shellWord(shim)} --agent`
  const told: Found[] = []
  const tell = (id: FindingId, concerned: readonly SandboxRecord[], what: string, fix: string): void => {
    if (concerned.length > 0)
      told.push({
        id,
        what: `${concerned.length} ${what}`,
        evidence: evidenceOf(concerned.map(describe)),
        fix,
      })
  }
  const gone = inState('netns gone')
  const hidden = inState('live').filter(({ meta }) => meta !== undefined && !isNetns(meta.netns))
  if (isPod && gone.length + hidden.length > 0)
    told.push({
      id: 'partial-view',
      what: 'whether the namespaces of the pods are there cannot be seen from here',
    })
  else tell('attachment-leaked', gone, 'attachments are left of pods whose network namespace is gone', undo)
  tell('attachment-incomplete', left, 'attachments were begun and never ended', undo)
  tell(
    'undo-pending',
    inState('undo pending'),
    'attachments could not be undone',
    `plexus list; then ${undo}`,
  )
  tell(
    'journal-damaged',
    damaged,
    'records are damaged: what they still say is undone by the next DEL',
    'delete the pods that are named',
  )
  tell(
    'journal-kept-aside',
    keptAside,
    'damaged records were undone as far as they could be read',
    `look for what is left of these containers; then rm ${keptAside.map(({ path }) => shellWord(path)).join(' ')}`,
  )
  tell(
    'journal-newer',
    inState('newer format'),
    'records were written by a newer Plexus, which alone can undo them',
    'install the newer version again',
  )
  tell('journal-unreadable', inState('unreadable'), 'records cannot be read', `dmesg | tail; fsck the disk`)
  return told
}

function describe({ meta, containerId, ifName, path, fault }: SandboxRecord): string {
  const { pod, time } = meta ?? {}
  const whose = pod === undefined ? '' : `pod ${pod.namespace}/${pod.name}, `
  const since = time === undefined ? '' : `, since ${time}`
  const why = fault === undefined ? '' : `: ${fault.message}`
  return `${whose}container ${containerId} ${ifName}${since} (${path})${why}`
}

function partition<T>(items: readonly T[], holds: (item: T) => boolean): [T[], T[]] {
  return [items.filter(holds), items.filter((item) => !holds(item))]
}
