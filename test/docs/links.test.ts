import { existsSync, globSync, statSync } from 'node:fs'
import { dirname, posix } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { anchorOf, headingsOf, proseOf, ROOT, readDocument } from './markdown.ts'

const documents = [
  ...globSync('*.md', { cwd: ROOT }),
  ...globSync('docs/**/*.md', { cwd: ROOT }),
  ...globSync('examples/**/*.md', { cwd: ROOT }),
].sort()

/** What is wrong with a link of a document; `undefined` when it leads somewhere. */
function linkFault(from: string, link: string): string | undefined {
  if (/^[a-z]+:/.test(link)) return undefined
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? from : posix.normalize(posix.join(dirname(from), path))
  if (!existsSync(ROOT + target)) return `${from}: ${link} leads to no file`
  if (anchor === undefined || statSync(ROOT + target).isDirectory()) return undefined
  const anchors = headingsOf(readDocument(target)).map(anchorOf)
  return anchors.includes(anchor) ? undefined : `${from}: ${link} leads to no heading of ${target}`
}

spec('links in the documents', (it) => {
  it('every relative link leads to a file or folder, and its anchor to a heading', () => {
    assert.ok(documents.includes('README.md') && documents.length > 3)
    const faults = documents.flatMap((document) => {
      const prose = proseOf(readDocument(document)).replace(/`[^`]*`/g, '')
      const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '')
      return links.flatMap((link) => linkFault(document, link) ?? [])
    })
    assert.equal(faults, [])
  })

  it('no two headings of a document have the same anchor', () => {
    for (const document of documents.filter((path) => path !== 'CHANGELOG.md')) {
      const anchors = headingsOf(readDocument(document)).map(anchorOf)
      assert.equal([...new Set(anchors)], anchors, document)
    }
  })

  it('no document names a place of the machine that it was written on', () => {
    const faults = documents.filter((document) =>
      /(?<![\w.])\/(?:work|home)\/(?!kubernetes\/bin)/.test(readDocument(document)),
    )
    assert.equal(faults, [])
  })
})
