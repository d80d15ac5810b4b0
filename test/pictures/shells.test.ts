import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { recordSandbox } from '../cli/recorded-sandbox.ts'
import { PLEXUS } from '../rig/plexus.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const execute = promisify(execFile)

spec('completion in zsh, fish and kubectl', (it) => {
  const folder = tempDir('shells')
  const stateDir = join(tempDir('shells-state'), 'state')
  const env = { PATH: `${dirname(PLEXUS)}:/usr/bin:/bin`, HOME: folder, XDG_CONFIG_HOME: folder }
  const lines = async (program: string, args: readonly string[]): Promise<string[]> => {
    const { stdout } = await execute(program, args, { env, cwd: folder, timeout: 60_000 })
    return stdout.trimEnd().split('\n')
  }
  /** What zsh would offer; its own functions print what they are given. */
  const zsh = (words: readonly string[]): Promise<string[]> => {
    const quoted = ['plexus', ...words].map((word) => `'${word}'`).join(' ')
    const script = `compdef() { :; }; _describe() { print -rl -- "\${(@P)2}"; }; _files() { print -r -- "files $*"; }
source <(plexus completion zsh); words=(${quoted}); CURRENT=${words.length + 1}; _plexus`
    return lines('zsh', ['-f', '-c', script])
  }
  /** What fish offers. */
  const fish = (line: string): Promise<string[]> =>
    lines('fish', ['--no-config', '-c', `plexus completion fish | source; complete -C '${line}'`])

  it.before(() => {
    recordSandbox(stateDir, {
      containerId: 'c1',
      pod: 'telco/upf-0',
      networks: [{ ifName: 'eth0', network: 'cluster', address: '10.0.0.5/24' }],
    })
    writeFileSync(join(folder, 'pod.yaml'), '')
  })

  it('zsh: commands with what they do, options, values, pods, files', async () => {
    assert.equal(await zsh(['li']), ['list:What is attached on this node'])
    assert.equal(await zsh(['list', '--out']), ['--output:How to print it'])
    assert.equal(await zsh(['list', '-o', '']), ['table:', 'json:', 'yaml:'])
    assert.equal(await zsh(['list', '--output=j']), ['--output=json:'])
    assert.equal(await zsh(['show', '--state-dir', stateDir, '']), ['telco/upf-0:'])
    assert.equal(await zsh(['validate', '']), ['files'])
    assert.equal(await zsh(['list', '--state-dir', '']), ['files -/'])
  })

  it('zsh completes for real in a terminal', async () => {
    const script = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'autoload -Uz compinit; compinit -u -d ${folder}/dump; source <(plexus completion zsh); PS1=; echo rea''dy'
zpty -r -m shell seen '*ready*'
zpty -w -n shell $'plexus vali\\t'
zpty -r -m shell seen '*validate*' && print -r -- "seen: \${seen//[^a-z ]/}"
zpty -d shell`
    const [seen] = await lines('zsh', ['-f', '-c', script])
    assert.match(seen ?? '', /^seen: .*plexus validate/)
  })

  it('fish: commands with what they do, options, values, pods, files', async () => {
    assert.equal(await fish('plexus li'), ['list\tWhat is attached on this node'])
    assert.equal(await fish('plexus list --out'), ['--output\tHow to print it'])
    assert.equal(await fish('plexus list -o '), ['json', 'table', 'yaml'])
    assert.equal(await fish('plexus list --output=j'), ['--output=json'])
    assert.equal(await fish(`plexus show --state-dir ${stateDir} te`), ['telco/upf-0'])
    assert.equal(await fish('plexus validate po'), ['pod.yaml'])
  })

  it('kubectl finds the plugin', async () => {
    const help = await lines('kubectl', ['plexus', 'list', '--help'])
    assert.is(help[0], 'kubectl plexus list')
    const [pod] = await lines('kubectl', ['plexus', 'show', 'telco/upf-0', '--state-dir', stateDir])
    assert.match(pod ?? '', /telco\/upf-0/)
  })
})
