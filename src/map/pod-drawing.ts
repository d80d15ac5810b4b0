import { interfaceCard } from './interface-card.ts'
import type { MappedAttachment, MappedCall, PodMap } from './network-map.ts'
import { type Card, type Drawing, HUES, line, type Shape, textCard } from './shapes.ts'
import { counted, elide, textWidth } from './text.ts'

const MARGIN = 24
const PADDING = 14
const GAP = 30
const LANE_GAP = 12
const LABEL_HEIGHT = 20
const ROW_HEIGHT = 26
const BAR_HEIGHT = 14
const NARROWEST_CHART = 360
const MOST_TICKS = 7
/** For the half of the last mark's text that is right of it. */
const TICK_ROOM = 16
const LONGEST_NAME = 60
const LONGEST_DATA = 46

/** An attachment with its colour and its cards. */
interface Lane {
  readonly attachment: MappedAttachment
  readonly hue: number
  readonly chip: Card
  readonly chain: readonly Card[]
  readonly height: number
}

/** What a panel was drawn with, and where it ends. */
interface Panel {
  readonly shapes: readonly Shape[]
  readonly right: number
  readonly bottom: number
}

/**
 * Draws one pod: each interface with the chain of plugins that made it, and below when each plugin was
 * called and how long it took.
 */
export function drawPod(pod: PodMap): Drawing {
  const title = `Pod ${elide(`${pod.namespace}/${pod.name}`, LONGEST_NAME)}`
  const summary = summaryOf(pod)
  const head: Shape[] = [
    { kind: 'text', x: MARGIN, y: MARGIN + 20, text: title, look: 'title', tone: 'plain' },
    { kind: 'text', x: MARGIN, y: MARGIN + 42, text: summary, look: 'note', tone: 'dim' },
  ]
  let top = MARGIN + 58
  if (pod.remark !== null) {
    head.push({ kind: 'text', x: MARGIN, y: top + 6, text: pod.remark, look: 'note', tone: 'bad' })
    top += 22
  }
  const chains = drawChains(pod, top)
  const narrowest = Math.max(textWidth(title, 'title'), textWidth(summary, 'note'))
  const chartRight = Math.max(chains.right, MARGIN + narrowest - PADDING)
  const chart = drawCalls(pod, chains.bottom + PADDING + 18, chartRight)
  const right = Math.max(chains.right, chart.right, MARGIN + narrowest - PADDING)
  const panels = [
    { y: top, bottom: chains.bottom },
    ...(chart.shapes.length === 0 ? [] : [{ y: chains.bottom + PADDING + 18, bottom: chart.bottom }]),
  ].map(
    ({ y, bottom }): Shape => ({
      kind: 'rect',
      ...{ x: MARGIN, y, width: right + PADDING - MARGIN, height: bottom + PADDING - y, radius: 10 },
      classes: 'panel',
    }),
  )
  return {
    width: Math.ceil(right + PADDING + MARGIN),
    height: Math.ceil(chart.bottom + PADDING + MARGIN),
    title,
    description: describe(pod, summary),
    shapes: [...head, ...panels, ...chains.shapes, ...chart.shapes],
  }
}

/** The pod on the left; from it a lane to the right for each interface. */
function drawChains({ name, attachments }: PodMap, top: number): Panel {
  const lanes = attachments.map((attachment, index) => toLane(attachment, index % HUES))
  const podCard = textCard([{ text: elide(name, LONGEST_NAME / 2), look: 'name' }], 'card')
  const left = MARGIN + PADDING
  const chipLeft = left + podCard.width + GAP
  const chipWidth = Math.max(0, ...lanes.map(({ chip }) => chip.width))
  const chainLeft = chipLeft + chipWidth + GAP
  const wires: Shape[] = []
  const shapes: Shape[] = []
  let right = Math.max(chainLeft, left + podCard.width)
  let y = top + PADDING
  const first = y
  for (const { attachment, hue, chip, chain, height } of lanes) {
    const boxes = Math.max(0, ...chain.map(({ height }) => height))
    const middle = Math.round(y + LABEL_HEIGHT + (height - LABEL_HEIGHT) / 2)
    const label = elide(attachment.network, LONGEST_NAME)
    wires.push(line(left + podCard.width, middle, chipLeft, middle, `bus s${hue}`))
    shapes.push(...chip.at(chipLeft, Math.round(middle - chip.height / 2), { width: chipWidth }))
    shapes.push({ kind: 'text', x: chainLeft, y: y + 14, text: label, look: 'name', tone: hue })
    right = Math.max(right, chainLeft + textWidth(label, 'name'))
    let x = chainLeft
    let from = chipLeft + chipWidth
    chain.forEach((card, index) => {
      wires.push(line(from, middle, x - 4, middle, `arrow s${hue}`))
      wires.push({ kind: 'path', d: `M${x - 8} ${middle - 4}l4 4l-4 4`, classes: `arrow s${hue}` })
      const plugin = attachment.plugins[index]
      const title = [`Plugin ${index + 1} of ${label}: ${plugin?.type}`, ...(plugin?.facts ?? [])].join(', ')
      const place = card.at(x, Math.round(middle - boxes / 2), { height: boxes })
      shapes.push({ kind: 'group', title, shapes: place })
      from = x + card.width
      x = from + GAP
      right = Math.max(right, from)
    })
    y += height + LANE_GAP
  }
  const bottom = lanes.length === 0 ? first + podCard.height : y - LANE_GAP
  const height = Math.max(podCard.height, bottom - first)
  return {
    shapes: [...wires, ...podCard.at(left, first, { height }), ...shapes],
    right,
    bottom: first + height,
  }
}

