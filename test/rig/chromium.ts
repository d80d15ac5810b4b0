import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { isJsonObject, parseJson } from '../../src/cni/json.ts'
import { tempDir } from './temp-dir.ts'

const execute = promisify(execFile)

/** What a reader's system prefers. */
export type ColourScheme = 'light' | 'dark'

/** One text as the browser has laid it out, in pixels of the page. */
interface MeasuredText {
  readonly text: string
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  /** As it is painted: `rgb(31, 35, 40)`. */
  readonly colour: string
}

/** A picture as the browser has laid it out. */
export interface MeasuredPicture {
  readonly scheme: ColourScheme
  readonly width: number
  readonly height: number
  readonly page: string
  readonly texts: readonly MeasuredText[]
  /** Whether all that can be selected is what the texts say. */
  readonly selected: string
}

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--hide-scrollbars',
]
/** Blink's numbers for what the system prefers. */
const SCHEMES = { dark: 0, light: 1 }
const LIMIT_MS = 60_000

/** Lays an SVG out in headless Chromium and measures what it made of each text. */
export async function measurePicture(svg: string, scheme: ColourScheme): Promise<MeasuredPicture> {
  const dom = await run(scheme, ['--dump-dom', writePage(`${svg}<pre id="measured"></pre>${MEASURE}`)])
  const [, text = ''] = /<pre id="measured">([\s\S]*?)<\/pre>/.exec(dom) ?? []
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"' }
  const measured = parseJson(
    text.replace(/&(amp|lt|gt|quot);/g, (_, name: string) => entities[name] ?? ''),
    'what Chromium measured',
  )
  if (!isJsonObject(measured)) throw new Error(`Chromium measured nothing: ${dom.slice(0, 2000)}`)
  return measured as unknown as MeasuredPicture
}

/** Takes a screenshot of an SVG file as a reader opens it; gives the PNG. */
export async function photograph(
  svg: string,
  scheme: ColourScheme,
  size: { readonly width: number; readonly height: number },
): Promise<Buffer> {
  const dir = tempDir('photograph')
  const picture = join(dir, 'picture.svg')
  const photo = join(dir, `${scheme}.png`)
  writeFileSync(picture, svg)
  const window = `--window-size=${Math.ceil(size.width)},${Math.ceil(size.height)}`
  await run(scheme, [`--screenshot=${photo}`, window, pathToFileURL(picture).href])
  return readFileSync(photo)
}

async function run(scheme: ColourScheme, args: readonly string[]): Promise<string> {
  const profile = tempDir('chromium')
  const { stdout } = await execute(
    'chromium',
    [
      ...FLAGS,
      `--user-data-dir=${profile}`,
      `--blink-settings=preferredColorScheme=${SCHEMES[scheme]}`,
      ...args,
    ],
    { timeout: LIMIT_MS, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 },
  )
  return stdout
}

function writePage(body: string): string {
  const path = join(tempDir('page'), 'page.html')
  writeFileSync(path, `<!doctype html><meta charset="utf-8"><body style="margin:0">${body}`)
  return pathToFileURL(path).href
}

const MEASURE = `<script>
const svg = document.querySelector('svg')
const texts = [...svg.querySelectorAll('text')].map((element) => {
  const { x, y, width, height } = element.getBBox()
  return { text: element.textContent, x, y, width, height, colour: getComputedStyle(element).fill }
})
const range = document.createRange()
range.selectNodeContents(svg)
getSelection().removeAllRanges()
getSelection().addRange(range)
const { width, height } = svg.viewBox.baseVal
document.querySelector('#measured').textContent = JSON.stringify({
  scheme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',
  width, height, texts,
  page: getComputedStyle(svg.querySelector('.page')).fill,
  selected: getSelection().toString(),
})
</script>`
