import * as assert from 'uvu/assert'
import { validateFiles } from '../../src/validation/validate.ts'
import { seededRandom } from '../cni/random.ts'
import { spec } from '../spec.ts'
import { readCorpus } from './corpus.ts'

const ROUNDS = 400

spec('texts that nobody would write', (it) => {
  const corpus = [...readCorpus('good'), ...readCorpus('bad')]

  it('whatever is cut, doubled or put in, every finding has a place inside the file', () => {
    const random = seededRandom(20)
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      ':',
      ',',
      '\n',
      '  ',
      '- ',
      '&a ',
      '*a',
      'null',
      '0',
      '\u0000',
      '😀',
      '|',
      '---\n',
    ] as const
    for (let round = 0; round < ROUNDS; round++) {
      const file = corpus[random.below(corpus.length)]
      if (file === undefined) throw new Error('no corpus')
      let { text } = file
      for (let change = random.below(4); change >= 0; change--) {
        const at = random.below(text.length + 1)
        const end = Math.min(text.length, at + random.below(30))
        const put = random.chance()
          ? random.pick(pieces)
          : random.chance()
            ? text.slice(at, end).repeat(2)
            : ''
        text = text.slice(0, at) + put + text.slice(end)
      }
      const lines = text.split('\n')
      for (const { line, column, message } of validateFiles([{ name: file.name, text }]).findings) {
        const length = lines[(line ?? 0) - 1]?.length
        assert.ok(
          length !== undefined && column !== null && column >= 1 && column <= length + 1,
          `${file.name} ${line}:${column} ${message}`,
        )
      }
    }
  })

  it('a plugin may be called as what every object has', () => {
    for (const type of ['__proto__', '__defineGetter__', 'constructor', 'toString']) {
      const text = JSON.stringify({ cniVersion: '1.0.0', name: 'a', plugins: [{ type, ipam: { type } }] })
      const { findings } = validateFiles([{ name: 'a.conflist', text }])
      assert.equal(
        findings.filter(({ severity }) => severity === 'error'),
        [],
      )
    }
  })

  it('what contains itself is refused', () => {
    const text = 'kind: List\napiVersion: v1\nitems: &it\n  inner: *it\n'
    const { findings } = validateFiles([{ name: 'circle.yaml', text }])
    assert.equal(
      findings.map(({ code, message }) => `${code} ${message}`),
      ['yaml-syntax not YAML: Converting circular structure to JSON'],
    )
  })

  it('a thousand networks of one node are compared in little time', () => {
    const config = (index: number): string =>
      `{"cniVersion": "1.0.0", "type": "bridge", "bridge": "br${index}", "ipam": {"type": "host-local", "subnet": "10.${index >> 8}.${index & 255}.0/24"}}`
    const text = Array.from(
      { length: 1000 },
      (_, index) =>
        `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: n${index}}\nspec:\n  config: '${config(index)}'\n`,
    ).join('---\n')
    const { findings, checked } = validateFiles([{ name: 'many.yaml', text }])
    assert.equal(findings, [])
    assert.is(checked.networks, 1000)
  })

  it('an alias bomb is refused at once', () => {
    let text = 'a: &a [x, x, x, x, x, x, x, x, x, x]\n'
    for (const [name, of] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf', 'hg'].map((pair) => [pair[0], pair[1]])) {
      text += `${name}: &${name} [${`*${of}, `.repeat(9)}*${of}]\n`
    }
    const { findings } = validateFiles([{ name: 'bomb.yaml', text }])
    assert.equal(
      findings.map(({ code }) => code),
      ['yaml-syntax'],
    )
  })
})
