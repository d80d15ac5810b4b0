import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { drawMap } from '../../src/map/map-drawing.ts'
import { renderSvg } from '../../src/map/svg.ts'
import { spec } from '../spec.ts'
import { ROOT } from './markdown.ts'

const styleOf = (svg: string): string => svg.slice(svg.indexOf('<style>'), svg.indexOf('</style>'))

spec('the pictures of the demo in docs/', (it) => {
  for (const [name, words] of [
    ['map.svg', ['Networks of this node', 'Namespace demo', 'database', 'web', 'default route']],
    ['map-pod.svg', ['Pod demo/web', 'Calls of plugins', 'plexus', 'itself', 'macvlan']],
  ] as const) {
    it(`${name} is as plexus map draws now; else run bin/plexus demo --pictures docs`, () => {
      const svg = readFileSync(join(ROOT, 'docs', name), 'utf8')
      const now = renderSvg(drawMap({ origin: 'journal', networks: [], pods: [] }))
      assert.is(styleOf(svg), styleOf(now))
      for (const word of words) assert.ok(svg.includes(`>${word}</text>`), `no "${word}"`)
      for (const address of [/>10\.244\.0\.\d+\/24</, />192\.168\.10\.\d+\/24</, />10\.20\.0\.\d+\/24</])
        assert.match(svg, address)
    })
  }
})
