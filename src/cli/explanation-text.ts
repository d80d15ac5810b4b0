import type {
  DefaultRouteOwner,
  ExplainedAttachment,
  ExplainedFault,
  ExplainedPod,
  Explanation,
} from './explanation.ts'
import { formatFault } from './failure.ts'
import type { Styler } from './output.ts'
import { formatTable, indent } from './table.ts'

/** The plans for people: a table of interfaces for each pod, why each is as it is, and what is wrong. */
export function explanationText({ cluster, pods, notes, warnings }: Explanation, style: Styler): string {
  const tail = [
    ...(cluster === null ? [] : [`Cluster asked: ${cluster.server} (${cluster.source})\n`]),
    ...warnings.map((warning) => `${style('yellow', 'Warning:')} ${warning}\n`),
    ...notes.map((note) => `Note: ${note}\n`),
  ]
  return [...pods.map((pod) => podText(pod, style)), ...(tail.length === 0 ? [] : [tail.join('')])].join('\n')
}

function podText(explained: ExplainedPod, style: Styler): string {
  const { pod, attachments, defaultRoute, warnings, faults } = explained
  const count = `${attachments.length} interface${attachments.length === 1 ? '' : 's'}`
  const blocks = [`${style('bold', `Pod ${pod}`)}: ${attachments.length === 0 ? 'no plan' : count}\n`]
  if (attachments.length > 0) {
    const head = ['INTERFACE', 'NETWORK', 'SOURCE', 'PLUGINS', 'VERSION']
    const rows = attachments.map(({ ifName, network, source, plugins, cniVersion }) => [
      ifName,
      network ?? undefined,
      source,
      plugins.map(({ type }) => type).join(','),
      cniVersion ?? undefined,
    ])
    const paint = (text: string, { row }: { row: number | 'head' }): string =>
      row === 'head' ? style('dim', text) : text
    blocks.push(indent(formatTable(head, rows, paint), 2))
    const all = [...new Set(attachments.flatMap(({ args }) => (args === '' ? [] : [args])))]
    const texts = attachments.map((attachment) => attachmentText(attachment, all.length > 1, style))
    blocks.push(indent(texts.join(''), 2))
    const common = all.length === 1 ? `CNI_ARGS of every plugin: ${all[0]}\n` : ''
    blocks.push(indent(`${common}${routesText(defaultRoute)}`, 2))
  }
  if (warnings.length > 0) {
    const lines = warnings.map((warning) => `- ${warning}\n`).join('')
    blocks.push(indent(`${style('yellow', 'Warnings')}\n${indent(lines, 2)}`, 2))
  }
  blocks.push(
    indent(
      faults.length === 0
        ? `${style('green', 'Nothing is wrong with it.')}\n`
        : `${style('red', `Wrong: ${countText(faults)}, so no plugin would run`)}\n${faults
            .map(({ hint, ...fault }) => indent(`- ${formatFault({ ...fault, hint: hint ?? undefined })}`, 2))
            .join('')}`,
      2,
    ),
  )
  return blocks.join('\n')
}

function countText(faults: readonly ExplainedFault[]): string {
  const count = faults.reduce((sum, { faults: single }) => sum + Math.max(1, single.length), 0)
  return `${count} fault${count === 1 ? '' : 's'}`
}

function attachmentText(attachment: ExplainedAttachment, hasOwnArgs: boolean, style: Styler): string {
  const { ifName, reasons, args, plugins, waitsFor, isOptional, timeoutMs } = attachment
  const lines = [
    ...reasons.map((reason) => `- ${reason}`),
    ...(waitsFor.length === 0 ? [] : [`- it is built on ${waitsFor.join(', ')} and comes after it`]),
    ...(isOptional ? ['- it is optional: if it fails, the pod starts without it'] : []),
    ...(timeoutMs === null ? [] : [`- each plugin call may take ${timeoutMs / 1000} s`]),
    ...(args === '' || !hasOwnArgs ? [] : [`CNI_ARGS: ${args}`]),
    ...plugins.flatMap(({ type, runtimeConfig, cniArgs, extra }) =>
      [
        ['runtimeConfig', runtimeConfig] as const,
        ['args.cni', cniArgs] as const,
        ['further keys', extra] as const,
      ]
        .filter(([, value]) => Object.keys(value).length > 0)
        .map(([name, value]) => `plugin "${type}" gets ${name} ${JSON.stringify(value)}`),
    ),
  ]
  return `${style('bold', ifName)}\n${indent(lines.map((line) => `${line}\n`).join(''), 2)}`
}

function routesText({ ipv4, ipv6 }: ExplainedPod['defaultRoute']): string {
  const four = ownerText(ipv4)
  const six = ownerText(ipv6)
  if (four === six) return `Default route: ${four}\n`
  return `Default route, IPv4: ${four}\nDefault route, IPv6: ${six}\n`
}

function ownerText({ ifName, gateways, isRequested }: DefaultRouteOwner): string {
  if (ifName === null) return 'nobody has it'
  if (!isRequested) return `${ifName}, if its network makes one`
  if (gateways.length === 0) return `${ifName}, as its network makes it; the pod asks for that`
  return `${ifName} through ${gateways.join(', ')}; the pod asks for that`
}
