import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { fencedBlocks, ROOT, readDocument, sectionOf } from './markdown.ts'

const TOUR_DIR = '/tmp/plexus-tour'
const tour = sectionOf(readDocument('README.md'), 'A five-minute tour')

/**
 * Runs the tour's blocks one after another in one shell, as a reader does: in the repository, in a network
 * of its own. The names of its namespace and folder are this run's, so that a reader's are not in the way.
 *
 * @returns What each block printed.
 */
function takeTour(dir: string): string[] {
  const blocks = fencedBlocks(tour).filter(({ language }) => language === 'sh')
  const mark = '-- end of block --'
  const script = blocks.map(({ text }) => `${text}echo '${mark}'\n`).join('')
  const output = execFileSync('unshare', ['--net', '--', 'bash', '-eu', '-o', 'pipefail'], {
    cwd: ROOT,
    input: script.replaceAll(TOUR_DIR, dir).replaceAll('plexus-tour', `plexus-tour-${process.pid}`),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: 50_000,
  })
  return output.split(`${mark}\n`).slice(0, -1)
}

spec('README.md', (it) => {
  it('the tour works as it is written and leaves nothing', () => {
    const base = tempDir('readme')
    const outputs = takeTour(join(base, 'tour'))
    const [, , explained = '', added = '', shown = '', deleted = '', cleaned] = outputs
    assert.is(outputs.length, 7)

    for (const word of ['eth0', 'net1', 'data0']) assert.match(explained, word)

    const result = JSON.parse(added) as { interfaces: { name: string; sandbox?: string }[]; ips: unknown[] }
    const inPod = result.interfaces.filter(({ sandbox }) => sandbox !== undefined)
    assert.equal(
      inPod.map(({ name }) => name),
      ['eth0', 'net1', 'data0'],
    )
    assert.is(result.ips.length, 3)

    for (const [ifName, address] of [
      ['eth0', '10.1.0.2/24'],
      ['net1', '10.6.0.2/24'],
      ['data0', '10.3.0.2/24'],
    ] as const) {
      assert.match(shown, new RegExp(`^${ifName}@\\S+ +UP +${address}`, 'm'), 'ip address')
    }
    assert.match(shown, /default\/upf/, 'plexus list and show')

    assert.equal(deleted.trim().split(/\s+/), ['lo', 'DOWN'])
    assert.is(cleaned, '')
    assert.equal(readdirSync(base), [])
    assert.not.ok(readdirSync('/run/netns').includes(`plexus-tour-${process.pid}`))
  })

  it('what the tour says the pod has is what ip prints, addresses of the link left out', () => {
    const [sample] = fencedBlocks(tour).filter(({ language }) => language === 'text')
    const columns = (sample?.text ?? '').trimEnd().split('\n').slice(1)
    assert.equal(
      columns.map((line) => line.split(/\s+/)[2]),
      ['10.1.0.2/24', '10.6.0.2/24', '10.3.0.2/24'],
    )
  })
})
