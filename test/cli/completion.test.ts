import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { completeLine } from '../../src/cli/cli.ts'
import { PLEXUS, ROOT, runCli } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { recordSandbox } from './recorded-sandbox.ts'

const execute = promisify(execFile)
const eth0 = { ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }

/** The words that are offered, and the directive. */
const complete = async (...words: string[]): Promise<string[]> =>
  (await completeLine(words))
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/\t.*/, ''))

/** What bash would offer for each of several lines as it splits them into words; the last one is being written. */
async function bash(lines: readonly (readonly string[])[], cwd: string): Promise<string[][]> {
  const asked = lines.map((words) => {
    const quoted = ['plexus', ...words].map((word) => `'${word}'`).join(' ')
    return `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _plexus; printf '%s\\n' "\${COMPREPLY[@]}"; echo`
  })
  const env = { PATH: `${dirname(PLEXUS)}:/usr/bin:/bin` }
  const script = ['source <(plexus completion bash)', ...asked].join('\n')
  const { stdout } = await execute('bash', ['-c', script], { env, cwd, timeout: 50_000 })
  return stdout
    .trimEnd()
    .split('\n\n')
    .map((block) => block.split('\n').filter((line) => line !== ''))
}

spec('completion', (it) => {
  const folder = join(tempDir('completion'), 'work')
  const stateDir = join(tempDir('completion-state'), 'state')

  it.before(() => {
    mkdirSync(join(folder, 'manifests'), { recursive: true })
    writeFileSync(join(folder, 'my pod.yaml'), '')
    recordSandbox(stateDir, { containerId: 'c1', pod: 'telco/upf-0', networks: [eth0] })
    recordSandbox(stateDir, { containerId: 'c2', pod: 'shop/web-1', networks: [eth0] })
  })

  it('offers every command that the help names, and nothing else', async () => {
    const { stdout } = await runCli(['--help'])
    const named = [...stdout.matchAll(/^ {2}plexus (\S+)/gm)].map((match) => match[1] ?? '')
    assert.ok(named.length > 5)
    assert.equal(await complete(''), [...named, ':4'])
    assert.equal(await complete('va'), ['validate', ':4'])
  })

  it('offers each option of each command that its help names, once but for those that may be repeated', async () => {
    for (const command of (await complete('')).slice(0, -1)) {
      const { stdout } = await runCli([command, '--help'])
      const options = stdout.slice(stdout.indexOf('\nOptions:'))
      const named = [...options.matchAll(/^ {2,6}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1] ?? '')
      assert.ok(named.includes('--help'), command)
      assert.equal(await complete(command, '--'), [...named, ':4'], command)
    }
    const again = await complete('list', '--state-dir', '/x', '--manifests', '/y', '--')
    assert.not(again.includes('--state-dir'))
    assert.ok(again.includes('--manifests'))
  })

  it('does not take the value of an option for a command', async () => {
    const offered = await complete('webhook', '--config', 'cert', '--')
    assert.ok(offered.includes('--listen'), offered.join())
    assert.equal(await complete('webhook', '--config', 'cert', 'c'), ['cert', ':4'])
    assert.equal(
      await complete('webhook', '--config', 'cert', 'cert', '--'),
      await complete('webhook', 'cert', '--'),
    )
  })

  it('offers the values of an option: choices, pods of the journal, folders, files', async () => {
    const cases: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
      [
        ['list', '-o', ''],
        ['table', 'json', 'yaml', ':4'],
      ],
      [
        ['list', '--output', 'j'],
        ['json', ':4'],
      ],
      [
        ['list', '--output=y'],
        ['--output=yaml', ':4'],
      ],
      [
        ['map', '-o', ''],
        ['svg', 'json', ':4'],
      ],
      [
        ['show', '--state-dir', stateDir, ''],
        ['shop/web-1', 'telco/upf-0', ':4'],
      ],
      [
        ['show', `--state-dir=${stateDir}`, 'te'],
        ['telco/upf-0', ':4'],
      ],
      [
        ['map', '--state-dir', stateDir, '--pod', 't'],
        ['telco/upf-0', ':4'],
      ],
      [['show', 'telco/upf-0', ''], [':4']],
      [['show', '--state-dir', join(folder, 'none'), ''], [':4']],
      [['list', '--state-dir', ''], [':16']],
      [['validate', 'a.yaml', ''], [':0']],
      [['map', '--out', ''], [':0']],
      [
        ['completion', ''],
        ['bash', 'zsh', 'fish', ':4'],
      ],
      [['no-such-command', ''], (await complete('')).slice()],
    ]
    for (const [words, offered] of cases) assert.equal(await complete(...words), offered, words.join(' '))
  })

  it('offers the contexts of the kubeconfig', async () => {
    const file = join(folder, 'kubeconfig')
    writeFileSync(file, 'contexts: [{name: prod}, {name: "arn:aws:test"}]')
    assert.equal(await complete('map', '--kubeconfig', file, '--context', ''), ['prod', 'arn:aws:test', ':4'])
    assert.equal(
      (await bash([['map', '--kubeconfig', file, '--context', 'arn', ':', 'aws', ':', 't']], folder))[0],
      ['test'],
    )
    writeFileSync(file, '{')
    assert.equal(await complete('map', '--kubeconfig', file, '--context', ''), [':4'])
  })

  it('bash completes commands, options, values behind "=", and names of files', async () => {
    const cases: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
      [['va'], ['validate']],
      [['list', '--st'], ['--state-dir']],
      [['list', '--output', '=', 'j'], ['json']],
      [
        ['list', '--output', '='],
        ['table', 'json', 'yaml'],
      ],
      [['show', '--state-dir', stateDir, 'telco/'], ['telco/upf-0']],
      [
        ['validate', 'm'],
        ['manifests', 'my pod.yaml'],
      ],
      [['list', '--state-dir', 'm'], ['manifests']],
    ]
    const offered = await bash(
      cases.map(([words]) => words),
      folder,
    )
    assert.equal(
      offered,
      cases.map(([, expected]) => expected),
    )
  })

  it('a shell that is not known is refused with those that are', async () => {
    const { status, stderr } = await runCli(['completion', 'tcsh'])
    assert.is(status, 2)
    assert.match(stderr, /bash.*zsh.*fish/)
  })
})

