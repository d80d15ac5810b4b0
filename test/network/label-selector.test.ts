import * as assert from 'uvu/assert'
import { matchesLabels, parseLabelSelector } from '../../src/network/label-selector.ts'
import { spec } from '../spec.ts'

const LABELS = { team: 'core', env: 'prod', 'example.com/zone': 'a.b_c', empty: '' }

function matches(text: string): boolean {
  const { requirements, fault } = parseLabelSelector(text)
  if (requirements === undefined) throw new Error(`${text} ${fault}`)
  return matchesLabels(requirements, LABELS)
}

spec('selectors of labels', (it) => {
  const matching = [
    'team=core',
    'team == core',
    ' team=core , env=prod ',
    'team in (core)',
    'team in ( edge , core ),env=prod',
    'team',
    '!legacy',
    '! legacy,team',
    'env!=test',
    'legacy!=x',
    'env notin (test, dev)',
    'legacy notin (x)',
    'example.com/zone=a.b_c',
    'empty=',
    'empty in (,x)',
  ]
  for (const text of matching) it(`matches: ${text}`, () => assert.is(matches(text), true))

  const others = [
    'team=edge',
    'team=Core',
    'team=core,env=test',
    'team in (edge,dev)',
    'legacy',
    'legacy=',
    '!team',
    'env!=prod',
    'env notin (test, prod)',
    'constructor',
    'zone=a.b_c',
  ]
  for (const text of others) it(`does not match: ${text}`, () => assert.is(matches(text), false))

  const wrong: readonly (readonly [string, RegExp])[] = [
    ['', /is empty/],
    ['  ', /is empty/],
    ['team=core,', /no requirement .* at ""/],
    [',team', /no requirement/],
    ['team core', /no requirement .* at "team core"/],
    ['team in core', /no requirement/],
    ['team in (core', /no requirement/],
    ['team in (a),env in (b))', /no requirement/],
    ['team>3', /no requirement/],
    ['-team=core', /has "-team", which can be no label/],
    ['team=-', /has "-", which/],
    ['a/b/c=d', /has "a\/b\/c", which/],
    ['Example.com/a=d', /has "Example.com\/a", which/],
    [`team=${'x'.repeat(64)}`, /which can be no label/],
    ['{"matchLabels":{"team":"core"}}', /no requirement/],
    ['x,'.repeat(3000), /more than 4096 characters/],
    [`${' '.repeat(4000)}=`, /no requirement/],
  ]
  for (const [text, reason] of wrong) {
    it(`is none: ${text.trim().slice(0, 40)}`, () =>
      assert.match(parseLabelSelector(text).fault ?? '', reason))
  }
})
