import type { Box, Drawing } from '../../src/map/shapes.ts'
import { textBox, textsOf } from '../../src/map/shapes.ts'

/** What is wrong with the places of a drawing's texts: one over another, or outside the page. */
export function misplacedTexts({ shapes, width, height }: Drawing): string[] {
  const boxes = textsOf(shapes).map((shape) => ({ text: shape.text, box: textBox(shape) }))
  const outside = boxes
    .filter(({ box }) => box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height)
    .map(({ text }) => `"${text}" is not on the page`)
  return [...outside, ...overlaps(boxes)]
}

/** Sorted by their upper edges, only neighbours can overlap. */
function overlaps(boxes: readonly { readonly text: string; readonly box: Box }[]): string[] {
  const sorted = [...boxes].sort((one, other) => one.box.y - other.box.y)
  return sorted.flatMap((one, index) => {
    const faults: string[] = []
    for (const other of sorted.slice(index + 1)) {
      if (other.box.y >= one.box.y + one.box.height) break
      const isBeside = other.box.x >= one.box.x + one.box.width || one.box.x >= other.box.x + other.box.width
      if (!isBeside) faults.push(`"${one.text}" and "${other.text}" overlap`)
    }
    return faults
  })
}
