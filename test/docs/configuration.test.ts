import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { CniError } from '../../src/cni/cni-error.ts'
import { parseConflist } from '../../src/cni/conflist.ts'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { CNI_VERSIONS } from '../../src/cni/version.ts'
import {
  DAEMON_CONF_DEFAULTS,
  DAEMON_CONF_KEYS,
  INEFFECTIVE_KEYS,
  overlayNetConf,
  parseDaemonConf,
  RESTART_KEYS,
} from '../../src/config/daemon-conf.ts'
import { daemonConfSchema } from '../../src/config/daemon-conf-schema.ts'
import { NET_CONF_DEFAULTS, parseNetConf } from '../../src/config/net-conf.ts'
import { netConfSchema } from '../../src/config/net-conf-schema.ts'
import { DEFAULT_NETWORK_ANNOTATION, NETWORKS_ANNOTATION } from '../../src/network/annotations.ts'
import { parseSelectionElements } from '../../src/network/selection-element.ts'
import { chooseNetworks, type NetworkReference } from '../../src/plan/requested-network.ts'
import { spec } from '../spec.ts'
import { codeOf, fencedBlocks, ROOT, readDocument, sectionOf, tableRows } from './markdown.ts'

const text = readDocument('docs/configuration.md')
const rows = tableRows(sectionOf(text, 'Keys'), 'Key')
const properties: Readonly<Record<string, JsonObject>> = netConfSchema.properties
const minimal = { type: 'plexus' }