function toLane(attachment: MappedAttachment, hue: number): Lane {
  const chip = interfaceCard(attachment, hue)
  const chain = attachment.plugins.map(({ type, facts }) =>
    textCard(
      [
        { text: elide(type, LONGEST_DATA), look: 'ifName' },
        ...facts.map((fact) => ({ text: elide(fact, LONGEST_DATA), look: 'data', tone: 'dim' }) as const),
      ],
      `chip s${hue}`,
    ),
  )
  const height = LABEL_HEIGHT + Math.max(chip.height, ...chain.map(({ height }) => height))
  return { attachment, hue, chip, chain, height }
}

/** A row of the chart: what took how long, and its bars. */
interface ChartRow {
  readonly title: string
  readonly ifName: string
  readonly what: string
  readonly note: string
  readonly tone: number | 'bad' | 'dim'
  readonly spans: readonly Span[]
}

/** Milliseconds since ADD began. */
interface Span {
  readonly from: number
  readonly to: number
}

/** A row for Plexus itself and one for each call, on one axis of time. */
function drawCalls(pod: PodMap, top: number, wanted: number): Panel {
  const { calls, durationMs } = pod
  if (calls.length === 0) return { shapes: [], right: wanted, bottom: top - PADDING - 18 }
  const rows = chartRows(pod)
  const totalMs = Math.max(durationMs ?? 0, ...calls.map(endOf), 0.001)
  const left = MARGIN + PADDING
  const ifNameWidth = Math.max(...rows.map(({ ifName }) => textWidth(ifName, 'ifName')))
  const whatLeft = left + ifNameWidth + PADDING
  const whatWidth = Math.max(...rows.map(({ what }) => textWidth(what, 'ifName')))
  const noteWidth = Math.max(...rows.map(({ note }) => textWidth(note, 'data')))
  const start = whatLeft + whatWidth + noteWidth + GAP
  const chartWidth = Math.max(NARROWEST_CHART, wanted - start - TICK_ROOM)
  const at = (ms: number): number => round(start + (ms / totalMs) * chartWidth)
  const chartTop = top + PADDING + 40
  const chartBottom = chartTop + rows.length * ROW_HEIGHT
  const title = 'Calls of plugins'
  const shapes: Shape[] = [
    { kind: 'text', x: left, y: top + PADDING + 13, text: title, look: 'heading', tone: 'plain' },
  ]
  for (const ms of ticks(totalMs)) {
    const x = at(ms)
    shapes.push(line(x, chartTop - 4, x, chartBottom, 'grid'))
    const text = `${ms} ms`
    shapes.push({ kind: 'text', x, y: chartTop - 8, text, look: 'data', tone: 'dim', anchor: 'middle' })
  }
  rows.forEach(({ title, ifName, what, note, tone, spans }, index) => {
    const y = chartTop + index * ROW_HEIGHT + 6
    const baseline = y + 11
    const fill = typeof tone === 'number' ? `f${tone}` : tone
    const noteTone = tone === 'bad' ? 'bad' : 'plain'
    const bars = spans.map(({ from, to }): Shape => {
      const width = round(Math.max(2, at(to) - at(from)))
      return { kind: 'rect', x: at(from), y, width, height: BAR_HEIGHT, radius: 3, classes: `bar ${fill}` }
    })
    shapes.push({
      kind: 'group',
      title,
      shapes: [
        { kind: 'text', x: left, y: baseline, text: ifName, look: 'ifName', tone },
        { kind: 'text', x: whatLeft, y: baseline, text: what, look: 'ifName', tone },
        {
          kind: 'text',
          ...{ x: start - GAP / 2, y: baseline, text: note, look: 'data', tone: noteTone, anchor: 'end' },
        },
        ...bars,
      ],
    })
  })
  let bottom = chartBottom
  if (durationMs !== null) {
    const text = `ready after ${milliseconds(durationMs)}`
    const x = at(durationMs)
    const anchor = x - textWidth(text, 'note') > start ? 'end' : 'start'
    shapes.push(line(x, chartTop - 4, x, chartBottom + 6, 'wire'))
    shapes.push({ kind: 'text', x, y: chartBottom + 20, text, look: 'note', tone: 'plain', anchor })
    bottom += 24
  }
  return { shapes, right: Math.max(start + chartWidth + TICK_ROOM, wanted), bottom }
}

