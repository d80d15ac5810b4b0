import {
  type Column,
  LONGEST_NETWORK,
  MOST_AIRY,
  networkCard,
  type Row,
  type Section,
  STACK_GAP,
  stackHeight,
  toMapTable,
} from './map-table.ts'
import type { MappedInterface, MappedNetwork, MappedPod, NetworkMap } from './network-map.ts'
import { arrow, type Drawing, line, type Shape } from './shapes.ts'
import { counted, elide, textWidth } from './text.ts'

const MARGIN = 24
/** Between a panel's edge and what is in it. */
const PADDING = 14
const COLUMN_GAP = 22
const ROW_GAP = 12
const DENSE_ROW_GAP = 7
/** Half of the gap in a wire that passes a network's line. */
const CROSSING = 6
/** Pods after which the names of the networks are written once more. */
const ROWS_BETWEEN_NAMES = 16
const REMINDER_HEIGHT = 22
const NARROWEST = 560
/** Pods that the description names. */
const MOST_TOLD = 20

const TITLES: Readonly<Record<NetworkMap['origin'], string>> = {
  journal: 'Networks of this node',
  cluster: 'Networks of the cluster',
  manifests: 'Networks of the manifests',
}

/** A column that has its place on the page. */
interface PlacedColumn extends Column {
  /** Of the line. */
  readonly x: number
}

/** What leads from a pod to its networks. */
interface Wire {
  readonly x: number
  readonly y: number
  readonly ends: readonly number[]
  /** The networks of its panel. */
  readonly columns: readonly PlacedColumn[]
}

/** The line of a network. */
interface Bus {
  readonly network: string
  readonly x: number
  readonly hue: number
  readonly top: number
  readonly bottom: number
}

/**
 * Draws a map: networks are lines from top to bottom, pods are rows, and where a pod hangs on a network is a
 * card with the interface, its addresses and its device. Networks of one namespace alone have their lines in
 * that namespace's panel, so the page stays as narrow as its widest namespace. The same map gives the same
 * drawing, in whatever order it lists pods and networks.
 */
export function drawMap(map: NetworkMap): Drawing {
  const { shared, sections, unused } = toMapTable(map)
  const rowGap = map.pods.length > MOST_AIRY ? DENSE_ROW_GAP : ROW_GAP
  const podWidths = sections.flatMap(({ title, rows }) => [
    textWidth(title, 'heading'),
    ...rows.map(({ card }) => card.width),
  ])
  const podWidth = Math.max(0, ...podWidths)
  const left = MARGIN + PADDING
  const sharedStart = left + podWidth + COLUMN_GAP
  const sharedColumns = placeColumns(shared, sharedStart)
  const localStart = sharedStart + widthOf(shared)
  const localColumns = sections.map(({ columns }) => placeColumns(columns, localStart))
  const title = TITLES[map.origin]
  const summary = summaryOf(map)
  const width = Math.ceil(
    Math.max(
      NARROWEST,
      textWidth(title, 'title') + 2 * MARGIN,
      textWidth(summary, 'note') + 2 * MARGIN,
      ...sections.map(({ columns }) => localStart + widthOf(columns) - COLUMN_GAP + PADDING + MARGIN),
    ),
  )

  const behind: Shape[] = []
  const wires: Wire[] = []
  const buses: Bus[] = []
  const front: Shape[] = []
  front.push(
    { kind: 'text', x: MARGIN, y: MARGIN + 20, text: title, look: 'title', tone: 'plain' },
    { kind: 'text', x: MARGIN, y: MARGIN + 42, text: summary, look: 'note', tone: 'dim' },
  )
  let y = MARGIN + 56
  const legend = drawLegend(map, MARGIN, y + 14)
  if (legend.length > 0) {
    front.push(...legend)
    y += 24
  }

  const headHeight = Math.max(0, ...shared.map(({ card }) => card.height))
  const sharedTop = y + 8 + headHeight
  for (const column of sharedColumns) front.push(drawHead(column, sharedTop - column.card.height))
  if (headHeight > 0) y = sharedTop
  const lastRows = new Map<string, number>()

  sections.forEach((section, index) => {
    const own = localColumns[index] ?? []
    const columns = [...sharedColumns, ...own]
    y += 18
    const top = y
    const ownHeight = Math.max(0, ...own.map(({ card }) => card.height))
    const band = Math.max(ownHeight, 24)
    y += PADDING
    front.push({ kind: 'text', x: left, y: y + 15, text: section.title, look: 'heading', tone: 'plain' })
    const ownTop = y + band
    for (const column of own) front.push(drawHead(column, ownTop - column.card.height))
    if (index > 0) front.push(...drawReminders(sharedColumns, section, y))
    y = ownTop + 18
    section.rows.forEach((row, number) => {
      if (number > 0 && number % ROWS_BETWEEN_NAMES === 0) {
        front.push(...drawReminders(columns, section, y))
        y += REMINDER_HEIGHT + rowGap
      }
      const middle = y + row.height / 2
      for (const name of row.cells.keys()) lastRows.set(name, middle)
      front.push(drawRow(row, columns, { left, y, podWidth }))
      const ends = columns.filter(({ network }) => row.cells.has(network.name)).map(({ x }) => x)
      wires.push({ x: left + podWidth, y: middle, ends, columns })
      y += row.height + rowGap
    })
    y += PADDING - rowGap
    behind.push({
      kind: 'rect',
      ...{ x: MARGIN, y: top, width: width - 2 * MARGIN, height: y - top, radius: 10 },
      classes: 'panel',
    })
    for (const column of own) buses.push(toBus(column, ownTop, lastRows))
  })
  for (const column of sharedColumns) buses.push(toBus(column, sharedTop, lastRows))
  if (sections.length === 0) {
    y += 34
    const text = 'There is no pod.'
    front.push({ kind: 'text', x: MARGIN, y, text, look: 'note', tone: 'dim' })
  }
  if (unused.length > 0) {
    const rest = drawUnused(unused, { y: y + 18, width })
    front.push(...rest.shapes)
    y = rest.y
  }
  return {
    width,
    height: Math.ceil(y + MARGIN),
    title,
    description: describe(sections, summary),
    shapes: [
      ...behind,
      ...wires.flatMap((wire) => drawWire(wire, buses)),
      ...buses.map(({ x, top, bottom, hue }) => line(x, top, x, bottom, `bus s${hue}`)),
      ...front,
    ],
  }
}

