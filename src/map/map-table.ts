import { interfaceCard } from './interface-card.ts'
import {
  compareNames,
  type MappedInterface,
  type MappedNetwork,
  type MappedPod,
  type NetworkMap,
} from './network-map.ts'
import { type Card, type CardLine, HUES, textCard } from './shapes.ts'
import { counted, elide } from './text.ts'

/** Pods that are drawn with room about them; more are drawn closer. */
export const MOST_AIRY = 20
/** Between the cards of a pod's interfaces on one network. */
export const STACK_GAP = 4
const LONGEST_NAME = 44
/** A network's name makes its column wide. */
export const LONGEST_NETWORK = 32
const LONGEST_DATA = 46
/** Facts on a network's card; all of them are said under the pointer. */
const MOST_FACTS = 4

/** A network with its place: the line that runs down from its card, and what hangs on it. */
export interface Column {
  readonly network: MappedNetwork
  readonly hue: number
  readonly card: Card
  /** Of the cards of its interfaces. */
  readonly cellWidth: number
  readonly width: number
}

/** The pods of one namespace, and the networks that nobody else uses. */
export interface Section {
  readonly title: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column[]
}

export interface Row {
  readonly pod: MappedPod
  readonly card: Card
  /** Cards of interfaces by the name of their network. */
  readonly cells: ReadonlyMap<string, readonly Cell[]>
  readonly height: number
}

export interface Cell {
  readonly mapped: MappedInterface
  readonly card: Card
}

/** Sorts what there is into columns and rows. */
export function toMapTable({ networks, pods }: NetworkMap) {
  const spaces = new Map<string, Set<string>>()
  const counts = new Map<string, number>()
  for (const { namespace, interfaces } of pods) {
    for (const name of new Set(interfaces.map(({ network }) => network))) {
      spaces.set(name, (spaces.get(name) ?? new Set()).add(namespace ?? ''))
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  }
  const users = ({ name }: MappedNetwork): number => counts.get(name) ?? 0
  const ordered = [...networks].sort(
    (left, right) =>
      Number(right.isDefault) - Number(left.isDefault) ||
      users(right) - users(left) ||
      compareNames(left.name, right.name),
  )
  const namespaces = [...new Set(pods.map(({ namespace }) => namespace ?? ''))].sort(compareNames)
  const isShared = (network: MappedNetwork): boolean =>
    network.isDefault || namespaces.length === 1 || (spaces.get(network.name)?.size ?? 0) > 1
  const used = ordered.filter((network) => users(network) > 0)
  const hues = new Map(
    [...used.filter(isShared), ...used.filter((network) => !isShared(network))].map(({ name }, index) => [
      name,
      index % HUES,
    ]),
  )
  const rowsOf = (namespace: string): Row[] =>
    pods
      .filter((pod) => (pod.namespace ?? '') === namespace)
      .sort(
        (one, other) =>
          compareNames(one.name, other.name) || compareNames(one.containerId ?? '', other.containerId ?? ''),
      )
      .map((pod) => toRow(pod, hues, pods.length > MOST_AIRY))
  const sectionRows = new Map(namespaces.map((namespace) => [namespace, rowsOf(namespace)]))
  const toColumn = (network: MappedNetwork, rows: readonly Row[]): Column => {
    const card = networkCard(network, users(network), hues.get(network.name))
    const cells = rows.flatMap(({ cells }) => cells.get(network.name) ?? [])
    const cellWidth = Math.max(0, ...cells.map(({ card }) => card.width))
    const hue = hues.get(network.name) ?? 0
    return { network, hue, card, cellWidth, width: Math.max(card.width, cellWidth) }
  }
  const allRows = [...sectionRows.values()].flat()
  return {
    shared: used.filter(isShared).map((network) => toColumn(network, allRows)),
    sections: namespaces.map((namespace): Section => {
      const rows = sectionRows.get(namespace) ?? []
      const own = used.filter(
        (network) => !isShared(network) && rows.some(({ cells }) => cells.has(network.name)),
      )
      const title =
        namespace === '' ? 'Sandboxes of no known pod' : `Namespace ${elide(namespace, LONGEST_NAME)}`
      return { title, rows, columns: own.map((network) => toColumn(network, rows)) }
    }),
    unused: ordered.filter((network) => users(network) === 0),
  }
}

function toRow(pod: MappedPod, hues: ReadonlyMap<string, number>, isDense: boolean): Row {
  const lines: CardLine[] = [{ text: elide(pod.name, LONGEST_NAME), look: 'name' }]
  if (pod.remark !== null) lines.push({ text: elide(pod.remark, LONGEST_NAME), look: 'note', tone: 'bad' })
  const card = textCard(lines, 'card')
  const cells = new Map<string, Cell[]>()
  for (const mapped of pod.interfaces) {
    const cell = { mapped, card: interfaceCard(mapped, hues.get(mapped.network) ?? 0, isDense) }
    cells.set(mapped.network, [...(cells.get(mapped.network) ?? []), cell])
  }
  const height = Math.max(card.height, ...[...cells.values()].map(stackHeight))
  return { pod, card, cells, height }
}

export function stackHeight(cells: readonly Cell[]): number {
  return cells.reduce((sum, { card }) => sum + card.height, 0) + (cells.length - 1) * STACK_GAP
}

export function networkCard(network: MappedNetwork, users: number, hue: number | undefined): Card {
  const { name, isDefault, plugins, facts, problem } = network
  const lines: CardLine[] = [{ text: elide(name, LONGEST_NETWORK), look: 'name', tone: hue ?? 'plain' }]
  if (isDefault) lines.push({ text: 'default network', look: 'note', tone: 'dim' })
  if (plugins.length > 0) lines.push({ text: elide(plugins.join(' → '), LONGEST_DATA), look: 'data' })
  for (const fact of facts.slice(0, MOST_FACTS))
    lines.push({ text: elide(fact, LONGEST_DATA), look: 'data', tone: 'dim' })
  if (problem !== null) lines.push({ text: 'configuration not readable', look: 'note', tone: 'bad' })
  if (users > 0) lines.push({ text: counted(users, 'pod'), look: 'note', tone: 'dim' })
  return textCard(lines, hue === undefined ? 'card' : `chip s${hue}`, hue)
}