function chartRows({ attachments, calls, durationMs }: PodMap): ChartRow[] {
  const ordered = [...calls].sort((one, other) => one.startMs - other.startMs)
  const hues = new Map(attachments.map(({ ifName }, index) => [ifName, index % HUES]))
  const rows = ordered.map((call): ChartRow => {
    const { network, ifName, plugin, command, startMs, error } = call
    return {
      title: `${command} of ${plugin} for ${ifName} on ${network}: after ${milliseconds(startMs)}, took ${callNote(call)}`,
      ifName: elide(ifName, 20),
      what: `${elide(plugin, 30)}${command === 'ADD' ? '' : ` ${command}`}`,
      note: callNote(call),
      tone: error === null ? (hues.get(ifName) ?? 0) : 'bad',
      spans: [{ from: startMs, to: endOf(call) }],
    }
  })
  const own = durationMs === null ? [] : ownSpans(ordered, durationMs)
  if (own.length === 0) return rows
  const note = milliseconds(own.reduce((sum, { from, to }) => sum + to - from, 0))
  const title = `Plexus itself, without any plugin: ${note}`
  return [{ title, ifName: 'plexus', what: 'itself', note, tone: 'dim', spans: own }, ...rows]
}

/** When no plugin was running. @param calls In the order of their beginnings. */
function ownSpans(calls: readonly MappedCall[], durationMs: number): Span[] {
  const spans: Span[] = []
  let until = 0
  for (const call of [...calls, { startMs: durationMs, durationMs: 0 }]) {
    if (call.startMs > until) spans.push({ from: until, to: call.startMs })
    until = Math.max(until, endOf(call))
  }
  return spans
}

function callNote({ durationMs, error }: MappedCall): string {
  return `${milliseconds(durationMs)}${error === null ? '' : `, error ${error}`}`
}

function endOf({ startMs, durationMs }: Pick<MappedCall, 'startMs' | 'durationMs'>): number {
  return startMs + durationMs
}

/** Marks of an axis: round numbers, not too many. */
function ticks(totalMs: number): number[] {
  const rough = totalMs / MOST_TICKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough
  const count = Math.floor(totalMs / step)
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)))
}

/** How long at least one plugin was running. */
function pluginTimeMs(calls: readonly MappedCall[]): number {
  const ordered = [...calls].sort((one, other) => one.startMs - other.startMs)
  const end = Math.max(0, ...calls.map(endOf))
  return end - ownSpans(ordered, end).reduce((sum, { from, to }) => sum + to - from, 0)
}

function summaryOf({ attachments, calls, durationMs, containerId }: PodMap): string {
  const inPlugins = calls.length === 0 ? '' : `, ${milliseconds(pluginTimeMs(calls))} of it in plugins`
  return [
    counted(attachments.length, 'interface'),
    ...(durationMs === null ? [] : [`ready after ${milliseconds(durationMs)}${inPlugins}`]),
    ...(containerId === null ? [] : [`container ${elide(containerId, 30)}`]),
  ].join(' · ')
}

function describe({ attachments, calls }: PodMap, summary: string): string {
  const told = attachments.map(
    ({ ifName, network, addresses, plugins }) =>
      `${ifName} on ${network} by ${plugins.map(({ type }) => type).join(', ') || 'plugins not known'}${addresses.length === 0 ? '' : `: ${addresses.join(', ')}`}`,
  )
  const times = calls.map((call) => `${call.plugin} for ${call.ifName} ${milliseconds(call.durationMs)}`)
  return `${summary}. ${[...told, ...times].join('; ')}.`
}

function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
