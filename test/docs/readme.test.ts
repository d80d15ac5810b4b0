import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { createNetns, enterNetns } from '../rig/netns.ts'
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
async function takeTour(dir: string): Promise<string[]> {
  // Stands in for the reader's `unshare --net`; the rig removes it whatever happens.
  const { path } = await createNetns('tour')
  const [program, args] = enterNetns(path, 'bash', ['-eu', '-o', 'pipefail'])
  const blocks = fencedBlocks(tour).filter(({ language }) => language === 'sh')
  const mark = '-- end of block --'
  const cleanUp = "trap 'ip netns del plexus-tour 2>&- || :' EXIT\n"
  const script = cleanUp + blocks.map(({ text }) => `${text}echo '${mark}'\n`).join('')
  const output = execFileSync(program, args, {
    cwd: ROOT,
    input: script.replaceAll(TOUR_DIR, dir).replaceAll('plexus-tour', `plexus-tour-${process.pid}`),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: 50_000,
  })
  return output.split(`${mark}\n`).slice(0, -1)
}

/** Lines without what is different each time: numbers of links, link-local addresses, blanks at the end. */
function comparable(text: string): string[] {
  return text
    .split('\n')
    .map((line) =>
      line
        .replace(/@if\d+ +/, '@if ')
        .replace(/ fe80:\S+/, '')
        .trimEnd(),
    )
    .filter((line) => line !== '')
}

spec('README.md', (it) => {
  it('the tour works as it is written and leaves nothing', async () => {
    const base = tempDir('readme')
    const outputs = await takeTour(join(base, 'tour'))
    const [, , explained = '', added = '', shown = '', deleted = '', cleaned, example = ''] = outputs
    assert.is(outputs.length, 8)
    assert.match(example, 'eth0')

    for (const word of ['eth0', 'net1', 'data0']) assert.match(explained, word)

    const result = JSON.parse(added) as { interfaces: { name: string; sandbox?: string }[]; ips: unknown[] }
    const inPod = result.interfaces.filter(({ sandbox }) => sandbox !== undefined)
    assert.equal(
      inPod.map(({ name }) => name),
      ['eth0', 'net1', 'data0'],
    )
    assert.is(result.ips.length, 3)

    const printed = comparable(shown)
    const [sample] = fencedBlocks(tour).filter(({ language }) => language === 'text')
    const promised = comparable(sample?.text ?? '')
    assert.is(promised.length, 8)
    assert.equal(printed.slice(0, promised.length), promised)
    assert.ok(printed.includes('Plugin calls'))

    assert.equal(deleted.trim().split(/\s+/), ['lo', 'DOWN'])
    assert.is(cleaned, '')
    assert.equal(readdirSync(base), [])
    assert.not.ok(readdirSync('/run/netns').includes(`plexus-tour-${process.pid}`))
  })
})
