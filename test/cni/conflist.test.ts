import * as assert from 'uvu/assert'
import { type Conflist, type ParseConflistOptions, parseConflist } from '../../src/cni/conflist.ts'
import { isJsonObject, parseJson } from '../../src/cni/json.ts'
import { spec } from '../spec.ts'
import { thrownBy } from './thrown.ts'

const WHAT = 'spec.config of NAD telco/n6'
const read = (value: unknown, options: Partial<ParseConflistOptions> = {}): Conflist =>
  parseConflist(value, { what: WHAT, form: 'by-content', ...options })
const list = (keys: object): object => ({
  cniVersion: '1.0.0',
  name: 'n6',
  plugins: [{ type: 'bridge' }],
  ...keys,
})

spec('conflist', (it) => {
  it('CNI-081 a conf without plugins is a list of one', () => {
    const conf = { cniVersion: '1.0.0', name: 'n6', type: 'macvlan', master: 'eth1' }
    assert.equal(read(conf), {
      name: 'n6',
      cniVersion: '1.0.0',
      plugins: [conf],
      disableCheck: false,
      disableGC: false,
      loadOnlyInlinedPlugins: false,
      isList: false,
      source: conf,
    })
  })

  it('CNI-071 members keep every key, its order and its digits', () => {
    const text =
      '{"name":"n6","plugins":[{"zeta":1.0,"type":"x","alpha":{"big":9007199254740993},"name":"own"}]}'
    const value = parseJson(text, 'x')
    assert.ok(isJsonObject(value))
    assert.is(JSON.stringify(read(value).plugins), JSON.stringify(value.plugins))
    assert.is(read(value).source, value)
  })

  it('CNI-082 a NAD without a name lends its own', () => {
    assert.is(read({ type: 'x' }, { fallbackName: 'foo' }).name, 'foo')
    assert.is(read({ type: 'x', name: '' }, { fallbackName: 'foo' }).name, 'foo')
    assert.is(read({ type: 'x', name: 'own' }, { fallbackName: 'foo' }).name, 'own')
  })

  for (const cniVersion of [undefined, null, '']) {
    it(`CNI-023 cniVersion ${JSON.stringify(cniVersion)} is 0.1.0`, () => {
      assert.is(read(list({ cniVersion })).cniVersion, '0.1.0')
    })
  }
  it('CNI-037 the highest version that we know out of cniVersions is taken', () => {
    assert.is(read(list({ cniVersions: ['0.4.0', '1.1.0', '2.0.0'] })).cniVersion, '1.1.0')
    assert.is(read(list({ cniVersion: undefined, cniVersions: ['0.4.0'] })).cniVersion, '0.4.0')
  })

  for (const key of ['disableCheck', 'disableGC', 'loadOnlyInlinedPlugins'] as const) {
    it(`CNI-084 ${key} is a boolean or the word for one in any case`, () => {
      for (const value of [true, 'true', 'True', 'TRUE']) assert.is(read(list({ [key]: value }))[key], true)
      for (const value of [false, 'false', 'False']) assert.is(read(list({ [key]: value }))[key], false)
      assert.is(read(list({}))[key], false)
    })
    it(`CNI-084 ${key} of any other kind is refused`, () => {
      for (const value of [1, 'yes', '', null, {}]) {
        assert.match(thrownBy(() => read(list({ [key]: value }))).message, `/${key} must be true or false`)
      }
    })
  }

  const directory = [{ type: 'tuning' }, { type: 'sbr' }]
  it('CNI-086 confs of the directory come after the inlined ones', () => {
    const found = read(list({}), { form: 'conflist', subdirectoryPlugins: directory })
    assert.equal(
      found.plugins.map(({ type }) => type),
      ['bridge', 'tuning', 'sbr'],
    )
  })
  it('CNI-086 a file without plugins lives by its directory', () => {
    const found = read({ name: 'n6' }, { form: 'conflist', subdirectoryPlugins: directory })
    assert.equal(found.plugins, directory)
    assert.ok(found.isList)
  })
  it('CNI-086 loadOnlyInlinedPlugins leaves the directory out', () => {
    const found = read(list({ loadOnlyInlinedPlugins: true }), {
      form: 'conflist',
      subdirectoryPlugins: directory,
    })
    assert.is(found.plugins.length, 1)
  })
  it('CNI-142 a file is read as its extension says', () => {
    assert.match(thrownBy(() => read(list({}), { form: 'conf' })).message, 'belongs into a .conflist file')
    assert.match(
      thrownBy(() => read({ name: 'n6', type: 'x' }, { form: 'conflist' })).message,
      'no plugin configs found',
    )
  })
})