function drawHead({ network, card, x }: PlacedColumn, y: number): Shape {
  const { name, facts, problem } = network
  return {
    kind: 'group',
    title: [`Network ${name}`, ...facts, ...(problem === null ? [] : [problem])].join(', '),
    shapes: card.at(Math.round(x - card.width / 2), y),
  }
}

/** The names of the networks once more, for whoever has scrolled: only of those that go on below. */
function drawReminders(columns: readonly PlacedColumn[], { rows }: Section, y: number): Shape[] {
  const names = new Set(rows.flatMap(({ cells }) => [...cells.keys()]))
  return columns
    .filter(({ network }) => names.has(network.name))
    .flatMap(({ network, hue, x, width }): Shape[] => {
      const text = fitting(network.name, width)
      const wide = textWidth(text, 'note') + 12
      const box = { x: Math.round(x - wide / 2), y, width: wide, height: REMINDER_HEIGHT - 2, radius: 10 }
      return [
        { kind: 'rect', ...box, classes: 'card' },
        { kind: 'text', x, y: y + 14, text, look: 'note', tone: hue, anchor: 'middle' },
      ]
    })
}

function fitting(name: string, width: number): string {
  let text = elide(name, LONGEST_NETWORK)
  for (let longest = LONGEST_NETWORK; textWidth(text, 'note') + 12 > width && longest > 4; longest--)
    text = elide(name, longest)
  return text
}

function drawRow(
  { pod, card, cells, height }: Row,
  columns: readonly PlacedColumn[],
  { left, y, podWidth }: { readonly left: number; readonly y: number; readonly podWidth: number },
): Shape {
  const middle = y + height / 2
  const shapes = card.at(left, Math.round(middle - card.height / 2), { width: podWidth })
  for (const { network, x, cellWidth } of columns) {
    const stack = cells.get(network.name) ?? []
    let top = Math.round(middle - stackHeight(stack) / 2)
    for (const { mapped, card } of stack) {
      const title = interfaceTitle(pod, mapped)
      shapes.push({
        kind: 'group',
        title,
        shapes: card.at(Math.round(x - cellWidth / 2), top, { width: cellWidth }),
      })
      top += card.height + STACK_GAP
    }
  }
  return { kind: 'group', title: podTitle(pod), shapes }
}

function podTitle({ namespace, name, containerId, remark }: MappedPod): string {
  const container = containerId === null ? '' : `, container ${containerId}`
  return `Pod ${namespace === null ? '' : `${namespace}/`}${name}${container}${remark === null ? '' : `, ${remark}`}`
}

