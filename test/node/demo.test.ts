import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { eventually } from '../rig/daemon.ts'
import { PLEXUS, type PlexusRun, ROOT, runCli } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { filesBelow } from '../rig/state-files.ts'
import { markedProcesses, TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** What a demo with this temporary folder can leave: its namespaces are told from others' by its output. */
function leftBy(tmp: string, output: string): string[] {
  const [prefix = 'none'] = /plexus-demo-[0-9a-f]{8}/.exec(output) ?? []
  const namespaces = existsSync('/run/netns') ? readdirSync('/run/netns') : []
  return [...namespaces.filter((name) => name.startsWith(prefix)), ...readdirSync(tmp)]
}

async function playDemo(args: readonly string[] = []): Promise<PlexusRun & { left: string[] }> {
  const tmp = tempDir('demo')
  const run = await runCli(['demo', ...args], { env: { TMPDIR: tmp } })
  return { ...run, left: leftBy(tmp, run.stdout) }
}

/** A picture without what is another in each run: names of the demo's own, hardware addresses, times. */
function sameOfAllRuns(svg: string): string {
  return svg
    .replaceAll(/plexus-demo-[0-9a-f]{8}/g, 'plexus-demo-ID')
    .replaceAll(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'MAC')
    .replaceAll(/ [\d.]+ m?s\b/g, ' TIME')
}

let shown: ReturnType<typeof playDemo> | undefined

/** One run for all tests that only read what it printed. */
function showDemo(): ReturnType<typeof playDemo> {
  shown ??= playDemo()
  return shown
}

spec('demo', (it) => {
  it('shows every step, ends with 0 and leaves nothing', async () => {
    const hostLinks = readdirSync('/sys/class/net')
    const { status, stdout, stderr, left, durationMs } = await showDemo()
    assert.is(status, 0, stderr)
    assert.is(stderr, '')
    assert.equal(left, [])
    assert.equal(markedProcesses(), [])
    assert.ok(durationMs < 30_000, `took ${durationMs} ms`)
    const words = [
      'kind: NetworkAttachmentDefinition',
      'k8s.v1.cni.cncf.io/networks: storage, data@data0',
      '$ plexus explain',
      'CNI_COMMAND=ADD',
      'took',
      '192.168.10.50/24',
      '$ ip -brief address',
      '3 received, 0% packet loss',
      '✓ address leases: none left',
      'nothing is left of it',
    ]
    for (const phrase of words) assert.ok(stdout.includes(phrase), `no "${phrase}" in:\n${stdout}`)
    assert.not(stdout.includes('\u001b'), 'colour without a terminal')
    assert.not(stdout.includes('✗'))
    const linksNow = readdirSync('/sys/class/net')
    for (const name of ['cni0', 'br-data', 'uplink0'])
      assert.is(linksNow.includes(name), hostLinks.includes(name))
  })

  it('the plan names every interface of both pods before ADD is called', async () => {
    const { stdout } = await showDemo()
    const plan = stdout.slice(stdout.indexOf('$ plexus explain'), stdout.indexOf('CNI_COMMAND=ADD'))
    for (const ifName of ['eth0', 'net1', 'data0']) assert.is(plan.split(ifName).length > 2, true, plan)
    for (const pod of ['demo/web', 'demo/database']) assert.ok(plan.includes(pod), plan)
  })

  it('the merged result and every plugin call are tables', async () => {
    const { stdout } = await showDemo()
    for (const plugin of ['bridge', 'portmap', 'macvlan', 'tuning']) {
      assert.match(stdout, new RegExp(`^ +(cluster|storage|data) +\\w+ +${plugin} +\\d+ ms +\\d+ ms$`, 'm'))
    }
    const rows = stdout.match(/^ +(eth0|net1|data0) +pod +[0-9a-f:]{17} +[0-9./]+ +[0-9.]+$/gm) ?? []
    assert.is(rows.length, 6)
    assert.match(stdout, /^ +address leases +0 +6 +0$/m)
    assert.match(stdout, /^ +interfaces in the pods +0 +6 +0$/m)
  })

  it('two at once do not meet', async () => {
    const runs = await Promise.all([playDemo(), playDemo()])
    for (const { status, stderr, left } of runs) {
      assert.is(status, 0, stderr)
      assert.equal(left, [])
    }
  })

  for (const [signal, status, phrase] of [
    ['SIGINT', 130, 'network namespaces are made'],
    ['SIGINT', 130, 'Pod web: ADD took'],
    ['SIGTERM', 143, '$ ping'],
    ['SIGTERM', 143, 'Delete the pods'],
  ] as const) {
    it(`${signal} after "${phrase}" cleans up and ends with ${status}`, async () => {
      const tmp = tempDir('demo')
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', TMPDIR: tmp, PLEXUS_TEST_RUN: TEST_RUN }
      let output = ''
      let ended: unknown = 0
      // A signal of a test that was held up may come when all is over.
      for (let tries = 0; ended === 0 && tries < 5; tries++) {
        const child = spawn(PLEXUS, ['demo'], { env })
        output = ''
        for (const stream of [child.stdout, child.stderr]) {
          stream.setEncoding('utf8').on('data', (text: string) => {
            if (!output.includes(phrase) && `${output}${text}`.includes(phrase)) child.kill(signal)
            output += text
          })
        }
        ended = await new Promise((resolve) => child.once('close', resolve))
      }
      assert.is(ended, status, output)
      assert.match(output, `ended by ${signal}`)
      assert.equal(leftBy(tmp, output), [])
      await eventually(() => assert.equal(markedProcesses(), []))
    })
  }

  it('a plugin that fails is told in its own words, and what was made is removed', async () => {
    const binDir = tempDir('bin')
    for (const type of ['bridge', 'portmap', 'host-local', 'tuning']) {
      symlinkSync(join(debianPlugins(), type), join(binDir, type))
    }
    // Runs, but is no CNI plugin: it fails and says why on stderr.
    symlinkSync('/bin/false', join(binDir, 'macvlan'))
    const { status, stderr, stdout, left } = await playDemo(['--bin-dir', binDir])
    assert.is(status, 1)
    assert.match(stderr, 'macvlan')
    assert.not(stdout.includes('nothing is left of it'))
    assert.equal(left, [])
  })

  it('absent plugins are named with the package that has them, before anything is made', async () => {
    const { status, stdout, stderr, left } = await playDemo(['--bin-dir', tempDir('empty')])
    assert.is(status, 1)
    assert.is(stdout, '')
    assert.match(stderr, 'the CNI plugins bridge, macvlan, host-local, portmap, tuning')
    assert.match(stderr, 'install containernetworking-plugins')
    assert.equal(left, [])
  })

  it('a user who is not root is told to become root', async () => {
    // In a user namespace of its own it is nobody, and can read the checkout wherever that is.
    const child = spawn('unshare', ['--user', '--', PLEXUS, 'demo'], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    assert.is(await new Promise((resolve) => child.once('close', resolve)), 1)
    assert.match(stderr, 'root')
    assert.match(stderr, 'sudo')
  })

  it('--state-dir and --manifests are used; the state is removed, the manifests stay', async () => {
    const dir = tempDir('folders')
    const stateDir = join(dir, 'state')
    const manifests = join(dir, 'manifests')
    const { status, stdout, stderr } = await playDemo(['--state-dir', stateDir, '--manifests', manifests])
    assert.is(status, 0, stderr)
    assert.ok(stdout.includes(`"stateDir": "${stateDir}"`))
    assert.not(existsSync(stateDir))
    assert.equal(filesBelow(manifests), ['demo-networks.yaml', 'demo-pods.yaml'])
    mkdirSync(stateDir)
    const pictures = join(dir, 'pictures')
    const folders = ['--state-dir', stateDir, '--manifests', manifests, '--pictures', pictures]
    const again = await playDemo(folders)
    assert.equal(filesBelow(pictures), ['map-pod.svg', 'map.svg'])
    assert.is(again.status, 0, again.stderr)
    const drawn = (folder: string, name: string): string =>
      sameOfAllRuns(readFileSync(join(folder, name), 'utf8'))
    const hint = 'to draw docs/ anew: bin/plexus demo --pictures docs'
    assert.is(drawn(pictures, 'map.svg'), drawn(join(ROOT, 'docs'), 'map.svg'), hint)
    const titles = (folder: string): string[] => drawn(folder, 'map-pod.svg').match(/<title>[^<]*/g) ?? []
    assert.ok(titles(pictures).length > 10)
    assert.equal(titles(pictures), titles(join(ROOT, 'docs')), hint)
    assert.equal(filesBelow(stateDir), [])
    rmSync(dir, { recursive: true })
  })
})