/** The type of a key as the document words it. */
function typeText(schema: JsonObject): string {
  const { type, items, pattern, additionalProperties } = schema
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map((value) => `\`${value}\``).join(', ')}`
  if (Array.isArray(type)) return type.join(' or ')
  if (type === 'array') return `list of ${isJsonObject(items) ? items.type : '?'}s`
  if (type === 'string' && pattern === '^/') return 'absolute path'
  return isJsonObject(additionalProperties) ? `object of ${additionalProperties.type}s` : String(type)
}

/** The defaults under the key that sets them. */
const defaults: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(NET_CONF_DEFAULTS).map(([key, value]) => [key === 'confDirs' ? 'confDir' : key, value]),
)

function warningsOf(conf: JsonObject): readonly string[] {
  return parseNetConf(conf).warnings
}

spec('docs/configuration.md', (it) => {
  it('has a row for every key of the schema and no other', () => {
    assert.equal(rows.map(({ Key }) => codeOf(Key)).sort(), Object.keys(properties).sort())
  })

  for (const row of rows) {
    const key = codeOf(row.Key)
    it(`"${key}" has its type, its default and an example that is accepted`, () => {
      assert.is(row.Type, typeText(properties[key] ?? {}))
      assert.ok((row.Meaning ?? '').length > 10)
      const fallback = row.Default === '–' ? undefined : JSON.parse(codeOf(row.Default))
      assert.equal(fallback, defaults[key])
      assert.equal(warningsOf({ ...minimal, [key]: JSON.parse(codeOf(row.Example)) }), [])
    })
  }

  it('a default that is written out changes nothing', () => {
    // The default of confDir is two folders, which the key itself cannot name.
    const { confDir: _, ...written } = defaults
    assert.equal(parseNetConf({ ...minimal, ...written }), parseNetConf(minimal))
  })

  it('every JSON example is what it looks like: a net-conf, an annotation or a network', () => {
    const blocks = fencedBlocks(text).filter(({ language }) => language === 'json')
    assert.ok(blocks.length > 2)
    for (const { text: json } of blocks) {
      const value: unknown = JSON.parse(json)
      if (Array.isArray(value)) {
        const { elements, warnings } = parseSelectionElements(json, {
          annotation: NETWORKS_ANNOTATION,
          namespace: 'default',
        })
        assert.is(elements.length, value.length)
        assert.equal(warnings, [])
      } else if (isJsonObject(value) && value.type === 'plexus') {
        assert.equal(warningsOf(value), [])
        for (const delegate of parseNetConf(value).delegates) {
          parseConflist(delegate, { what: 'example', form: 'by-content' })
        }
      } else parseConflist(value, { what: 'example', form: 'by-content' })
    }
  })

  it('every key of the annotation that it lists is known, with an example that is accepted', () => {
    for (const row of tableRows(sectionOf(text, 'What a pod may ask of a network'), 'Key')) {
      const key = codeOf(row.Key)
      const element = { name: 'n6', [key]: JSON.parse(codeOf(row.Example)) }
      const options = { annotation: NETWORKS_ANNOTATION, namespace: 'default' }
      assert.equal(parseSelectionElements(JSON.stringify([element]), options).warnings, [], key)
    }
  })

  it('it lists every version that Plexus speaks', () => {
    const sentence = /Plexus speaks CNI ([\d., and]+)\. /.exec(sectionOf(text, 'Versions'))?.[1] ?? ''
    assert.equal(sentence.split(/, | and /), [...CNI_VERSIONS])
  })
})

spec('default network, by the table of docs/configuration.md', (it) => {
  const sources: Readonly<Record<string, { conf: JsonObject; gives: NetworkReference }>> = {
    'the pod’s annotation': { conf: {}, gives: { kind: 'nad', namespace: 'kube-system', name: 'annotated' } },
    defaultNetwork: {
      conf: { defaultNetwork: '/etc/cni/net.d/10-a.conflist' },
      gives: { kind: 'path', path: '/etc/cni/net.d/10-a.conflist' },
    },
    clusterNetwork: {
      conf: { clusterNetwork: 'telco/b' },
      gives: { kind: 'nad', namespace: 'telco', name: 'b' },
    },
    'delegates[0]': {
      conf: { delegates: [{ name: 'c', type: 'bridge' }] },
      gives: {
        kind: 'inline',
        conf: { name: 'c', type: 'bridge' },
        what: 'delegates[0] of the net-conf',
      },
    },
    multusAutoconfigDir: {
      conf: { multusAutoconfigDir: '/etc/d' },
      gives: { kind: 'first-file', directory: '/etc/d' },
    },
  }
  const order = Object.keys(sources)
  const table = tableRows(sectionOf(text, 'Which network is the default one'), '#')

  it('has a row for each way to name it, in the order that holds', () => {
    assert.equal(
      table.map((row) => Number(row['#'])),
      order.map((_, index) => index + 1),
    )
    for (const [index, source] of order.entries()) {
      const named = (table[index]?.['Named by'] ?? '').replaceAll('`', '').replace("'", '’')
      assert.ok(named.includes(source), `row ${index + 1} is "${named}", not "${source}"`)
    }
  })

  for (const [index, source] of order.entries()) {
    it(`NPWG-102 row ${index + 1}: ${source} wins over all below it`, () => {
      const below = order.slice(index).map((name) => sources[name]?.conf)
      const conf = parseNetConf(Object.assign({}, minimal, ...below))
      const annotations: Record<string, string> =
        index === 0 ? { [DEFAULT_NETWORK_ANNOTATION]: 'annotated' } : {}
      const [first] = chooseNetworks(conf, { namespace: 'default', annotations }).networks
      assert.ok(first?.isDefault)
      assert.equal(first.reference, sources[source]?.gives)
    })
  }

  it('NPWG-102 an annotation with two networks is refused, not cut to one', () => {
    const annotations = { [DEFAULT_NETWORK_ANNOTATION]: 'one,two' }
    assert.throws(
      () => chooseNetworks(parseNetConf(minimal), { namespace: 'default', annotations }),
      (error: unknown) => error instanceof CniError && /exactly one is allowed/.test(error.message),
    )
  })
})

const DAEMON_HEADING = "The daemon's configuration file"