function interfaceTitle(pod: MappedPod, mapped: MappedInterface): string {
  const { ifName, network, addresses, mac, device, hasDefaultRoute, state } = mapped
  return [
    `${pod.name}: ${ifName} on ${network}`,
    ...addresses,
    ...(mac === null ? [] : [`MAC ${mac}`]),
    ...(device === null ? [] : [`device ${device}`]),
    ...(hasDefaultRoute ? ['default route'] : []),
    ...(state === 'attached' ? [] : [state]),
  ].join(', ')
}

function toBus({ network, hue, x }: PlacedColumn, top: number, lastRows: ReadonlyMap<string, number>): Bus {
  return { network: network.name, x, hue, top, bottom: lastRows.get(network.name) ?? top }
}

/** A pod's wire: it ends at the last network that it joins, and leaves a gap where it passes others. */
function drawWire({ x, y, ends, columns }: Wire, buses: readonly Bus[]): Shape[] {
  const end = Math.max(x, ...ends)
  const names = new Set(columns.map(({ network }) => network.name))
  const passed = buses
    .filter((bus) => names.has(bus.network) && !ends.includes(bus.x) && bus.x < end && y < bus.bottom)
    .map((bus) => bus.x)
    .sort((left, right) => left - right)
  const starts = [x, ...passed.map((gap) => gap + CROSSING)]
  const stops = [...passed.map((gap) => gap - CROSSING), end]
  const d = starts.map((start, index) => `M${start} ${y}H${stops[index] ?? start}`).join('')
  return end > x ? [{ kind: 'path', d, classes: 'wire' }] : []
}

function drawLegend({ pods }: NetworkMap, x: number, y: number): Shape[] {
  const interfaces = pods.flatMap(({ interfaces }) => interfaces)
  const shapes: Shape[] = []
  const say = (text: string, sign: Shape, signWidth: number): void => {
    shapes.push(sign, { kind: 'text', x: x + signWidth, y, text, look: 'note', tone: 'dim' })
    x += signWidth + textWidth(text, 'note') + 20
  }
  if (interfaces.some(({ hasDefaultRoute }) => hasDefaultRoute)) say('default route', arrow(x, y, 'dim'), 14)
  if (interfaces.some(({ state }) => state === 'planned')) {
    const box = { x, y: y - 10, width: 20, height: 12, radius: 3 }
    say('planned, not running', { kind: 'rect', ...box, classes: 'chip missing wire' }, 26)
  }
  return shapes
}

function drawUnused(
  networks: readonly MappedNetwork[],
  { y, width }: { readonly y: number; readonly width: number },
): { readonly shapes: Shape[]; readonly y: number } {
  const text = 'Networks without pods'
  const shapes: Shape[] = [{ kind: 'text', x: MARGIN, y: y + 15, text, look: 'heading', tone: 'plain' }]
  let x = MARGIN
  let top = y + 28
  let tallest = 0
  for (const network of networks) {
    const card = networkCard(network, 0, undefined)
    if (x > MARGIN && x + card.width > width - MARGIN) {
      x = MARGIN
      top += tallest + ROW_GAP
      tallest = 0
    }
    const title = [`Network ${network.name}`, ...network.facts].join(', ')
    shapes.push({ kind: 'group', title, shapes: card.at(x, top) })
    x += card.width + ROW_GAP
    tallest = Math.max(tallest, card.height)
  }
  return { shapes, y: top + tallest }
}

function placeColumns(columns: readonly Column[], start: number): PlacedColumn[] {
  let x = start
  return columns.map((column) => {
    const placed = { ...column, x: Math.round(x + column.width / 2) }
    x += column.width + COLUMN_GAP
    return placed
  })
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width + COLUMN_GAP, 0)
}

function summaryOf({ pods, networks }: NetworkMap): string {
  const interfaces = pods.flatMap(({ interfaces }) => interfaces).length
  return [
    counted(pods.length, 'pod'),
    counted(networks.length, 'network'),
    counted(interfaces, 'interface'),
  ].join(' · ')
}

function describe(sections: readonly Section[], summary: string): string {
  const pods = sections.flatMap(({ rows }) => rows.map(({ pod }) => pod))
  const told = pods.slice(0, MOST_TOLD).map(({ namespace, name, interfaces }) => {
    const hung = interfaces.map(({ ifName, network }) => `${ifName} on ${network}`)
    return `${namespace ?? ''}/${name}: ${hung.join(', ') || 'no network'}`
  })
  const more = pods.length > told.length ? `; and ${counted(pods.length - told.length, 'more pod')}` : ''
  return `${summary}. ${told.join('; ')}${more}.`
}
