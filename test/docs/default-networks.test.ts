import * as assert from 'uvu/assert'
import { parseConflist } from '../../src/cni/conflist.ts'
import { parseJson } from '../../src/cni/json.ts'
import { NETWORK_SYSTEMS } from '../../src/plan/systems/registry.ts'
import { spec } from '../spec.ts'
import { nadOfSection, PAGE, rowOf, sectionTextOf } from './default-networks-page.ts'
import { readDocument, sectionOf } from './markdown.ts'

const text = readDocument(PAGE)

spec('docs/default-networks.md', (it) => {
  it('its table has the row of every system in the registry and no other', () => {
    const rows = sectionOf(text, 'The systems')
      .split('\n')
      .filter((line) => line.startsWith('| ['))
    assert.equal(rows, NETWORK_SYSTEMS.map(rowOf))
  })

  for (const system of NETWORK_SYSTEMS) {
    it(`the section of ${system.id} says what the registry knows, with an example and what was run`, () => {
      const section = sectionOf(text, system.title)
      assert.ok(section.includes(sectionTextOf(system)), `expected in the section:\n${sectionTextOf(system)}`)
      const { name, config } = nadOfSection(system.title)
      parseConflist(parseJson(config, 'example'), { what: 'example', fallbackName: name, form: 'by-content' })
      assert.match(section, /^Tried: /m)
    })
  }

  it('has a section for every system and no other', () => {
    const headings = [...text.matchAll(/^### (.+)$/gm)].map((match) => match[1])
    assert.equal(
      headings,
      NETWORK_SYSTEMS.map(({ title }) => title),
    )
  })

  it('every system has a quirk with a remedy', () => {
    for (const { id, quirks } of NETWORK_SYSTEMS) assert.ok(quirks.length > 0, id)
  })
})
