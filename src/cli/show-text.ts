import type { NetworkStatusEntry } from '../network/network-status.ts'
import { clusterProblemText } from './cluster-answer.ts'
import type { Style, Styler } from './output.ts'
import type { ShownInCluster, ShownPod, ShownSandbox } from './show.ts'
import { formatTable, indent } from './table.ts'

/** A pod for people: interfaces, where they are from, the calls with their times, network-status. */
export function showText(shown: ShownPod, style: Styler): string {
  const { pod, podUid, networkStatus, networkStatusSource, cluster, others } = shown
  const blocks: string[] = []
  if (isSandbox(shown)) {
    blocks.push(
      facts(
        [['Pod', podUid === null ? pod : `${pod} (uid ${podUid})`], ...sandboxFacts(shown, style)],
        style,
      ),
    )
    blocks.push(...sandboxBlocks(shown, style))
  } else {
    blocks.push(facts([['Pod', pod]], style))
    blocks.push(
      networkStatusSource === 'cluster'
        ? 'Nothing of it is recorded on this node; this is what the cluster says.\n'
        : 'Nothing is recorded of it any more; only its published network-status is left.\n',
    )
  }
  if (networkStatus.length > 0)
    blocks.push(statusText(`from the ${networkStatusSource}`, networkStatus, style))
  if (cluster !== null) blocks.push(clusterText(shown, cluster, style))
  for (const other of others) {
    const what = title(`Another sandbox of the pod: ${other.containerId}`, style)
    blocks.push(`${what}${facts(sandboxFacts(other, style), style)}`, ...sandboxBlocks(other, style))
  }
  return blocks.join('\n')
}

function statusText(where: string, entries: readonly NetworkStatusEntry[], style: Styler): string {
  const rows = entries.map((entry) => [
    cellText(entry.name),
    cellText(entry.interface),
    cellText(entry.ips),
    cellText(entry.mac),
    cellText(entry.gateway),
    entry.default ? 'yes' : 'no',
  ])
  const head = ['NAME', 'INTERFACE', 'IPS', 'MAC', 'GATEWAY', 'DEFAULT']
  return `${title(`Network-status (${where})`, style)}${table(head, rows, style)}`
}

/** What others have written into the annotation may be anything. */
function cellText(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  return Array.isArray(value) ? value.map(String).join(',') : JSON.stringify(value)
}

/** What the cluster adds to the journal: agreement in a line, otherwise what it has. */
function clusterText(
  { networkStatusSource, podUid }: ShownPod,
  cluster: ShownInCluster,
  style: Styler,
): string {
  const problem = clusterProblemText(cluster, style)
  if (problem !== '') return problem
  const where = `${title('In the cluster', style)}  asked by ${cluster.source}: ${cluster.server}\n`
  if (!cluster.isPodKnown) return `${where}  ${style('yellow', 'It does not know the pod.')}\n`
  const other =
    cluster.isSamePod === false
      ? `  ${style('yellow', `Another pod has this name now: its uid is ${cluster.podUid}, not ${podUid}.`)}\n`
      : ''
  const { networkStatus, isAsRecorded } = cluster
  if (networkStatusSource === 'cluster') return `${where}${other}`
  if (networkStatus === null)
    return `${where}${other}  ${style('yellow', 'The pod has no network-status.')}\n`
  if (isAsRecorded) return `${where}${other}  Its network-status is the one above.\n`
  const differs =
    isAsRecorded === null ? '' : `  ${style('yellow', 'Its network-status is not what the journal has.')}\n`
  return `${where}${other}${differs}\n${statusText('in the cluster', networkStatus, style)}`
}

function isSandbox(shown: ShownPod): shown is ShownPod & ShownSandbox {
  return shown.containerId !== undefined
}

function sandboxFacts(sandbox: ShownSandbox, style: Styler): [string, string][] {
  const { containerId, netns, state, time, durationMs, failedDels, problem, hint } = sandbox
  const stateStyle: Style = state === 'live' ? 'green' : 'red'
  const dels = failedDels === 0 ? '' : ` (${failedDels} failed DEL${failedDels === 1 ? '' : 's'})`
  const duration = durationMs === null ? '' : `, ready after ${milliseconds(durationMs)}`
  return [
    ['Container', containerId],
    ['Namespace', netns ?? '-'],
    ['Attached', `${time ?? '-'}${duration}`],
    ['State', `${style(stateStyle, state)}${dels}`],
    ...sandbox.pendingUndo.map(({ plugin, ifName }): [string, string] => [
      'To undo',
      `plugin ${plugin} on ${ifName}`,
    ]),
    ...(problem === null ? [] : [['Problem', problem] satisfies [string, string]]),
    ...(hint === null ? [] : [['What to do', hint] satisfies [string, string]]),
  ]
}

function sandboxBlocks({ attachments, calls }: ShownSandbox, style: Styler): string[] {
  const blocks: string[] = []
  if (attachments.length > 0) {
    const head = ['INTERFACE', 'NETWORK', 'SOURCE', 'PLUGINS', 'ADDRESSES', 'MAC']
    const rows = attachments.map(({ ifName, network, source, plugins, addresses, macs, isAttached }) => [
      ifName,
      network,
      source,
      plugins.map(({ type }) => String(type)).join(','),
      isAttached ? addresses.join(',') : 'not attached',
      macs.join(','),
    ])
    blocks.push(`${title('Interfaces', style)}${table(head, rows, style)}`)
    const reasons = attachments.map(
      ({ ifName, reasons }) => `  ${ifName}\n${indent(reasons.map((reason) => `- ${reason}\n`).join(''), 4)}`,
    )
    blocks.push(`${title('Why', style)}${reasons.join('')}`)
  }
  if (calls.length > 0) {
    const head = ['CALL', 'PLUGIN', 'NETWORK', 'INTERFACE', 'STARTED AFTER', 'TOOK']
    const rows = calls.map(({ command, plugin, network, ifName, startMs, durationMs }) => [
      command,
      plugin,
      network,
      ifName,
      milliseconds(startMs),
      milliseconds(durationMs),
    ])
    blocks.push(`${title('Plugin calls', style)}${table(head, rows, style)}`)
  }
  return blocks
}

function title(text: string, style: Styler): string {
  return `${style('bold', text)}\n`
}

function table(
  head: readonly string[],
  rows: readonly (readonly (string | undefined)[])[],
  style: Styler,
): string {
  const text = formatTable(head, rows, (cell, { row }) => (row === 'head' ? style('dim', cell) : cell))
  return indent(text, 2)
}

function facts(pairs: readonly (readonly [string, string])[], style: Styler): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs
    .map(([name, value]) => `${style('bold', name)}${' '.repeat(width - name.length)}  ${value}\n`)
    .join('')
}

function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}
