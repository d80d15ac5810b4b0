import type { JsonObject } from '../../cni/json.ts'
import { parseResult } from '../../cni/result-parsing.ts'
import { readCompleteMeta } from '../../engine/recorded-plan.ts'
import { type JournalKey, openJournalDir } from '../../journal/journal.ts'

/**
 * The plugin calls of an ADD as the journal has them: network, interface, plugin, when each began and how
 * long it took.
 */
export function pluginCallRows(stateDir: string, key: JournalKey): string[][] {
  const lookup = openJournalDir(stateDir).lookup(key)
  const meta = 'record' in lookup ? readCompleteMeta(lookup.record.complete) : undefined
  return (meta?.calls ?? []).map(({ network, ifName, plugin, startMs, durationMs }) => [
    network,
    ifName,
    plugin,
    `${startMs.toFixed(0)} ms`,
    `${durationMs.toFixed(0)} ms`,
  ])
}

/** A merged result as a table: a row for each interface, with its addresses. */
export function mergedResultRows(result: JsonObject | undefined): string[][] {
  const { interfaces, ips } = parseResult(result ?? null, {
    fallbackVersion: '1.0.0',
    what: 'the merged result',
  })
  return interfaces.map(({ name, mac, sandbox }, index) => {
    const own = ips.filter((ip) => ip.interface === index)
    return [
      name,
      (sandbox ?? '') === '' ? 'node' : 'pod',
      mac ?? '',
      own.map(({ address }) => address).join(', '),
      own.flatMap(({ gateway }) => gateway ?? []).join(', '),
    ]
  })
}
