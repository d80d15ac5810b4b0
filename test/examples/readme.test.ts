import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type KernelFeature, kernelHas, skipped } from '../rig/kernel.ts'
import { PLEXUS, ROOT } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { TEST_RUN } from '../rig/teardown.ts'
import { spec } from '../spec.ts'
import { EXAMPLES } from './example.ts'

/** Files of an example that its own test or this one uses. */
const KNOWN_FILES = [
  ...['README.md', 'look.sh', 'nad.yaml', 'net-conf.json', 'pod.yaml', 'runtime-config.json'],
  // Used by try.sh, and so by the command of the README.
  ...['node.sh', 'stand-in-kubelet.mjs', 'stand-in-sriov.sh'],
]

/** What an example needs of the kernel besides veth and bridge. */
const NEEDED: Readonly<Record<string, readonly KernelFeature[]>> = {
  'cnf-planes': ['macvlan'],
  'default-network': ['iptables', 'tbf', 'ifb'],
  'macvlan-data-plane': ['macvlan'],
  'sriov-dpdk': ['macvlan'],
}

const names = readdirSync(EXAMPLES).filter((name) => statSync(join(EXAMPLES, name)).isDirectory())
const readme = (...path: string[]): string => readFileSync(join(EXAMPLES, ...path, 'README.md'), 'utf8')
const missing = new Map<string, KernelFeature>()
for (const name of names) {
  for (const feature of NEEDED[name] ?? []) if (!(await kernelHas(feature))) missing.set(name, feature)
}

/** The console blocks of a text: each command with its output. */
function consoleBlocks(text: string): { command: string; output: string }[] {
  return [...text.matchAll(/^```console\n\$ (.+)\n([\s\S]*?)^```$/gm)].map(
    ([, command = '', output = '']) => ({
      command,
      output,
    }),
  )
}

/** Runs a command of a README as its reader would, at the top of the checkout. */
function runCommand(command: string): Promise<{ status: number; stdout: string; stderr: string }> {
  const [program = '', ...args] = command.replace(/^sudo /, '').split(' ')
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_PATH: debianPlugins(),
    PLEXUS_TEST_RUN: TEST_RUN,
  }
  return new Promise((resolve) => {
    execFile(join(ROOT, program), args, { cwd: ROOT, env }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? -1), stdout, stderr })
    })
  })
}

/** What differs from run to run, made equal: MACs, addresses made of them, numbers and names of links, times. */
function normalise(text: string): string {
  return text
    .replace(/ fe80::[0-9a-f:]+\/64/g, '')
    .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, (mac) => (mac.startsWith('02:00:5e') ? mac : 'MAC'))
    .replace(/@if\d+/g, '@if')
    .replace(/\b(veth|bwp)[0-9a-f]+\b/g, '$1')
    .replace(/\btime \d+ms/g, 'time')
    .replace(/^rtt .*$/gm, 'rtt')
    .replace(/path \[.*?\]/g, 'path []')
    .replace(/[ \t]+/g, ' ')
    .replace(/ $/gm, '')
    .trim()
}

spec('examples', (it) => {
  it('there are eleven, and the README lists each once, in a reading order', () => {
    const listed = [...readme().matchAll(/^\d+\. \[([\w-]+)\]\(\1\/\)/gm)].map((match) => match[1])
    assert.equal([...listed].sort(), names)
    assert.is(names.length, 11)
  })

  it('each has its own test, which opens it, and no file that no test uses', () => {
    for (const name of names) {
      const test = join(import.meta.dirname, `${name}.test.ts`)
      assert.ok(existsSync(test), `${name} has no test`)
      assert.ok(readFileSync(test, 'utf8').includes(`openExample('${name}'`), `${test} does not open it`)
      const files = readdirSync(join(EXAMPLES, name))
      assert.equal(
        files.filter((file) => !KNOWN_FILES.includes(file)),
        [],
      )
      for (const file of ['README.md', 'look.sh', 'net-conf.json', 'pod.yaml'])
        assert.ok(files.includes(file), name)
    }
    const loose = readdirSync(EXAMPLES).filter((name) => !names.includes(name))
    assert.equal(loose, ['README.md', 'try.sh'])
  })

  it('each README fits on a screen and names files that are there', () => {
    for (const name of names) {
      const text = readme(name)
      assert.ok(text.split('\n').length <= 50, `${name}: ${text.split('\n').length} lines`)
      const mentioned = [...text.matchAll(/^- `([^`]+)`/gm)].map((match) => match[1] ?? '')
      assert.ok(mentioned.length > 0, name)
      for (const file of mentioned) assert.ok(existsSync(join(EXAMPLES, name, file)), `${name}/${file}`)
    }
  })

  for (const name of names) {
    const title = `the README of ${name} shows what its command prints`
    const feature = missing.get(name)
    if (feature !== undefined) {
      skipped(title, feature)
      continue
    }
    it(title, async () => {
      const [block, ...others] = consoleBlocks(readme(name))
      assert.equal(others, [])
      assert.is(block?.command, `sudo examples/try.sh ${name}`)
      const { status, stdout, stderr } = await runCommand(block?.command ?? '')
      assert.is(status, name === 'route-override' ? 1 : 0, `${stdout}${stderr}`)
      assert.is(stderr, '')
      assert.is(normalise(stdout), normalise(block?.output ?? ''))
    })
  }

  for (const name of names) {
    it(`the plan of ${name} has no fault and names every pod`, async () => {
      const folder = `examples/${name}`
      const files = ['pod.yaml', 'nad.yaml'].filter((file) => existsSync(join(ROOT, folder, file)))
      const args = files.map((file) => `${folder}/${file}`).join(' ')
      const { status, stdout, stderr } = await runCommand(
        `bin/plexus explain ${args} --conf ${folder}/net-conf.json -o json`,
      )
      assert.is(status, 0, `${stdout}${stderr}`)
      const plan: { pods: { faults: unknown[]; warnings: unknown[] }[] } = JSON.parse(stdout)
      assert.is(
        plan.pods.length,
        readFileSync(join(ROOT, folder, 'pod.yaml'), 'utf8').split('kind: Pod').length - 1,
      )
      for (const { warnings } of plan.pods) assert.equal(warnings, [])
    })
  }

  it('the commands of the list of examples work', async () => {
    for (const { command } of consoleBlocks(readme())) {
      const { status, stdout, stderr } = await runCommand(command)
      assert.is(status, 0, `${command}: ${stdout}${stderr}`)
      assert.is.not(stdout, '')
    }
  })

  it('try.sh with no example, or an unknown one, names those that there are', async () => {
    for (const argument of ['', ' no-such-example']) {
      const { status, stdout, stderr } = await runCommand(`examples/try.sh${argument}`)
      assert.is(status, 2)
      assert.is(stdout, '')
      for (const name of names) assert.match(stderr, name)
    }
    assert.ok(existsSync(PLEXUS))
  })
})
