import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { drawMap } from '../../src/map/map-drawing.ts'
import { drawPod } from '../../src/map/pod-drawing.ts'
import type { Drawing } from '../../src/map/shapes.ts'
import { textsOf } from '../../src/map/shapes.ts'
import { renderSvg } from '../../src/map/svg.ts'
import { sampleMap, samplePod } from '../map/sample.ts'
import { type ColourScheme, type MeasuredPicture, measurePicture, photograph } from '../rig/chromium.ts'
import { ROOT } from '../rig/plexus.ts'
import { decodePng } from '../rig/png.ts'
import { spec } from '../spec.ts'

const SCHEMES: readonly ColourScheme[] = ['light', 'dark']

const drawings: readonly (readonly [title: string, drawing: Drawing])[] = [
  ['3 pods', drawMap(sampleMap(3))],
  ['30 pods', drawMap(sampleMap(30))],
  ['100 pods', drawMap(sampleMap(100))],
  ['100 pods of one namespace', drawMap(sampleMap(100, ['telco']))],
  ['one pod', drawPod(samplePod())],
]

/** What is wrong with the places of texts, as the browser has them. */
function misplaced({ texts, width, height }: MeasuredPicture): string[] {
  const outside = texts.filter(
    (text) => text.x < 0 || text.y < 0 || text.x + text.width > width || text.y + text.height > height,
  )
  const sorted = [...texts].sort((one, other) => one.y - other.y)
  const overlapping = sorted.flatMap((one, index) =>
    sorted
      .slice(index + 1)
      .filter((other) => other.y < one.y + one.height - LEADING)
      .filter((other) => other.x < one.x + one.width && one.x < other.x + other.width)
      .map((other) => `"${one.text}" and "${other.text}" overlap`),
  )
  return [...outside.map(({ text }) => `"${text}" is not on the page`), ...overlapping]
}

/** A browser's box of a text has room for what no letter here needs: a pixel or two above and below. */
const LEADING = 2

/** How well a text can be read: the ratio of the lightness of two colours, as WCAG defines it. */
function contrast(one: string, other: string): number {
  const lightness = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map((part) => {
      const share = Number(part) / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const [dark = 0, light = 0] = [lightness(one), lightness(other)].sort((left, right) => left - right)
  return (light + 0.05) / (dark + 0.05)
}

spec('pictures in a browser', (it) => {
  for (const scheme of SCHEMES) {
    for (const [title, drawing] of drawings) {
      it(`${title}, ${scheme}: texts lie beside each other, on the page, and can be read and selected`, async () => {
        const picture = await measurePicture(renderSvg(drawing), scheme)
        assert.is(picture.scheme, scheme)
        assert.is(picture.texts.length, textsOf(drawing.shapes).length)
        assert.equal(misplaced(picture), [])
        for (const { text, colour } of picture.texts) {
          assert.ok(contrast(colour, picture.page) >= 4.5, `"${text}" in ${colour} on ${picture.page}`)
          assert.ok(picture.selected.includes(text), `"${text}" cannot be selected`)
        }
      })
    }

    it(`${scheme}: what is seen is the picture`, async () => {
      const drawing = drawMap(sampleMap(30))
      const pixels = decodePng(await photograph(renderSvg(drawing), scheme, drawing))
      assert.equal([pixels.width, pixels.height], [drawing.width, drawing.height])
      const colours = new Map<number, number>()
      for (let y = 0; y < pixels.height; y += 3) {
        for (let x = 0; x < pixels.width; x += 3)
          colours.set(pixels.at(x, y), (colours.get(pixels.at(x, y)) ?? 0) + 1)
      }
      assert.is(pixels.at(2, 2), scheme === 'light' ? 0xffffff : 0x0d1117)
      assert.ok(colours.size > 100, `${colours.size} colours`)
    })
  }

  for (const name of ['map.svg', 'map-pod.svg']) {
    it(`docs/${name} is good in both schemes`, async () => {
      const svg = readFileSync(join(ROOT, 'docs', name), 'utf8')
      for (const scheme of SCHEMES) {
        const picture = await measurePicture(svg, scheme)
        assert.ok(picture.texts.length > 10)
        assert.equal(misplaced(picture), [])
      }
    })
  }
})
