import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import {
  findConfByName,
  findFirstConf,
  listConfFiles,
  readChainFolder,
  readConfFile,
  readConfFolder,
} from '../../src/store/conf-files.ts'
import { thrownBy } from '../cni/thrown.ts'
import { spec } from '../spec.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** A folder with these files; an object is written as JSON, a text as it is. */
function folderWith(files: Readonly<Record<string, unknown>>): string {
  const folder = temporaryFolder()
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  }
  return folder
}

const conf = (name: string, type = 'bridge') => ({ cniVersion: '1.0.0', name, type })
const list = (name: string, ...types: string[]) => ({
  cniVersion: '1.0.0',
  name,
  plugins: types.map((type) => ({ type })),
})

const isMeta = (type: string): boolean => type === 'plexus' || type === 'multus'

spec('conf files', (it) => {
  it('CNI-136 a missing folder has no files', () => {
    assert.equal(listConfFiles('/nowhere/net.d'), [])
    assert.equal(findFirstConf('/nowhere/net.d', isMeta), { file: undefined, ignored: [] })
  })

  it('a folder that cannot be read is error 5', () => {
    assert.is(thrownBy(() => listConfFiles(join(folderWith({ file: '' }), 'file'))).code, CniErrorCode.Io)
  })

  it('CNI-137 the text behind the last dot decides, whatever stands before; folders never count', () => {
    const folder = folderWith({
      'a.conf': '',
      'b.conflist': '',
      'c.json': '',
      '.conf': '',
      '.hidden.conf': '',
      'd.conf.bak': '',
      'e.CONF': '',
      'f.conflist.disabled': '',
      g: '',
      'h.conf.swp': '',
      'folder.conf/x.txt': '',
    })
    assert.equal(
      listConfFiles(folder).map((path) => path.slice(folder.length + 1)),
      ['.conf', '.hidden.conf', 'a.conf', 'b.conflist', 'c.json'],
    )
  })

  it('CNI-138 the order is that of bytes: no numbers, no locale', () => {
    const folder = folderWith({ '9-b.conf': '', '10-a.conf': '', 'B.conf': '', 'a.conf': '', 'é.conf': '' })
    assert.equal(
      listConfFiles(folder).map((path) => path.slice(folder.length + 1)),
      ['10-a.conf', '9-b.conf', 'B.conf', 'a.conf', 'é.conf'],
    )
  })

  for (const [title, files] of [
    ['the list behind', { '00.conf': conf('n6', 'single'), '10.conflist': list('n6', 'of-list') }],
    ['the list before', { '00.conflist': list('n6', 'of-list'), '10.conf': conf('n6', 'single') }],
  ] as const) {
    it(`CNI-139, NPWG-012, C-11 a list wins over a single conf of that name: ${title}`, () => {
      assert.is(findConfByName([folderWith(files)], 'n6').file.conflist.plugins[0]?.type, 'of-list')
    })
  }

  it('CNI-139 of several lists of a name the first one counts', () => {
    const folder = folderWith({ '10.conflist': list('n6', 'second'), '05.conflist': list('n6', 'first') })
    assert.is(findConfByName([folder], 'n6').file.conflist.plugins[0]?.type, 'first')
  })

  it('NPWG-016 every extension is looked at, and every folder in its order', () => {
    const [first, second] = [
      folderWith({ 'x.json': conf('n6', 'a') }),
      folderWith({ 'x.conf': conf('n6', 'b'), 'y.conf': conf('n7') }),
    ]
    assert.is(findConfByName([first, second], 'n6').file.path, join(first, 'x.json'))
    assert.is(findConfByName([first, second], 'n7').file.path, join(second, 'y.conf'))
  })

  it('C-11 a broken file is passed over and named', () => {
    const folder = folderWith({ '00.conflist': '{', '05.conf': { name: 'n6' }, '10.conf': conf('n6') })
    const { file, ignored } = findConfByName([folder], 'n6')
    assert.is(file.path, join(folder, '10.conf'))
    assert.is(ignored.length, 2)
    assert.match(
      ignored[0] ?? '',
      `${folder}/00.conflist is passed over: file ${folder}/00.conflist is not JSON`,
    )
    assert.match(ignored[1] ?? '', "missing 'type'")
  })

  it('CNI-140, NPWG-013 not found is said with name, folders and what was passed over', () => {
    const folder = folderWith({ '00.conf': '{' })
    const error = thrownBy(() => findConfByName([folder, '/nowhere'], 'n6'))
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    assert.is(error.message, `no net configuration with name "n6" in ${folder}, /nowhere`)
    assert.is(error.faults.length, 1)
  })

  it('CNI-141, NPWG-103 the default network is the first valid file of any extension that is not of a meta-plugin', () => {
    const folder = folderWith({
      '00-plexus.conflist': list('p', 'plexus'),
      '05-broken.conf': '{',
      '07-multus.conf': conf('m', 'multus'),
      '10-calico.conflist': list('calico', 'calico', 'portmap'),
      '20-other.conf': conf('other'),
    })
    const { file, ignored } = findFirstConf(folder, isMeta)
    assert.is(file?.conflist.name, 'calico')
    assert.equal(
      ignored.map((text) => text.slice(folder.length + 1).split(' ')[0]),
      ['00-plexus.conflist', '05-broken.conf', '07-multus.conf'],
    )
  })

  it('CNI-141 a list with a meta-plugin in its middle is none either', () => {
    const folder = folderWith({ '00.conflist': list('p', 'bridge', 'multus') })
    assert.is(findFirstConf(folder, isMeta).file, undefined)
  })

  it('CNI-142 the extension decides what a file is, and the error names the file', () => {
    const folder = folderWith({ 'a.conf': list('a', 'bridge'), 'b.conflist': conf('b') })
    const swapped = thrownBy(() => readConfFile(join(folder, 'a.conf')))
    assert.match(swapped.message, `file ${folder}/a.conf`)
    assert.match(swapped.message, 'a list belongs into a .conflist file')
    assert.match(thrownBy(() => readConfFile(join(folder, 'b.conflist'))).message, 'no plugin configs found')
  })

  it('CNI-086 a list gets the confs of the folder of its name behind its own, in byte order', () => {
    const folder = folderWith({
      'dbnet.conflist': list('dbnet', 'inlined'),
      'dbnet/20-x.conf': { type: 'twenty' },
      'dbnet/10-y.conf': { type: 'ten' },
      'dbnet/z.json': { type: 'json' },
    })
    assert.equal(
      readConfFile(join(folder, 'dbnet.conflist')).conflist.plugins.map(({ type }) => type),
      ['inlined', 'ten', 'twenty'],
    )
  })

  it('CNI-086 not with loadOnlyInlinedPlugins, and one without type is a fault', () => {
    const only = { ...list('n', 'inlined'), loadOnlyInlinedPlugins: true }
    const folder = folderWith({
      'n.conflist': only,
      'n/10.conf': { type: 'ten' },
      'm.conflist': list('m', 'a'),
      'm/10.conf': {},
    })
    assert.is(readConfFile(join(folder, 'n.conflist')).conflist.plugins.length, 1)
    assert.match(thrownBy(() => readConfFile(join(folder, 'm.conflist'))).message, "missing 'type'")
  })

  it('CNI-086 a name that is a path leads to no folder', () => {
    const folder = folderWith({ 'net.d/x.txt': '', 'chain/10.conf': { type: 'a' } })
    assert.equal(readChainFolder(join(folder, 'net.d'), '../chain'), [])
    assert.equal(readChainFolder(join(folder, 'net.d'), undefined), [])
    assert.is(readChainFolder(folder, 'chain').length, 1)
  })

  it('a link to a file is read, a link to nothing is passed over', () => {
    const folder = folderWith({ 'target.txt': JSON.stringify(conf('n6')) })
    symlinkSync('target.txt', join(folder, '10.conf'))
    symlinkSync('/nowhere', join(folder, '05.conf'))
    const { file, ignored } = findFirstConf(folder, isMeta)
    assert.is(file?.conflist.name, 'n6')
    assert.match(ignored.join(), 'cannot be read')
  })

  it('what is no regular file, or is far too large for a configuration, is passed over and never waited for', () => {
    const folder = folderWith({ '05.conf': ' '.repeat(1024 * 1024 + 1), '10.conf': conf('n6') })
    execFileSync('mkfifo', [join(folder, '00.conf')])
    const { file, ignored } = findFirstConf(folder, isMeta)
    assert.is(file?.conflist.name, 'n6')
    assert.match(ignored[0] ?? '', 'it is no regular file')
    assert.match(ignored[1] ?? '', 'it has more than 1048576 bytes')
  })

  it('all valid files of a folder are read in their order, the others named', () => {
    const folder = folderWith({ '20.conf': conf('b'), '10.conflist': list('a', 'x'), '05.json': '{' })
    const { files, ignored } = readConfFolder(folder)
    assert.equal(
      files.map(({ conflist }) => conflist.name),
      ['a', 'b'],
    )
    assert.equal(
      ignored.map(({ path }) => path),
      [join(folder, '05.json')],
    )
  })

  it('NPWG-010, C-31 numbers and keys are kept to the digit', () => {
    const text = '{"type":"bridge","name":"n","cniVersion":"1.0.0","z":1.0,"big":9007199254740993}'
    const folder = folderWith({ 'a.conf': text })
    assert.is(JSON.stringify(readConfFile(join(folder, 'a.conf')).conflist.plugins[0]), text)
  })
})
