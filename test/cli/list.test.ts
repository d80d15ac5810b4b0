import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { openJournalDir } from '../../src/journal/journal.ts'
import { pod, writeManifests } from '../rig/manifests.ts'
import { runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { recordSandbox } from './recorded-sandbox.ts'

let count = 0
const newStateDir = (): string => join(tempDir('list'), `state-${count++}`)
const list = (stateDir: string, ...args: string[]) => runCli(['list', '--state-dir', stateDir, ...args])
const eth0 = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }
const net1 = { ifName: 'net1', network: 'data', address: '192.168.1.7/24' }

const attachments = (json: JsonObject | undefined): JsonObject[] => {
  assert.ok(Array.isArray(json?.attachments))
  return json.attachments.filter(isJsonObject)
}

spec('plexus list', (it) => {
  it('prints a row for each attachment, pods in order', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, {
      containerId: '0123456789abcdef',
      pod: 'web/shop-1',
      networks: [eth0],
    })
    recordSandbox(stateDir, { containerId: 'f00', pod: 'telco/upf-0', networks: [eth0, net1] })
    recordSandbox(stateDir, { containerId: 'a-tool', networks: [eth0] })
    const { status, stdout, stderr } = await list(stateDir)
    assert.is(stderr, '')
    assert.is(
      stdout,
      [
        'POD          CONTAINER     INTERFACE  NETWORK  SOURCE                                   ADDRESSES       STATE',
        'telco/upf-0  f00           eth0       cluster  file /etc/cni/net.d/10-default.conflist  10.0.0.5/24     live',
        'telco/upf-0  f00           net1       data     NAD default/data                         192.168.1.7/24  live',
        'web/shop-1   0123456789ab  eth0       cluster  file /etc/cni/net.d/10-default.conflist  10.0.0.5/24     live',
        '-            a-tool        eth0       cluster  file /etc/cni/net.d/10-default.conflist  10.0.0.5/24     live',
        '',
      ].join('\n'),
    )
    assert.is(status, 0)
  })

  it('says that nothing is attached, and makes no state directory', async () => {
    const stateDir = newStateDir()
    const { status, stdout } = await list(stateDir)
    assert.is(stdout, `Nothing is attached: ${stateDir} has no records.\n`)
    assert.is(status, 0)
    assert.not(existsSync(stateDir))
    const { json } = await list(stateDir, '-o', 'json')
    assert.equal(json, { stateDir, cluster: null, attachments: [] })
  })

  it('JSON has the whole container ID, MACs, namespace and the file of the record', async () => {
    const stateDir = newStateDir()
    const file = recordSandbox(stateDir, { containerId: '0123456789abcdef', pod: 'web/a', networks: [eth0] })
    const { json } = await list(stateDir, '-o', 'json')
    assert.equal(attachments(json), [
      {
        pod: 'web/a',
        containerId: '0123456789abcdef',
        ifName: 'eth0',
        network: 'cluster',
        source: 'file /etc/cni/net.d/10-default.conflist',
        isDefault: true,
        addresses: ['10.0.0.5/24'],
        macs: ['02:00:00:00:00:00'],
        state: 'live',
        failedDels: 0,
        isPodKnown: null,
        netns: `${stateDir}-netns/0123456789abcdef`,
        time: '2026-01-02T03:04:05.678Z',
        file,
        problem: null,
        hint: null,
      },
    ])
  })

  const base = { containerId: 'c1', pod: 'web/a', networks: [eth0] }
  for (const [title, sandbox, state] of [
    ['an ADD that was planned only', { ...base, progress: 'planned' }, 'incomplete'],
    ['an ADD that was killed on the way', { ...base, progress: 'started' }, 'incomplete'],
    ['a DEL that failed once', { ...base, failedDels: 1 }, 'undo pending (1 failed DEL)'],
    [
      'DELs that failed on an incomplete ADD',
      { ...base, progress: 'started', failedDels: 3 },
      'undo pending (3 failed DELs)',
    ],
    ['a DEL that was killed before the file went', { ...base, undone: [0] }, 'undo pending'],
    ['a namespace that is gone', { ...base, isNetnsGone: true }, 'netns gone'],
  ] as const) {
    it(`${title} is listed as "${state}"`, async () => {
      const stateDir = newStateDir()
      recordSandbox(stateDir, sandbox)
      const { stdout, status } = await list(stateDir)
      assert.ok(stdout.endsWith(`  ${state}\n`), stdout)
      assert.is(status, 0)
    })
  }

  it('a namespace made anew under the recorded path is not taken for the old one', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, base)
    const netns = `${stateDir}-netns/c1`
    writeFileSync(`${netns}.new`, '')
    // Another inode under the path.
    renameSync(`${netns}.new`, netns)
    assert.match((await list(stateDir)).stdout, /netns gone\n$/)
  })

  it('after a partly failed DEL only what is left is listed', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, { ...base, networks: [eth0, net1], undone: [1], failedDels: 2 })
    const { json } = await list(stateDir, '-o', 'json')
    assert.equal(
      attachments(json).map(({ ifName, state, failedDels }) => [ifName, state, failedDels]),
      [['eth0', 'undo pending', 2]],
    )
  })

  it('an optional network that failed is listed as not attached', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, { ...base, networks: [eth0, { ...net1, isOptional: true }], undone: [1] })
    const { stdout } = await list(stateDir)
    assert.match(stdout, /net1 +data +NAD default\/data +- +not attached\n/)
    assert.match(stdout, '\noptional network "data" of container c1 failed and was left out\n')
  })

  it('records that cannot be used are rows, with what to do below, and hide no other', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, { ...base, containerId: 'good' })
    const newer = recordSandbox(stateDir, { ...base, containerId: 'newer', pod: 'web/new' })
    const bytes = readFileSync(newer)
    bytes.writeUInt32BE(9, 4)
    writeFileSync(newer, bytes)
    mkdirSync(join(stateDir, 'sandboxes/folder/eth0'), { recursive: true })
    const empty = recordSandbox(stateDir, { ...base, containerId: 'empty' })
    truncateSync(empty, 0)
    const damaged = recordSandbox(stateDir, { ...base, containerId: 'hurt', pod: 'web/hurt' })
    const middle = readFileSync(damaged)
    // Inside the recorded DEL: what follows it stays whole, so that this is damage and no torn end.
    middle[middle.indexOf('IgnoreUnknown', middle.indexOf('DEL'))] = 0xff
    writeFileSync(damaged, middle)

    const { stdout, stderr, status } = await list(stateDir)
    assert.is(status, 0)
    assert.is(stderr, '')
    const rows = stdout.split('\n\n')[0]?.split('\n').slice(1) ?? []
    assert.equal(
      rows.map((row) => row.split(/ {2,}/).filter((_, column) => [0, 1, 2, 6].includes(column))),
      [
        ['web/a', 'good', 'eth0', 'live'],
        ['web/hurt', 'hurt', 'eth0', 'damaged'],
        ['-', 'empty', 'eth0', 'damaged'],
        ['-', 'folder', 'eth0', 'unreadable'],
        ['-', 'newer', 'eth0', 'newer format'],
      ],
    )
    assert.match(stdout, `journal ${newer} has format 9, this Plexus reads up to format 1\n`)
    assert.match(stdout, '  What to do: install the newer Plexus that wrote it.\n')
    assert.match(stdout, `journal ${damaged} is damaged\n  What to do: send DEL for container hurt`)
  })

  it('files that were moved to damaged/ are rows', async () => {
    const stateDir = newStateDir()
    recordSandbox(stateDir, { ...base, containerId: 'hurt-1' })
    const aside = openJournalDir(stateDir).setAside({ containerId: 'hurt-1', ifName: 'eth0' })
    writeFileSync(join(stateDir, 'damaged', 'junk'), 'no journal')
    const { json, status } = await list(stateDir, '-o', 'json')
    assert.is(status, 0)
    assert.equal(
      attachments(json).map(({ pod, containerId, ifName, state, file }) => [
        pod,
        containerId,
        ifName,
        state,
        file,
      ]),
      [
        ['web/a', 'hurt-1', 'eth0', 'damaged', aside],
        [null, 'junk', '', 'damaged', join(stateDir, 'damaged', 'junk')],
      ],
    )
  })

  it('a torn last frame is normal', async () => {
    const stateDir = newStateDir()
    const file = recordSandbox(stateDir, base)
    appendFileSync(file, Buffer.from([0, 0, 1]))
    assert.match((await list(stateDir)).stdout, /live\n$/)
  })

  it('with --manifests a pod that they do not have is marked', async () => {
    const stateDir = newStateDir()
    const manifests = tempDir('manifests')
    writeManifests(manifests, pod({ name: 'a', namespace: 'web' }))
    recordSandbox(stateDir, base)
    recordSandbox(stateDir, { ...base, containerId: 'c2', pod: 'web/b' })
    const { stdout } = await list(stateDir, '--manifests', manifests)
    assert.match(stdout, /web\/a .* live\n/)
    assert.match(stdout, /web\/b .* live, pod not in the manifests\n/)
  })

  it('a state directory that is none is a failure that says what to do', async () => {
    const file = join(tempDir('list'), 'file')
    writeFileSync(file, '')
    const { status, stdout, stderr } = await list(file)
    assert.is(status, 1)
    assert.is(stdout, '')
    assert.is(
      stderr,
      `plexus list: state directory ${file} is no directory\n  What to do: name the folder that "stateDir" of the net-conf names.\n`,
    )
  })
})
