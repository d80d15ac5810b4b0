import type { MappedInterface } from './network-map.ts'
import { type Card, type CardLine, textCard } from './shapes.ts'
import { elide } from './text.ts'

const LONGEST_DATA = 46

/** An interface as a card: its name, addresses, device. */
export function interfaceCard(
  { ifName, addresses, device, hasDefaultRoute, state }: MappedInterface,
  hue: number,
): Card {
  const lines: CardLine[] = [
    { text: elide(ifName, LONGEST_DATA), look: 'ifName', tone: hue, hasArrow: hasDefaultRoute },
    ...addresses.map((address): CardLine => ({ text: elide(address, LONGEST_DATA), look: 'data' })),
  ]
  if (device !== null) lines.push({ text: elide(device, LONGEST_DATA), look: 'data', tone: 'dim' })
  if (state === 'not attached') lines.push({ text: 'not attached', look: 'note', tone: 'bad' })
  return textCard(lines, state === 'attached' ? `chip s${hue}` : `chip missing s${hue}`, hue)
}
