import * as assert from 'uvu/assert'
import type { PodMap } from '../../src/map/network-map.ts'
import { drawPod } from '../../src/map/pod-drawing.ts'
import { type Shape, textsOf } from '../../src/map/shapes.ts'
import { spec } from '../spec.ts'
import { misplacedTexts } from './boxes.ts'
import { samplePod } from './sample.ts'

/** Bars of the waterfall from left to right and from top to bottom. */
function bars(shapes: readonly Shape[]): { x: number; y: number; width: number }[] {
  return shapes.flatMap((shape) =>
    shape.kind === 'group'
      ? bars(shape.shapes)
      : shape.kind === 'rect' && /^bar (?:f\d|bad)$/.test(shape.classes)
        ? [{ x: shape.x, y: shape.y, width: shape.width }]
        : [],
  )
}

const pods: readonly (readonly [title: string, pod: PodMap])[] = [
  ['three networks', samplePod()],
  ['no network at all', { ...samplePod(), attachments: [], calls: [] }],
  ['no known times', { ...samplePod(), durationMs: null, calls: [] }],
  [
    'times of nothing',
    {
      ...samplePod(),
      durationMs: 0,
      calls: samplePod().calls.map((call) => ({ ...call, startMs: 0, durationMs: 0 })),
    },
  ],
  [
    'a minute',
    {
      ...samplePod(),
      durationMs: 61_000,
      calls: samplePod().calls.map((call) => ({
        ...call,
        startMs: call.startMs * 400,
        durationMs: call.durationMs * 400,
      })),
    },
  ],
  [
    'long names',
    { ...samplePod(), name: 'x'.repeat(253), remark: 'undo pending', containerId: 'c'.repeat(200) },
  ],
]

spec('the drawing of a pod', (it) => {
  for (const [title, pod] of pods) {
    it(`${title}: no text is over another or outside the page`, () => {
      assert.equal(misplacedTexts(drawPod(pod)), [])
    })
  }

  it('tells each plugin of each chain in its order, and the share of the plugins in the time', () => {
    const { shapes, description } = drawPod(samplePod())
    const texts = textsOf(shapes).map(({ text }) => text)
    assert.match(
      description,
      /eth0 on cluster by bridge, portmap: 10\.0\.0\.2\/24; net1 on telco\/n3 by sriov, tuning/,
    )
    assert.ok(texts.some((text) => text.includes('ready after 148 ms, 136 ms of it in plugins')))
    assert.ok(texts.includes('ready after 148 ms'))
    assert.ok(texts.includes('13 ms, error 100'))
    assert.ok(texts.includes('macvlan DEL'))
  })

  it('has a row for the time that is none of a plugin', () => {
    const texts = textsOf(drawPod(samplePod()).shapes).map(({ text }) => text)
    // 148.2 ms, and the plugins were running for 136.4 of them.
    assert.is(texts[texts.indexOf('plexus') + 2], '12 ms')
  })

  it('bars begin and end in proportion to the times of the calls', () => {
    const { calls } = samplePod()
    const drawn = bars(drawPod(samplePod()).shapes)
    assert.is(drawn.length, calls.length)
    const [first, second] = drawn
    const [one, two] = calls
    assert.ok(first && second && one && two)
    const scale = first.width / one.durationMs
    assert.ok(Math.abs(second.x - first.x - (two.startMs - one.startMs) * scale) < 0.5)
    assert.ok(Math.abs(second.width - two.durationMs * scale) < 0.5)
    assert.ok(drawn.every((bar, index) => index === 0 || bar.y > (drawn[index - 1]?.y ?? 0)))
  })
})
