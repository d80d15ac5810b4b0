import { inflateSync } from 'node:zlib'

/** Pixels of a PNG. */
export interface Pixels {
  readonly width: number
  readonly height: number
  /** Red, green and blue of one pixel, as one number. */
  at(x: number, y: number): number
}

/** Reads a PNG of 8 bits a channel, with or without alpha, not interlaced: what Chromium writes. */
export function decodePng(png: Buffer): Pixels {
  const chunks: Buffer[] = []
  let header: Buffer | undefined
  for (let offset = 8; offset < png.length; ) {
    const length = png.readUInt32BE(offset)
    const type = png.toString('latin1', offset + 4, offset + 8)
    const data = png.subarray(offset + 8, offset + 8 + length)
    if (type === 'IHDR') header = data
    if (type === 'IDAT') chunks.push(data)
    offset += 12 + length
  }
  if (header === undefined) throw new Error('no PNG')
  const [width, height, depth, colourType, interlace] = [
    header.readUInt32BE(0),
    header.readUInt32BE(4),
    header[8],
    header[9],
    header[12],
  ]
  if (depth !== 8 || interlace !== 0 || (colourType !== 2 && colourType !== 6))
    throw new Error(`a PNG of another kind: ${depth} bits, colour type ${colourType}`)
  const size = colourType === 6 ? 4 : 3
  const rows = unfilter(inflateSync(Buffer.concat(chunks)), width * size, height, size)
  return { width, height, at: (x, y) => rows.readUIntBE(y * width * size + x * size, 3) }
}

/** Undoes the filters of the rows: each byte is the difference to its neighbours. */
function unfilter(data: Buffer, stride: number, height: number, size: number): Buffer {
  const rows = Buffer.alloc(stride * height)
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)]
    for (let x = 0; x < stride; x++) {
      const left = x < size ? 0 : (rows[y * stride + x - size] ?? 0)
      const up = y === 0 ? 0 : (rows[(y - 1) * stride + x] ?? 0)
      const corner = x < size || y === 0 ? 0 : (rows[(y - 1) * stride + x - size] ?? 0)
      const near = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter ?? 0] ?? 0
      rows[y * stride + x] = ((data[y * (stride + 1) + 1 + x] ?? 0) + near) & 255
    }
  }
  return rows
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}
