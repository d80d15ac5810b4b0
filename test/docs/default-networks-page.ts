import { parse } from 'yaml'
import type { NetworkSystem, ReadinessProbe, ServedBy } from '../../src/plan/systems/network-system.ts'
import { fencedBlocks, readDocument, sectionOf } from './markdown.ts'

/** The page that describes every system of the registry. */
export const PAGE = 'docs/default-networks.md'

/** An example NAD of the page. */
export interface ExampleNad {
  readonly name: string
  readonly namespace: string
  readonly config: string
}

/** The NAD that the section of a system shows. */
export function nadOfSection(title: string): ExampleNad {
  const [block, ...more] = fencedBlocks(sectionOf(readDocument(PAGE), title)).filter(
    ({ language }) => language === 'yaml',
  )
  if (block === undefined || more.length > 0) throw new Error(`section ${title} must have one NAD`)
  const manifest = parse(block.text) as {
    kind: string
    metadata: { name: string; namespace: string }
    spec: { config: string }
  }
  if (manifest.kind !== 'NetworkAttachmentDefinition') throw new Error(`section ${title} has no NAD`)
  const { name, namespace } = manifest.metadata
  return { name, namespace, config: manifest.spec.config }
}

/** The row of a system in the page's table. */
export function rowOf(system: NetworkSystem): string {
  const { title, files, portMappings, bandwidth, extra } = system
  const anchor = title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{Pc} -]/gu, '')
    .replaceAll(' ', '-')
  return `| [${title}](#${anchor}) | ${code(files[0] ?? '')} | ${code(system.types[0] ?? '')} | ${system.readiness.map(shortProbe).join('; ')} | ${portMappings} | ${bandwidth} | ${extra.works ? 'yes' : 'no'} |`
}

/** What the section of a system says before its example and what was run. */
export function sectionTextOf(system: NetworkSystem): string {
  const { files, folder, cniVersion, types, readiness, notReady, portMappings, bandwidth, extra } = system
  const place = folder === undefined ? '' : ` in ${code(folder)}`
  return [
    `- **File**: ${files.map(code).join(', ')}${place}; cniVersion ${cniVersion}.`,
    `- **Plugins**: ${types.map(code).join(', ')}.`,
    `- **Ready when** ${readiness.map(probeText).join(' and ')}. Until then a pod's error says: ${code(notReady)}`,
    `- **Host ports** by: ${servedText(portMappings)}. **Bandwidth** by: ${servedText(bandwidth)}.`,
    `- **As an extra network**: ${extra.works ? 'yes' : 'no'}. ${extra.because}`,
    '',
    '| Surprise | What to do |',
    '| --- | --- |',
    ...system.quirks.map(({ quirk, remedy }) => `| ${quirk} | ${remedy} |`),
  ].join('\n')
}

function servedText(by: ServedBy): string {
  return by === 'agent' ? 'its agent' : by === 'plugin' ? 'a plugin of the list' : by
}

function probeText(probe: ReadinessProbe): string {
  switch (probe.kind) {
    case 'file':
      return `${code(probe.path)} exists`
    case 'socket':
      return `${code(probe.path)} accepts a connection`
    case 'http':
      return `${code(probe.url)} answers 200`
    case 'tcp':
      return `${code(`${probe.host}:${probe.port}`)} accepts a connection`
    case 'any':
      return probe.of.map(probeText).join(' or ')
  }
}

function shortProbe(probe: ReadinessProbe): string {
  switch (probe.kind) {
    case 'file':
    case 'socket':
      return code(probe.path)
    case 'http':
      return code(probe.url.replace('http://127.0.0.1', ''))
    case 'tcp':
      return code(`:${probe.port}`)
    case 'any':
      return probe.of.map(shortProbe).join(' or ')
  }
}

function code(text: string): string {
  return `\`${text}\``
}
