import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { PLEXUS, ROOT, runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { recordSandbox } from './recorded-sandbox.ts'

const dir = tempDir('cli')
const stateDir = join(dir, 'state')
const network = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }
recordSandbox(stateDir, { containerId: 'c1', pod: 'web/a', networks: [network] })

/** Runs plexus on a terminal; stdin must not be one that `script` could wait for. */
function onTerminal(env: Record<string, string>, ...args: string[]): string {
  const command = [PLEXUS, ...args].join(' ')
  const { stdout, status, error } = spawnSync('script', ['-qec', command, '/dev/null'], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', TERM: 'xterm-256color', ...env },
    input: '',
    timeout: 30_000,
  })
  assert.is(error, undefined)
  assert.is(status, 0)
  return stdout
}

const ESCAPE = '\u001b['

spec('plexus on the command line', (it) => {
  it('CNI-010 without CNI_COMMAND and without arguments it says what it is, on stderr, and ends with 0', async () => {
    const run = await runCli([], { env: { PATH: undefined } })
    assert.is(run.status, 0)
    assert.is(run.stdout, '')
    assert.match(
      run.stderr,
      /^plexus [\d.]+: CNI meta-plugin .*\nCNI protocol versions supported: 0\.1\.0, .*1\.1\.0\n/,
    )
  })

  it('--version prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const { status, stdout } = await runCli(['--version'])
    assert.is(stdout, `${version}\n`)
    assert.is(status, 0)
  })

  it('--help names every command', async () => {
    const { status, stdout, stderr } = await runCli(['--help'])
    assert.is(status, 0)
    assert.is(stderr, '')
    for (const command of ['list', 'show <pod>', 'explain [files..]', 'demo']) {
      assert.match(stdout, `\n  plexus ${command} `)
    }
  })

  for (const command of ['list', 'show', 'explain', 'demo']) {
    it(`${command} --help explains it and runs nothing`, async () => {
      const { status, stdout, stderr } = await runCli([command, '--help'])
      assert.is(status, 0)
      assert.is(stderr, '')
      assert.ok(stdout.startsWith(`plexus ${command}`), stdout)
      for (const option of ['--state-dir', '--manifests']) assert.match(stdout, option)
    })
  }

  const wrong: readonly (readonly [title: string, args: readonly string[], message: string])[] = [
    ['a misspelt command', ['lsit'], 'plexus: there is no such command; did you mean list?\n'],
    ['an unknown command', ['frobnicate'], 'there is no command, option or argument frobnicate here'],
    [
      'an unknown option',
      ['list', '--frob'],
      'plexus list: there is no command, option or argument frob here\n',
    ],
    ['an argument too many', ['show', 'a/b', 'c/d'], 'there is no command, option or argument c/d here'],
    ['a missing argument', ['show'], 'plexus show: an argument is missing'],
    ['an unknown format', ['list', '-o', 'xml'], 'Choices: "table", "json", "yaml"'],
    ['an option without its value', ['list', '--state-dir'], 'not enough arguments following: state-dir'],
    [
      'an option given twice',
      ['list', '--state-dir', 'a', '--state-dir', 'b'],
      '--state-dir is given more than once',
    ],
    [
      'a pod without namespace',
      ['show', 'upf-0'],
      '"upf-0" is no pod: write NAMESPACE/POD, for example default/upf-0',
    ],
    ['a pod that no cluster can have', ['show', 'Telco/upf-0'], 'its namespace is no DNS-1123 label'],
    ['a path as a pod', ['show', 'a/../etc'], 'is no pod: write NAMESPACE/POD'],
  ]
  for (const [title, args, message] of wrong) {
    it(`${title} is a wrong call: exit 2, words on stderr, stdout empty`, async () => {
      const { status, stdout, stderr } = await runCli(args)
      assert.is(status, 2)
      assert.is(stdout, '')
      assert.match(stderr, message)
      assert.match(stderr, ' --help shows how to call it.\n')
      assert.not.match(stderr, /\n\s+at /)
    })
  }

  it('options may come before the command', async () => {
    const { status, stdout } = await runCli(['--state-dir', stateDir, 'list'])
    assert.is(status, 0)
    assert.match(stdout, 'web/a')
  })

  it('a failure is exit 1 with words on stderr and no stack', async () => {
    const { status, stdout, stderr } = await runCli(['explain', join(dir, 'absent.yaml')])
    assert.is(status, 1)
    assert.is(stdout, '')
    assert.match(stderr, /^plexus explain: manifests .*absent\.yaml/)
    assert.not.match(stderr, /\n\s+at /)
  })

  it('the language of the user does not change the words', async () => {
    const { stderr } = await runCli(['lsit'], { env: { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8' } })
    assert.match(stderr, 'did you mean list?')
  })

  it('colours are for a terminal without NO_COLOR only', async () => {
    const args = ['list', '--state-dir', stateDir]
    assert.match(onTerminal({}, ...args), ESCAPE)
    assert.not.match(onTerminal({ NO_COLOR: '1' }, ...args), ESCAPE)
    assert.not.match(onTerminal({}, ...args, '-o', 'json'), ESCAPE)
    assert.not.match((await runCli(args)).stdout, ESCAPE)
  })

  it('a reader that stops early is no failure', () => {
    const many = join(dir, 'many')
    for (let index = 0; index < 300; index++) {
      recordSandbox(many, { containerId: `c${index}`, pod: `web/pod-${index}`, networks: [network] })
    }
    const { status, stdout, stderr } = spawnSync(
      'sh',
      ['-c', `{ "$0" list --state-dir "$1" -o json; echo "exit $?" >&2; } | head -c 10`, PLEXUS, many],
      { encoding: 'utf8', timeout: 30_000 },
    )
    assert.is(status, 0)
    assert.is(stdout.length, 10)
    assert.is(stderr, 'exit 0\n')
  })

  it('CNI_COMMAND in the environment makes it a plugin, whatever the arguments', async () => {
    const { json, status } = await runCli(['list'], { env: { CNI_COMMAND: 'VERSION' } })
    assert.is(status, 0)
    assert.ok(Array.isArray(json?.supportedVersions))
  })

  it('a state directory that may not be read is told with its path', async () => {
    const broken = join(dir, 'broken')
    mkdirSync(broken)
    writeFileSync(join(broken, 'damaged'), 'a file where a folder should be')
    const { status, stderr } = await runCli(['list', '--state-dir', broken])
    assert.is(status, 1)
    assert.match(stderr, join(broken, 'damaged'))
  })
})
