import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { Publication } from '../../src/store/cluster-store.ts'
import {
  readStatus,
  removeStatus,
  statusPath,
  sweepStatus,
  writeStatus,
} from '../../src/store/status-files.ts'
import { spec } from '../spec.ts'
import { temporaryFolder } from './temporary-folder.ts'

const publication = (changes: Partial<Publication> = {}): Publication => ({
  namespace: 'telco',
  name: 'upf-0',
  uid: 'u1',
  containerId: 'c1',
  networkStatus: [{ name: 'cbr0', interface: 'eth0', default: true, dns: {} }],
  ...changes,
})

const hasCode = (code: number) => (error: unknown) => error instanceof CniError && error.code === code

/** The code with which the operation failed. */
function codeOf(operation: () => unknown): number {
  try {
    operation()
  } catch (error) {
    if (error instanceof CniError) return error.code
    throw error
  }
  throw new Error('the operation succeeded')
}

spec('published status', (it) => {
  it('is one file per pod with identity and network-status, readable by the owner alone', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    writeStatus(stateDir, publication())
    const path = join(stateDir, 'status/telco/upf-0.json')
    assert.equal(JSON.parse(readFileSync(path, 'utf8')), publication())
    assert.is(statSync(path).mode & 0o777, 0o600)
    for (const folder of [stateDir, join(stateDir, 'status'), join(stateDir, 'status/telco')]) {
      assert.is(statSync(folder).mode & 0o777, 0o700, folder)
    }
    assert.equal(readStatus(stateDir, 'telco', 'upf-0'), publication().networkStatus)
  })

  it('is replaced as a whole, and nothing else is left in the folder', async () => {
    const stateDir = temporaryFolder()
    writeStatus(stateDir, publication())
    writeStatus(stateDir, publication({ containerId: 'c2', networkStatus: [] }))
    assert.equal(readStatus(stateDir, 'telco', 'upf-0'), [])
    assert.equal(readdirSync(join(stateDir, 'status/telco')), ['upf-0.json'])
  })

  it('an unknown uid is left out', async () => {
    const stateDir = temporaryFolder()
    const { uid: _, ...withoutUid } = publication()
    writeStatus(stateDir, withoutUid)
    assert.is(readFileSync(statusPath(stateDir, 'telco', 'upf-0'), 'utf8').includes('uid'), false)
  })

  it('is removed by its own container only, with the folder that it leaves empty', async () => {
    const stateDir = temporaryFolder()
    writeStatus(stateDir, publication())
    removeStatus(stateDir, { namespace: 'telco', name: 'upf-0', containerId: 'c0' })
    assert.ok(existsSync(statusPath(stateDir, 'telco', 'upf-0')))
    removeStatus(stateDir, { namespace: 'telco', name: 'upf-0', containerId: 'c1' })
    assert.equal(readdirSync(join(stateDir, 'status')), [])
  })

  it('the folder stays as long as another pod has its status in it', async () => {
    const stateDir = temporaryFolder()
    writeStatus(stateDir, publication())
    writeStatus(stateDir, publication({ name: 'upf-1' }))
    removeStatus(stateDir, publication())
    assert.equal(readdirSync(join(stateDir, 'status/telco')), ['upf-1.json'])
  })

  it('what a crash left before the rename goes with the next write or removal of the container', async () => {
    const stateDir = temporaryFolder()
    const folder = join(stateDir, 'status/telco')
    writeStatus(stateDir, publication())
    removeStatus(stateDir, publication())
    // A folder in its place is what makes the rename fail: the name before it can then be seen.
    mkdirSync(statusPath(stateDir, 'telco', 'upf-0'), { recursive: true })
    const names: string[] = []
    const watcher = watch(folder, (_, name) => void (name?.endsWith('.tmp') && names.push(name)))
    codeOf(() => writeStatus(stateDir, publication()))
    for (let tries = 0; tries < 100 && names.length === 0; tries++) await setTimeout(10)
    watcher.close()
    rmdirSync(statusPath(stateDir, 'telco', 'upf-0'))
    const torn = join(folder, names[0] ?? 'none')

    writeFileSync(torn, '{"containe')
    removeStatus(stateDir, publication({ containerId: 'c2' }))
    assert.ok(existsSync(torn), 'another container may be writing')
    removeStatus(stateDir, publication())
    assert.equal(readdirSync(join(stateDir, 'status')), [])

    mkdirSync(folder)
    writeFileSync(torn, '{"containe')
    writeStatus(stateDir, publication())
    assert.equal(readdirSync(folder), ['upf-0.json'])
  })

  it('what containers that are gone have left is swept, whole or torn; the others keep theirs', async () => {
    const stateDir = temporaryFolder()
    sweepStatus(stateDir, () => true)
    const folder = join(stateDir, 'status/telco')
    writeStatus(stateDir, publication())
    writeStatus(stateDir, publication({ name: 'upf-1', containerId: 'c2' }))
    writeStatus(stateDir, publication({ namespace: 'other', containerId: 'c3' }))
    const torn = ['c1', 'c2'].map((id) => `.${id}~0123456789abcdef.tmp`)
    for (const name of torn) writeFileSync(join(folder, name), '{"containe')
    writeFileSync(join(folder, 'damaged.json'), '{"containe')
    sweepStatus(stateDir, (containerId) => containerId !== 'c2')
    assert.equal(readdirSync(folder).sort(), [torn[1], 'damaged.json', 'upf-1.json'])
    assert.equal(readdirSync(join(stateDir, 'status')), ['telco'])
  })

  it('NPWG-117 removing what is not there is success', async () => {
    removeStatus(temporaryFolder(), publication())
    removeStatus(join(temporaryFolder(), 'none'), publication())
  })

  it('a damaged file is an error to a reader and goes with the next removal', async () => {
    const stateDir = temporaryFolder()
    writeStatus(stateDir, publication())
    for (const text of ['', '{"containerId":', '[]', '{"containerId":"c1","networkStatus":[null]}']) {
      writeStatus(stateDir, publication())
      writeFileSync(statusPath(stateDir, 'telco', 'upf-0'), text)
      assert.is(
        codeOf(() => readStatus(stateDir, 'telco', 'upf-0')),
        CniErrorCode.Decoding,
      )
      removeStatus(stateDir, publication({ containerId: 'c9' }))
      assert.is(existsSync(statusPath(stateDir, 'telco', 'upf-0')), false)
    }
  })

  it('a state directory that cannot be written is an Io error that names pod and file', async () => {
    const stateDir = join(temporaryFolder(), 'file')
    writeFileSync(stateDir, '')
    let message = ''
    try {
      writeStatus(stateDir, publication())
    } catch (error) {
      assert.ok(hasCode(CniErrorCode.Io)(error))
      message = error instanceof Error ? error.message : ''
    }
    assert.match(message, /^network-status of pod telco\/upf-0 in .*\/status\/telco\/upf-0\.json: /)
  })

  for (const [namespace, name] of [
    ['..', 'a'],
    ['telco', '..'],
    ['telco', '../a'],
    ['', 'a'],
    ['telco', ''],
    ['a/b', 'c'],
    ['telco', 'a\0'],
  ] as const) {
    it(`the pod name ${JSON.stringify(`${namespace}/${name}`)} becomes no path`, () => {
      assert.throws(() => statusPath('/state', namespace, name), hasCode(CniErrorCode.InvalidEnvironment))
    })
  }

  it('the longest names that Kubernetes allows have files of their own', async () => {
    const stateDir = temporaryFolder()
    const names = ['x', 'y'].map((end) => `${'a'.repeat(252)}${end}`)
    const containerId = 'c'.repeat(200)
    for (const name of names) writeStatus(stateDir, publication({ name, containerId }))
    assert.is(readdirSync(join(stateDir, 'status/telco')).length, 2)
    for (const name of names) removeStatus(stateDir, { namespace: 'telco', name, containerId })
    assert.equal(readdirSync(join(stateDir, 'status')), [])
  })

  it('pods of one namespace that come and go in several processes at once do not disturb one another', async () => {
    const stateDir = temporaryFolder()
    const script = `
      import { readStatus, removeStatus, writeStatus } from '${new URL('../../src/store/status-files.ts', import.meta.url)}'
      const [stateDir, name] = process.argv.slice(1)
      const pod = { namespace: 'telco', name, containerId: 'c1' }
      for (let round = 0; round < 200; round++) {
        writeStatus(stateDir, { ...pod, networkStatus: [{ name: 'n' }] })
        if (readStatus(stateDir, 'telco', name)[0].name !== 'n') throw new Error('read another')
        removeStatus(stateDir, pod)
      }`
    const run = promisify(execFile)
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        run(process.execPath, ['--input-type=module', '-e', script, stateDir, name]),
      ),
    )
    assert.equal(readdirSync(join(stateDir, 'status')), [])
  })
})
