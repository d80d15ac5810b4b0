import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { PLEXUS, ROOT, runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const BAD = `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: n6
  namespace: telco
spec:
  config: |
    {
      "cniVersion": "1.0.0",
      "type": "bridge",
      "vlan": 5000,
      "brdige": "br-n6",
      "mtu": "1500"
    }
`
const GOOD = `apiVersion: v1
kind: Pod
metadata:
  name: a
  annotations: {k8s.v1.cni.cncf.io/networks: lan}
`

let count = 0
function folder(files: Readonly<Record<string, string>>): string {
  const path = join(tempDir('validate'), `set-${count++}`)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return path
}

spec('plexus validate', (it) => {
  it('prints each finding with file, line and column, what to do, and a summary', async () => {
    const dir = folder({ 'nad.yaml': BAD })
    const { status, stdout, stderr } = await runCli(['validate', 'nad.yaml'], { cwd: dir })
    assert.is(stderr, '')
    assert.is(
      stdout,
      `nad.yaml:11:7: error: NAD telco/n6: bridge: "vlan" must be from 0 to 4094, not 5000 [value-range]
nad.yaml:12:7: warning: NAD telco/n6: bridge: unknown key "brdige"; did you mean "bridge"? [unknown-key]
nad.yaml:13:7: error: NAD telco/n6: bridge: "mtu" must be a whole number, not "1500" [value-type]
    What to do: write 1500 without quotes.
1 file (1 network): 2 errors, 1 warning
`,
    )
    assert.is(status, 1)
  })

  it('exits 0 when nothing is wrong, and when there are warnings only', async () => {
    const dir = folder({ 'pod.yaml': GOOD, 'odd.yaml': BAD.replace('5000', '50').replace('"1500"', '1500') })
    const good = await runCli(['validate', join(dir, 'pod.yaml')])
    assert.is(good.stdout, '1 file (1 pod or workload): good\n')
    assert.is(good.status, 0)
    const odd = await runCli(['validate', join(dir, 'odd.yaml')])
    assert.match(odd.stdout, /1 file \(1 network\): 0 errors, 1 warning\n$/)
    assert.is(odd.status, 0)
  })

  it('reads stdin, in YAML and in JSON', () => {
    for (const input of [BAD, JSON.stringify(parse(BAD), null, 2)]) {
      const { status, stdout } = spawnSync(PLEXUS, ['validate', '-'], {
        input,
        encoding: 'utf8',
        timeout: 30_000,
      })
      assert.match(stdout, /^<stdin>:\d+:\d+: error: NAD telco\/n6: bridge: "vlan" must be/)
      assert.is(status, 1)
    }
  })

  it('reads a folder with its manifests and configurations, and passes over what is neither', async () => {
    const dir = folder({
      'a/nad.yaml': BAD,
      'b/10-lan.conflist': '{"cniVersion": "1.0.0", "name": "lan", "plugins": [{"type": "tuning"}]}',
      'values.yaml': 'replicas: 3\n',
      'notes.txt': 'not to be read: {',
    })
    const { stdout, status } = await runCli(['validate', '.', '-o', 'json'], { cwd: dir })
    const document = JSON.parse(stdout)
    assert.equal(document.files, ['a/nad.yaml', 'b/10-lan.conflist', 'values.yaml'])
    assert.equal(
      document.findings.map(({ file, code }: { file: string; code: string }) => `${file} ${code}`),
      [
        'a/nad.yaml value-range',
        'a/nad.yaml unknown-key',
        'a/nad.yaml value-type',
        'b/10-lan.conflist chained-plugin-first',
      ],
    )
    assert.equal(document.checked, { networks: 1, pods: 0, netConfs: 1, others: 1 })
    assert.is(status, 1)
  })

  it('gives the same document as JSON and as YAML, keys in this order', async () => {
    const dir = folder({ 'nad.yaml': BAD })
    const json = await runCli(['validate', 'nad.yaml', '-o', 'json'], { cwd: dir })
    const yaml = await runCli(['validate', 'nad.yaml', '-o', 'yaml'], { cwd: dir })
    const document = JSON.parse(json.stdout)
    assert.equal(parse(yaml.stdout), document)
    assert.equal(Object.keys(document), ['isGood', 'errors', 'warnings', 'files', 'checked', 'findings'])
    assert.equal(document.findings[0], {
      severity: 'error',
      code: 'value-range',
      message: 'bridge: "vlan" must be from 0 to 4094, not 5000',
      hint: null,
      file: 'nad.yaml',
      document: 1,
      line: 11,
      column: 7,
      object: 'NAD telco/n6',
      path: 'spec.config /vlan',
    })
    assert.equal([document.isGood, document.errors, document.warnings], [false, 2, 1])
  })

  it('a file that cannot be read is an error beside those of the others', async () => {
    const dir = folder({ 'nad.yaml': BAD })
    const { stdout, status } = await runCli(['validate', 'gone.yaml', 'nad.yaml'], { cwd: dir })
    assert.match(stdout, /^gone\.yaml: error: ENOENT.*\[file-unreadable\]$/m)
    assert.match(stdout, /^nad\.yaml:11:7: error/m)
    assert.is(status, 1)
  })

  it('a file in another encoding is an error at its first byte that is not UTF-8, and is checked all the same', async () => {
    const dir = folder({})
    mkdirSync(dir, { recursive: true })
    // A replacement character that its author wrote is none.
    const text = BAD.replace('n6\n', 'n6 # \ufffd\n').replace('br-n6', 'br-n\u00fc')
    const at = Buffer.from(text.slice(0, text.indexOf('\u00fc')), 'utf8')
    const rest = Buffer.from(text.slice(text.indexOf('\u00fc')), 'latin1')
    writeFileSync(join(dir, 'latin1.yaml'), Buffer.concat([at, rest]))
    writeFileSync(join(dir, 'utf16.yaml'), Buffer.from(`\ufeff${BAD}`, 'utf16le'))
    const { stdout, status } = await runCli(['validate', '.'], { cwd: dir })
    assert.match(stdout, /^latin1\.yaml:12:22: error: not UTF-8: byte 0xfc \[file-unreadable\]$/m)
    assert.match(stdout, /^latin1\.yaml:11:7: error: NAD telco\/n6: bridge: "vlan" must be/m)
    assert.match(stdout, /^utf16\.yaml:1:1: error: not UTF-8: byte 0xff/m)
    assert.match(stdout, /4 errors, 1 warning\n$/)
    assert.is(status, 1)
  })

  it('a command line that is wrong exits 2', async () => {
    for (const args of [[], ['-o', 'xml', 'a.yaml'], ['-', '-'], ['--strict', 'a.yaml']]) {
      const { status, stdout, stderr } = await runCli(['validate', ...args])
      assert.is(status, 2, args.join(' '))
      assert.is(stdout, '')
      assert.match(stderr, /^plexus validate: /)
    }
  })

  it('every example is without errors', async () => {
    const examples = readdirSync(join(ROOT, 'examples'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    )
    assert.ok(examples.length > 5)
    for (const { name } of examples) {
      const { stdout, status } = await runCli(['validate', join('examples', name), '-o', 'json'], {
        cwd: ROOT,
      })
      const { findings } = JSON.parse(stdout)
      assert.equal(
        findings.filter(({ severity }: { severity: string }) => severity === 'error'),
        [],
        name,
      )
      assert.is(status, 0)
    }
  })

  it('the code for it is in the bundle of the commands only', () => {
    const has = (bundle: string): boolean =>
      readFileSync(join(ROOT, 'dist', bundle), 'utf8').includes('A veth pair whose host end')
    assert.ok(has('cli.cjs'))
    assert.not(has('cni-plugin.cjs'))
    assert.not(has('main.cjs'))
  })
})