const faulty: [title: string, value: unknown, phrase: string][] = [
  ['no object', [], 'must be a JSON object'],
  ['null', null, 'must be a JSON object'],
  ['CNI-082 no name at all', { type: 'x' }, 'no name'],
  ['CNI-008 a name with a slash', list({ name: 'a/b' }), '/name "a/b"'],
  ['a name that is no text', list({ name: 7 }), '/name must be a string'],
  ['CNI-083 a missing type', { name: 'n6' }, "missing 'type'"],
  [
    'CNI-083 a missing type of a member',
    list({ plugins: [{ type: 'x' }, {}] }),
    "/plugins/1: missing 'type'",
  ],
  ['CNI-083 an empty type', list({ plugins: [{ type: '' }] }), "missing 'type'"],
  ['CNI-083 a type that is no text', list({ plugins: [{ type: 1 }] }), '/plugins/0/type must be a string'],
  ['CNI-083 a type with a slash', { name: 'n6', type: '../../bin/sh' }, 'invalid plugin name: ../../bin/sh'],
  ['CNI-083 a type that is a directory', { name: 'n6', type: '..' }, 'invalid plugin name: ..'],
  [
    'CNI-083 an IPAM type with a slash',
    { name: 'n6', type: 'x', ipam: { type: '/bin/sh' } },
    'invalid plugin name: /bin/sh',
  ],
  ['a member that is no object', list({ plugins: ['x'] }), '/plugins/0 must be a JSON object'],
  ['CNI-085 an empty list', list({ plugins: [] }), 'no plugins in list'],
  ['CNI-085 plugins that are no list', list({ plugins: {} }), '/plugins must be a list'],
  ['CNI-085 plugins that are null', list({ plugins: null }), '/plugins must be a list'],
  [
    'CNI-078 a capability that is no boolean',
    list({ plugins: [{ type: 'x', capabilities: { mac: 'true' } }] }),
    '/plugins/0/capabilities/mac must be true or false, not "true"',
  ],
  [
    'CNI-078 capabilities that are a list',
    { name: 'n6', type: 'x', capabilities: ['mac'] },
    '/capabilities must be a JSON object',
  ],
  [
    'NPWG C-32 args that are no object',
    { name: 'n6', type: 'x', args: 'A=1' },
    '/args must be a JSON object',
  ],
  [
    'NPWG C-32 args.cni that is no object',
    list({ plugins: [{ type: 'x', args: { cni: [] } }] }),
    '/plugins/0/args/cni must be a JSON object',
  ],
  ['a cniVersion that is no text', list({ cniVersion: 1 }), '/cniVersion must be a string'],
  ['CNI-037 cniVersions that are no list', list({ cniVersions: '1.0.0' }), '/cniVersions must be a list'],
  ['CNI-037 an entry of cniVersions that is no version', list({ cniVersions: ['x'] }), '"x" is no version'],
]

spec('conflist faults', (it) => {
  for (const [title, value, phrase] of faulty) {
    it(`${title} is refused by name`, () => {
      const error = thrownBy(() => read(value))
      assert.is(error.code, 7)
      assert.match(error.message, `${WHAT}: `)
      assert.match(error.message, phrase)
    })
  }
  it('CNI-085 loadOnlyInlinedPlugins without plugins is refused', () => {
    const error = thrownBy(() =>
      read(
        { name: 'n6', loadOnlyInlinedPlugins: true },
        { form: 'conflist', subdirectoryPlugins: [{ type: 'x' }] },
      ),
    )
    assert.match(error.message, 'there is no "plugins"')
  })
  it('CNI-086 a conf of the directory needs a type', () => {
    const error = thrownBy(() => read(list({}), { form: 'conflist', subdirectoryPlugins: [{}] }))
    assert.match(error.message, "file 1 of the directory: missing 'type'")
  })
  it('CNI-078 a capability that is null counts as false', () => {
    assert.is(read({ name: 'n6', type: 'x', capabilities: { mac: null } }).plugins.length, 1)
  })
  it('CNI-033 an unknown version names network, plugin, version asked and those supported', () => {
    const error = thrownBy(() => read(list({ cniVersion: '2.0.0' })))
    assert.is(error.code, 1)
    for (const part of ['telco/n6', '"n6"', '"bridge"', '"2.0.0"', '0.1.0', '1.1.0'])
      assert.match(error.message, part)
  })
  it('several faults come at once', () => {
    const error = thrownBy(() =>
      read({ name: 'a b', cniVersion: '9', plugins: [{}, { type: 'a/b' }], disableGC: 1 }),
    )
    assert.is(error.code, 7)
    assert.is(error.faults.length, 5)
  })
})