spec('the kubectl plugin', (it) => {
  const run = async (program: string, args: readonly string[], env: Record<string, string> = {}) =>
    await execute(join(ROOT, 'bin', program), args, {
      env: { PATH: '/usr/bin:/bin', ...env },
      timeout: 30_000,
    })

  it('speaks of itself as kubectl plexus, from a link too', async () => {
    const link = join(tempDir('kubectl'), 'kubectl-plexus')
    symlinkSync(join(ROOT, 'bin', 'kubectl-plexus'), link)
    for (const program of [join(ROOT, 'bin', 'kubectl-plexus'), link]) {
      const { stdout } = await execute(program, ['show', '--help'], { env: { PATH: '/usr/bin:/bin' } })
      assert.match(stdout, /^kubectl plexus show <pod>/)
      assert.match(stdout, /\n {2}kubectl plexus show telco\/upf-0/)
    }
    const failed = await run('kubectl-plexus', ['lisst']).catch((error: { stderr: string }) => error)
    assert.match(failed.stderr, /^kubectl plexus: there is no such command; did you mean list\?/)
  })

  it('takes the cluster of kubectl for what it draws', async () => {
    const home = tempDir('home')
    mkdirSync(join(home, '.kube'))
    writeFileSync(join(home, '.kube', 'config'), '{}')
    for (const env of [{ HOME: home }, { KUBECONFIG: join(home, '.kube', 'config') }]) {
      const failed = await run('kubectl-plexus', ['map'], env).catch((error: { stderr: string }) => error)
      assert.ok(failed.stderr.includes(join(home, '.kube', 'config')), failed.stderr)
    }
  })

  it('completes as kubectl asks for it', async () => {
    const { stdout } = await run('kubectl_complete-plexus', ['li'])
    assert.is(stdout, 'list\tWhat is attached on this node\n:4\n')
    const { stdout: options } = await run('kubectl_complete-plexus', ['list', '--output', 'y'])
    assert.is(options, 'yaml\t\n:4\n')
  })
})
