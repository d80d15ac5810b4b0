import * as assert from 'uvu/assert'
import { drawMap } from '../../src/map/map-drawing.ts'
import { compareNames, type NetworkMap } from '../../src/map/network-map.ts'
import { textsOf } from '../../src/map/shapes.ts'
import { renderSvg } from '../../src/map/svg.ts'
import { spec } from '../spec.ts'
import { misplacedTexts } from './boxes.ts'
import { sampleMap } from './sample.ts'

const HOSTILE = `</text><script>alert(1)</script>"'&\u0000\u001b[31m\u202e\ud800\uffff`

const hostile = (map: NetworkMap): NetworkMap => ({
  ...map,
  networks: map.networks.map((network) => ({
    ...network,
    name: `${network.name}${HOSTILE}`,
    facts: [HOSTILE],
  })),
  pods: map.pods.map((pod) => ({
    namespace: HOSTILE,
    name: `${pod.name}${HOSTILE}`,
    containerId: HOSTILE,
    remark: HOSTILE,
    interfaces: pod.interfaces.map((mapped) => ({
      network: `${mapped.network}${HOSTILE}`,
      ...{ ifName: HOSTILE, addresses: [HOSTILE], mac: HOSTILE, device: HOSTILE },
      ...{ hasDefaultRoute: true, state: 'attached' as const },
    })),
  })),
})

spec('the drawing of a map', (it) => {
  for (const size of [0, 1, 3, 30, 100]) {
    it(`with ${size} pods no text is over another or outside the page`, () => {
      assert.equal(misplacedTexts(drawMap(sampleMap(size))), [])
    })
  }

  it('long names, many addresses and strange texts keep their places too', () => {
    assert.equal(misplacedTexts(drawMap(hostile(sampleMap(12)))), [])
    const map = sampleMap(9)
    const addresses = Array.from(
      { length: 9 },
      (_, index) => `2001:db8:aaaa:bbbb:cccc:dddd:eeee:${index}/128`,
    )
    const pods = map.pods.map((pod) => ({
      ...pod,
      name: `${'very-long-'.repeat(25)}${pod.name}`,
      interfaces: pod.interfaces.map((mapped) => ({ ...mapped, addresses })),
    }))
    assert.equal(misplacedTexts(drawMap({ ...map, pods })), [])
  })

  it('one namespace of a hundred pods, and a hundred networks of ten namespaces, keep their places', () => {
    assert.equal(misplacedTexts(drawMap(sampleMap(100, ['telco']))), [])
    const many = Array.from({ length: 100 }, (_, index) => `ns-${index % 10}/network-${index}`)
    const map: NetworkMap = {
      ...sampleMap(0),
      networks: many.map((name) => ({
        name,
        isDefault: false,
        plugins: ['macvlan'],
        facts: [],
        problem: null,
      })),
      pods: sampleMap(
        100,
        Array.from({ length: 10 }, (_, index) => `ns-${index}`),
      ).pods.map((pod, index) => ({
        ...pod,
        interfaces: pod.interfaces.map((mapped) => ({ ...mapped, network: many[index] ?? '' })),
      })),
    }
    const drawing = drawMap(map)
    assert.equal(misplacedTexts(drawing), [])
    // Lines of one namespace take no room in another's panel.
    assert.ok(drawing.width < 3000, `${drawing.width} wide`)
  })

  it('every pod, interface, address and device is on it, the networks without pods too', () => {
    const map = sampleMap(30)
    const texts = textsOf(drawMap(map).shapes).map(({ text }) => text)
    const wanted = [
      ...map.pods.map(({ name }) => name),
      ...map.pods.flatMap(({ interfaces }) => interfaces.flatMap(({ addresses }) => addresses)),
      ...map.pods.flatMap(({ interfaces }) => interfaces.flatMap(({ device }) => device ?? [])),
      'default/broken',
      'configuration not readable',
      'not attached',
      'Namespace telco',
    ]
    assert.equal(
      wanted.filter((text) => !texts.includes(text)),
      [],
    )
    const count = (text: string): number => texts.filter((each) => each === text).length
    assert.is(count('eth0'), 30)
  })

  it('the same map gives the same picture, whatever the order of its pods and networks', () => {
    const map = sampleMap(30)
    const turned = { ...map, networks: map.networks.toReversed(), pods: map.pods.toReversed() }
    assert.is(renderSvg(drawMap(turned)), renderSvg(drawMap(map)))
  })

  it('a default network has its card before those of others, and pods are in the order of people', () => {
    const texts = textsOf(drawMap(sampleMap(60, ['telco'])).shapes).map(({ text }) => text)
    assert.ok(texts.indexOf('cluster') < texts.indexOf('telco/n3'))
    assert.ok(texts.indexOf('telco-9') < texts.indexOf('telco-10'))
    assert.is(Math.sign(compareNames('a-2', 'a-10')), -1)
    assert.is(Math.sign(compareNames('a-2b', 'a-2a')), 1)
    assert.is(compareNames('a-2', 'a-2'), 0)
  })
})

spec('a map as SVG', (it) => {
  it('what names and addresses say stays text', () => {
    const svg = renderSvg(drawMap(hostile(sampleMap(3))))
    assert.not.match(svg, /<script/)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
    assert.not.match(svg, /[\u0000-\u0009\u000b-\u001f\u202e\ud800\uffff]/)
    assert.match(svg, /&lt;\/text&gt;&lt;script&gt;/)
    assert.ok(svg.includes('\\u202e'))
    assert.is(svg.split('<').length, svg.split('>').length)
  })

  it('has a title, a description, both colour schemes, and nothing from elsewhere', () => {
    const svg = renderSvg(drawMap(sampleMap(3)))
    assert.match(svg, /<title id="plexus-title">Networks of this node<\/title>/)
    assert.match(svg, /<desc id="plexus-description">3 pods .*telco\/telco-0: eth0 on cluster/)
    assert.match(svg, /@media \(prefers-color-scheme:dark\)/)
    assert.not.match(
      svg.replace('http://www.w3.org/2000/svg', ''),
      /https?:|url\(|href|@import|<image|<foreignObject/,
    )
  })
})
