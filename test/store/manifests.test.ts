import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { manifestStore } from '../../src/store/manifests.ts'
import { spec } from '../spec.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** A store over a folder with these files. */
function storeOf(files: Record<string, string>) {
  const manifests = temporaryFolder()
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(manifests, path)), { recursive: true })
    writeFileSync(join(manifests, path), text)
  }
  return { manifests, store: manifestStore({ manifests, stateDir: temporaryFolder() }) }
}

async function errorOf(lookup: Promise<unknown>): Promise<CniError> {
  try {
    await lookup
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error('the lookup succeeded')
}

const pod = (name: string, namespace = 'telco') =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace } })

const NAD = `
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: { name: n6, namespace: telco }
spec:
  config: |
    {"cniVersion":"1.0.0","type":"macvlan","big":12345678901234567890}
`

spec('manifest store', (it) => {
  it('a file that goes while the others are read is no longer there, and no fault', async () => {
    const { manifests, store } = storeOf(
      Object.fromEntries(
        Array.from({ length: 200 }, (_, number) => [`pod-${number}.json`, pod(`p${number}`)]),
      ),
    )
    const last = join(manifests, 'zz.json')
    // Somewhere on the way from the folder's list to its last file, whatever the machine's speed.
    for (let waitMs = 0; waitMs < 40; waitMs += 2) {
      writeFileSync(last, pod(`z${waitMs}`))
      const [found] = await Promise.all([store.pod('telco', 'p0'), delay(waitMs).then(() => rmSync(last))])
      assert.is(found?.name, 'p0')
    }
  })

  it('finds pods and NADs in documents, lists and folders, and undefined for what is not there', async () => {
    const { store } = storeOf({
      'all.yaml': `# a comment first\n---\n${NAD}---\n---\nkind: Service\napiVersion: v1\n---\n${pod('a')}\n`,
      'list.yml': `apiVersion: v1\nkind: List\nitems:\n- ${pod('b')}\n- {kind: ConfigMap, apiVersion: v1}\n`,
      'deeper/still/typed.json': JSON.stringify({
        apiVersion: 'v1',
        kind: 'PodList',
        items: [{ metadata: { name: 'c', namespace: 'telco' } }],
      }),
      'nads.json': JSON.stringify({
        apiVersion: 'k8s.cni.cncf.io/v1',
        kind: 'NetworkAttachmentDefinitionList',
        items: [{ metadata: { name: 'n3', namespace: 'telco' } }],
      }),
    })
    for (const name of ['a', 'b', 'c']) assert.is((await store.pod('telco', name))?.name, name)
    assert.is((await store.nad('telco', 'n3'))?.name, 'n3')
    assert.is(await store.pod('telco', 'd'), undefined)
    assert.is(await store.pod('other', 'a'), undefined)
    assert.is(await store.nad('telco', 'a'), undefined)
  })

  it('CNI-071 the text of spec.config keeps every digit', async () => {
    const { store } = storeOf({ 'nad.yaml': NAD })
    const nad = await store.nad('telco', 'n6')
    assert.is(nad?.config, '{"cniVersion":"1.0.0","type":"macvlan","big":12345678901234567890}\n')
  })

  it('a pod without namespace is in the namespace default', async () => {
    const { store } = storeOf({ 'a.yaml': 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n' })
    assert.is((await store.pod('default', 'a'))?.namespace, 'default')
  })

  it('anchors, merge keys and a byte order mark are understood', async () => {
    const { store } = storeOf({
      'a.yaml': `\uFEFFapiVersion: v1\nkind: List\nitems:\n- &p\n  apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- <<: *p\n  metadata: {name: b}\n`,
    })
    assert.is((await store.pod('default', 'b'))?.name, 'b')
  })

  it('other files, hidden names and a mounted ConfigMap behind links are told apart', async () => {
    const { manifests, store } = storeOf({
      'readme.md': '{ not yaml',
      '.hidden.yaml': '{ not yaml',
      '..data/pod.yaml': pod('a'),
    })
    symlinkSync('..data/pod.yaml', join(manifests, 'pod.yaml'))
    assert.is((await store.pod('telco', 'a'))?.name, 'a')
  })

  it('single files and several folders are read too', async () => {
    const one = storeOf({ 'a.yaml': pod('a') })
    const two = storeOf({ 'b.yaml': pod('b') })
    const store = manifestStore({
      manifests: [join(one.manifests, 'a.yaml'), two.manifests],
      stateDir: temporaryFolder(),
    })
    assert.is((await store.pod('telco', 'a'))?.name, 'a')
    assert.is((await store.pod('telco', 'b'))?.name, 'b')
  })

  it('nothing is read before the first lookup, and again when a manifest has come or changed', async () => {
    const { manifests, store } = storeOf({})
    writeFileSync(join(manifests, 'a.yaml'), pod('a'))
    assert.is((await store.pod('telco', 'a'))?.name, 'a')
    writeFileSync(join(manifests, 'b.yaml'), pod('b'))
    assert.is((await store.pod('telco', 'b'))?.name, 'b')
  })

  it('a folder that is missing is an Io error that names it', async () => {
    const manifests = join(temporaryFolder(), 'none')
    const error = await errorOf(manifestStore({ manifests, stateDir: temporaryFolder() }).pod('a', 'b'))
    assert.is(error.code, CniErrorCode.Io)
    assert.ok(error.message.startsWith(`manifests ${manifests}: ENOENT`), error.message)
  })

  it('a link to nowhere is an Io error, not a file less', async () => {
    const { manifests, store } = storeOf({ 'a.yaml': pod('a') })
    symlinkSync('nowhere.yaml', join(manifests, 'b.yaml'))
    assert.is((await errorOf(store.pod('telco', 'a'))).code, CniErrorCode.Io)
  })

  const broken: [string, string, string, RegExp][] = [
    [
      'YAML that is none, with document and line',
      'x.yaml',
      `${pod('x')}\n---\nkind: Pod\nmetadata: {name: [}\n`,
      /x\.yaml document 2, line 4:\d+: /,
    ],
    [
      'a key that is there twice',
      'x.yaml',
      'kind: Pod\nkind: Pod\n',
      /x\.yaml document 1, line 2:1: .*unique/,
    ],
    [
      'JSON that is none, with its line',
      'x.json',
      '{\n"kind": }',
      /x\.json, line 2:9: not JSON: expected a value/,
    ],
    ['an empty JSON file', 'x.json', '', /x\.json, line 1:1: not JSON/],
    [
      'a text',
      'x.yaml',
      'just words\n',
      /x\.yaml document 1 \(line 1\): must be an object, not "just words"/,
    ],
    ['an object without kind', 'x.yaml', '---\nname: x\n', /document 1 \(line 2\): kind is missing/],
    [
      'an item without kind',
      'x.yaml',
      'kind: List\nitems: [{}]\n',
      /\(line 1\), items\[0\]: kind is missing/,
    ],
    ['items that are no list', 'x.yaml', 'kind: List\nitems: 7\n', /items must be a list, not 7/],
    [
      'a pod without name',
      'x.yaml',
      'apiVersion: v1\nkind: Pod\nmetadata: {}\n',
      /metadata\.name is missing/,
    ],
    [
      'NPWG-004 a NAD whose config is an object',
      'x.yaml',
      NAD.replace('|\n    ', ''),
      /x\.yaml document 1 \(line 2\) \(NAD telco\/n6\): spec\.config must be a string/,
    ],
    [
      'aliases that multiply',
      'x.yaml',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [${'*a,'.repeat(10)}]\nc: &c [${'*b,'.repeat(10)}]\nd: &d [${'*c,'.repeat(10)}]\nkind: [${'*d,'.repeat(10)}]\n`,
      /x\.yaml document 1 \(line 1\): Excessive alias count/,
    ],
  ]
  for (const [title, path, text, expected] of broken) {
    it(`what may be in it, and nothing else, is refused for ${title}`, async () => {
      const { store } = storeOf({ [path]: text, 'good.yaml': pod('good') })
      const error = await errorOf(store.nad('telco', 'n6'))
      assert.is(error.code, CniErrorCode.Decoding)
      assert.match(error.message, expected)
      assert.is((await store.pod('telco', 'good'))?.name, 'good')
    })
  }

  it('the same object twice is a fault that names both files', async () => {
    const { manifests, store } = storeOf({
      'a.yaml': pod('a'),
      'b.json': pod('a'),
      'c.yaml': pod('a', 'other'),
    })
    const error = await errorOf(store.pod('telco', 'a'))
    assert.ok(
      error.message.includes(
        `Pod telco/a is there twice: ${manifests}/a.yaml document 1 (line 1) and ${manifests}/b.json`,
      ),
      error.message,
    )
  })

  it('all faults of all files are told at once, in the order of the paths', async () => {
    const { store } = storeOf({ 'b.yaml': 'x', 'a/z.json': '{', 'B.yaml': '7' })
    const { faults } = await errorOf(store.pod('telco', 'a'))
    assert.equal(
      faults.map((fault) => /[^/]+\.(yaml|json)/.exec(fault)?.[0]),
      ['B.yaml', 'z.json', 'b.yaml'],
    )
  })

  it('publishing and taking back need no manifest', async () => {
    const store = manifestStore({ manifests: '/nonexistent', stateDir: temporaryFolder() })
    const networkStatus = [{ name: 'cbr0', interface: 'eth0', default: true, dns: {} }]
    await store.publish({ namespace: 'telco', name: 'a', containerId: 'c1', networkStatus })
    assert.equal(await store.networkStatus('telco', 'a'), networkStatus)
    await store.unpublish({ namespace: 'telco', name: 'a', containerId: 'c1' })
    assert.is(await store.networkStatus('telco', 'a'), undefined)
  })

  it('a folder that could not be read is read anew at the next lookup, even when it is empty then', async () => {
    const manifests = join(temporaryFolder(), 'later')
    const store = manifestStore({ manifests, stateDir: temporaryFolder() })
    assert.is((await errorOf(store.pod('telco', 'a'))).code, CniErrorCode.Io)
    mkdirSync(manifests)
    assert.is(await store.pod('telco', 'a'), undefined)
  })
})
