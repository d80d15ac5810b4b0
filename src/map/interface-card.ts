import type { MappedInterface } from './network-map.ts'
import { type Card, type CardLine, textCard } from './shapes.ts'
import { elide } from './text.ts'

const LONGEST_DATA = 46

/**
 * An interface as a card: its name, addresses, device.
 *
 * @param isDense Puts the first address on the line of the name.
 */
export function interfaceCard(mapped: MappedInterface, hue: number, isDense = false): Card {
  const { ifName, device, hasDefaultRoute, state } = mapped
  const addresses = mapped.addresses.map((address) => elide(address, LONGEST_DATA))
  const aside = isDense ? addresses.shift() : undefined
  const lines: CardLine[] = [
    {
      text: elide(ifName, LONGEST_DATA),
      ...{ look: 'ifName', tone: hue, hasArrow: hasDefaultRoute },
      ...(aside === undefined ? {} : { aside }),
    },
    ...addresses.map((text): CardLine => ({ text, look: 'data' })),
  ]
  if (device !== null) lines.push({ text: elide(device, LONGEST_DATA), look: 'data', tone: 'dim' })
  if (state === 'not attached') lines.push({ text: 'not attached', look: 'note', tone: 'bad' })
  return textCard(lines, state === 'attached' ? `chip s${hue}` : `chip missing s${hue}`, hue)
}