spec("the daemon's configuration file in docs/configuration.md", (it) => {
  const section = sectionOf(text, DAEMON_HEADING)
  const ownRows = tableRows(section, 'Own key')
  const known: Readonly<Record<string, JsonObject>> = daemonConfSchema.properties
  const ownDefaults: Readonly<Record<string, unknown>> = DAEMON_CONF_DEFAULTS

  it('has a row for each own key of the daemon and no other', () => {
    assert.equal(ownRows.map((row) => codeOf(row['Own key'])).sort(), [...DAEMON_CONF_KEYS].sort())
  })

  for (const row of ownRows) {
    const key = codeOf(row['Own key'])
    it(`"${key}" has its type, its default and an example that is accepted`, () => {
      assert.is(row.Type, typeText(known[key] ?? {}))
      assert.ok((row.Meaning ?? '').length > 10)
      const fallback = row.Default === '–' ? undefined : JSON.parse(codeOf(row.Default))
      assert.equal(fallback, ownDefaults[key])
      parseDaemonConf({ [key]: JSON.parse(codeOf(row.Example)) })
    })
  }

  it('an own default that is written out changes nothing, and neither does an empty file', () => {
    assert.equal(parseDaemonConf({ ...ownDefaults }), parseDaemonConf({}))
  })

  it('each key is either an own one, one of the net-conf, or said to be left out', () => {
    const leftOut = tableRows(section, 'Not in this file').map((row) => codeOf(row['Not in this file']))
    for (const row of rows) {
      const key = codeOf(row.Key)
      const file = { [key]: JSON.parse(codeOf(row.Example)) }
      if (!leftOut.includes(key)) assert.not.throws(() => parseDaemonConf(file), undefined, key)
      else
        assert.throws(
          () => parseDaemonConf(file),
          (error: unknown) => error instanceof CniError && error.message.includes(key),
        )
    }
    const described = [...rows.map(({ Key }) => codeOf(Key)), ...ownRows.map((row) => codeOf(row['Own key']))]
    const expected = [...new Set(described)].filter((key) => !leftOut.includes(key))
    assert.equal(expected.sort(), Object.keys(known).sort())
  })

  it('what it says of keys with another effect is said of keys that may be there', () => {
    const names = tableRows(section, 'Key of the net-conf').map((row) => codeOf(row['Key of the net-conf']))
    assert.ok(names.length > 3)
    for (const name of names) assert.ok(name in known, name)
  })

  it('the keys that it says have no effect are those that the daemon warns of, and the same for a restart', () => {
    const idle = tableRows(section, 'Key of the net-conf').filter((row) =>
      row['With the daemon']?.startsWith('No effect'),
    )
    assert.equal(
      idle.map((row) => codeOf(row['Key of the net-conf'])).sort(),
      Object.keys(INEFFECTIVE_KEYS).sort(),
    )
    for (const row of rows.filter(({ Key }) => codeOf(Key) in INEFFECTIVE_KEYS)) {
      const { warnings } = parseDaemonConf({ [codeOf(row.Key)]: JSON.parse(codeOf(row.Example)) })
      assert.is(warnings.length, 1)
      assert.match(warnings[0] ?? '', `/${codeOf(row.Key)} has no effect`)
    }
    const sentence = /^(.+) take effect at restart/m.exec(section)?.[1] ?? ''
    assert.equal(
      [...sentence.matchAll(/`(\w+)`/g)].map((match) => match[1]),
      [...RESTART_KEYS],
    )
  })

  it('its example is accepted, and its keys win over those of the net-conf', () => {
    const examples = fencedBlocks(text).filter(({ language }) => language === 'yaml')
    assert.is(examples.length, 1)
    const value: unknown = parse(examples[0]?.text ?? '')
    if (!isJsonObject(value)) throw new Error('the example is no object')
    const { netConf } = parseDaemonConf(value)
    const stdin = { ...minimal, defaultNetwork: 'other', parallel: true }
    const overlaid = parseNetConf(overlayNetConf(stdin, netConf))
    assert.equal(overlaid.defaultNetwork, value.defaultNetwork)
    assert.ok(overlaid.parallel)
  })
})

spec("the shim's settings in docs/configuration.md", (it) => {
  const section = sectionOf(text, "The shim's settings")
  const settings = tableRows(section, 'Setting')
  const source = readFileSync(`${ROOT}native/config.c`, 'utf8')

  it('has a row for each key that the shim reads and no other', () => {
    const read = [...source.matchAll(/slice_is\(key, "(\w+)"\)|\{"(\w+)", &config/g)].map(
      (match) => match[1] ?? match[2],
    )
    assert.equal(settings.map(({ Setting }) => codeOf(Setting)).sort(), [...new Set(read)].sort())
  })

  it('the defaults are those of the source', () => {
    const field = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    for (const { Setting, Default } of settings) {
      const key = codeOf(Setting)
      const isTime = key.endsWith('Wait')
      const value = new RegExp(`\\.${field(key)}${isTime ? '_ms = (\\d+)000' : ' = "([^"]*)"'},`).exec(
        source,
      )?.[1]
      assert.is(value, Default === '–' ? undefined : codeOf(Default), key)
    }
  })

  it('its example has only keys that are described', () => {
    const example = fencedBlocks(section).find(({ language }) => language === 'ini')?.text ?? ''
    const keys = example.split('\n').flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? [])
    assert.ok(keys.length > 2)
    for (const key of keys)
      assert.ok(
        settings.some(({ Setting }) => codeOf(Setting) === key),
        key,
      )
  })
})
