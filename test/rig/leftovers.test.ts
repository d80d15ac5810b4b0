import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { assertNothingLeft, type Places, snapshot } from './leftovers.ts'
import { createHostNetns, createNetns } from './netns.ts'
import { type PlexusCall, runPlexus, startPlexus } from './plexus.ts'
import { debianPlugins } from './plugin-dirs.ts'
import { leases } from './state-files.ts'
import { stubPlugin } from './stub.ts'
import { tempDir } from './temp-dir.ts'

async function leftOf(places: Places, effect: () => unknown): Promise<string> {
  const before = await snapshot(places)
  await assertNothingLeft(before)
  await effect()
  try {
    await assertNothingLeft(before)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return ''
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

spec('rig: what is left behind is found', (it) => {
  it('a namespace, a link, a lease, a state file, another file, a process', async () => {
    const host = await createHostNetns()
    const dir = tempDir('left')
    assert.match(await leftOf({}, () => createNetns('extra')), /namespace plx-\d+-\d+-extra/)
    assert.match(
      await leftOf({ netns: [host] }, () => host.exec('ip', ['link', 'add', 'br-left', 'type', 'bridge'])),
      /link br-left in plx-/,
    )
    assert.match(
      await leftOf({ leases: [dir] }, () => {
        mkdirSync(join(dir, 'net'))
        writeFileSync(join(dir, 'net/last_reserved_ip.0'), '')
        writeFileSync(join(dir, 'net/lock'), '')
        writeFileSync(join(dir, 'net/10.0.0.2'), 'c1\neth0')
      }),
      /^left behind:\n {2}lease .*\/net\/10\.0\.0\.2$/,
    )
    const state = tempDir('state')
    assert.match(
      await leftOf({ stateDir: state, folders: [dir] }, () => {
        mkdirSync(join(state, 'sandboxes/c1'), { recursive: true })
        mkdirSync(join(state, 'locks'))
        writeFileSync(join(state, 'sandboxes/c1/eth0'), '')
        writeFileSync(join(state, 'locks/c1'), '')
        writeFileSync(join(dir, 'odd'), '')
      }),
      /^left behind:\n {2}file .*\/odd\n {2}state file .*\/sandboxes\/c1\/eth0$/,
    )
    const stub = stubPlugin(tempDir('bin'), 'sleeper', { add: { hang: true } })
    const running: { kill(signal: NodeJS.Signals): void; finished: Promise<unknown> }[] = []
    const left = await leftOf({}, async () => {
      running.push(startPlexus('ADD', { executable: stub.path, conf: {} }))
      await stub.reached(1)
    })
    assert.match(left, /process \d+ .*sleeper/)
    running[0]?.kill('SIGKILL')
    await running[0]?.finished
  })

  it('rules and links of real plugins after ADD, and none after DEL', async () => {
    const host = await createHostNetns()
    const pod = await createNetns('pod')
    const dataDir = tempDir('ipam')
    const conf = {
      cniVersion: '1.0.0',
      name: 'left',
      type: 'bridge',
      bridge: 'br0',
      isGateway: true,
      ipMasq: true,
      ipam: { type: 'host-local', dataDir, subnet: '10.77.0.0/24' },
    }
    const dir = debianPlugins()
    const call = (type: string, more: object): PlexusCall => ({
      executable: join(dir, type),
      conf: { ...conf, ...more },
      containerId: 'c1',
      netns: pod,
      ifName: 'eth0',
      path: [dir],
      inNetns: host,
    })
    const bridge = call('bridge', {})
    const before = await snapshot({ netns: [host, pod], leases: [dataDir] })
    const added = await runPlexus('ADD', bridge)
    assert.is(added.status, 0, added.stdout)
    const ports = {
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    }
    const portmap = call('portmap', { type: 'portmap', prevResult: added.json, ...ports })
    const mapped = await runPlexus('ADD', portmap)
    assert.is(mapped.status, 0, mapped.stdout)
    assert.equal(leases(dataDir), ['left/10.77.0.2'])
    const after = await snapshot(before.places)
    const left = after.lines.filter((line) => !before.lines.includes(line)).join('\n')
    for (const expected of [
      /link eth0 in .*-pod/,
      /link veth\w+ in .*-host/,
      /rule -A CNI-\w{24} /,
      /rule -A CNI-DN-/,
      /lease .*10\.77\.0\.2/,
    ]) {
      assert.match(left, expected)
    }
    assert.is((await runPlexus('DEL', portmap)).status, 0)
    assert.is((await runPlexus('DEL', bridge)).status, 0)
    await host.exec('ip', ['link', 'del', 'br0']) // the bridge plugin keeps it on purpose
    await assertNothingLeft(before)
  })
})

spec('rig: the end of a test process', (it) => {
  it('takes namespaces, folders and running stubs with it when a signal ends it', async () => {
    const script = `
      import { createNetns } from './netns.ts'
      import { tempDir } from './temp-dir.ts'
      import { stubPlugin } from './stub.ts'
      import { startPlexus } from './plexus.ts'
      const bin = tempDir('bin')
      const stub = stubPlugin(bin, 'hangs', { add: { hang: true, ignoreTerm: true } })
      const netns = await createNetns('short')
      const running = startPlexus('ADD', { executable: stub.path, conf: {}, inNetns: netns })
      await stub.reached(1)
      console.log(JSON.stringify([netns.name, bin, running.pid]))
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data) => resolve(String(data))),
    )
    const [name, bin, pid] = JSON.parse(line) as [string, string, number]
    assert.ok(readdirSync('/run/netns').includes(name))
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    assert.is(await ended, 143)
    assert.not(readdirSync('/run/netns').includes(name))
    assert.throws(() => readdirSync(bin), /ENOENT/)
    // SIGKILL was sent; the process may need a moment to go, and stays a zombie where init does not reap.
    const end = Date.now() + 5000
    while (isRunning(pid) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.not(isRunning(pid))
  })
})
