import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { parseConflist } from '../../src/cni/conflist.ts'
import { mountState } from '../plugin/mounted-state.ts'
import { eventually } from '../rig/daemon.ts'
import { ROOT } from '../rig/plexus.ts'
import { TEST_RUN } from '../rig/teardown.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { defaultList, keptFolder } from './keeper.ts'

const LIMIT_MS = 2000
/** How long the folder is churned. The whole run: `PLEXUS_CHURN_SECONDS=600 node test/node/conf-folder-faults.test.ts`. */
const CHURN_MS = Number(process.env.PLEXUS_CHURN_SECONDS ?? 5) * 1000

const calico = defaultList('k8s-pod-network', 'calico', 'portmap')

/** Keeps a folder until its stdin ends, and prints what it says. */
const KEEP = `
const [module, confDir, pinFile] = process.argv.slice(1)
const { keepDefaultNetwork } = await import(module)
keepDefaultNetwork({
  search: { confDir, pinFile, changed: () => {} },
  conflist: {
    folder: confDir,
    cniVersion: '1.0.0',
    runtimeVersion: () => undefined,
    netConf: {},
    isWanted: () => true,
  },
  report: (level, message) => process.stdout.write(message + '\\n'),
})
process.stdin.resume().on('end', () => process.exit())`

/** Numbers that look random and are the same in every run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648
    return Math.floor((state / 2147483648) * below)
  }
}

spec('conf folder that cannot be written', (it) => {
  for (const [title, breakIt] of [
    ['full', async (mounted: Awaited<ReturnType<typeof mountState>>) => await mounted.fill('space')],
    [
      'read-only',
      async (mounted: Awaited<ReturnType<typeof mountState>>) => {
        await mounted.remount('ro')
        return () => mounted.remount('rw')
      },
    ],
  ] as const) {
    it(`${title}: the reason is said, nothing half-written is left, and it is done when that is over`, async () => {
      const mounted = await mountState(join(tempDir(title), 'net.d'), 'size=64k,nr_inodes=40')
      const folder = mounted.visible
      writeFileSync(join(folder, '10-calico.conflist'), JSON.stringify(calico))
      const repair = await breakIt(mounted)
      const kept = keptFolder({ folder })
      await eventually(() => assert.match(kept.keeper.fault ?? '', 'cannot be written'), LIMIT_MS)
      assert.match(kept.said.join('\n'), /error: .*00-plexus.conflist cannot be written: .*tried again/)
      assert.not.ok(readdirSync(folder).some((name) => name.includes('00-plexus')))
      await repair()
      await eventually(() => assert.ok(existsSync(kept.path)), LIMIT_MS)
      await eventually(() => assert.is(kept.keeper.fault, undefined), LIMIT_MS)
      kept.keeper.close()
    })
  }
})

spec('conf folder of whose changes the kernel gives no notice', (it) => {
  it('is looked at, and all is in order within the limit; that is said once', async () => {
    const folder = tempDir('net.d')
    const program = `echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"`
    const child = spawn(
      'unshare',
      [
        ...['--user', '--map-root-user', 'sh', '-c', program, 'sh'],
        ...[process.execPath, '--input-type=module', '--eval', KEEP],
        ...[join(ROOT, 'src/node/default-network-keeper.ts'), folder, join(tempDir('state'), 'pin.json')],
      ],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env.PATH, PLEXUS_TEST_RUN: TEST_RUN } },
    )
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await eventually(() => assert.match(said, 'the kernel gives no notice'))
    const ours = join(folder, '00-plexus.conflist')
    writeFileSync(join(folder, '10-calico.conflist'), JSON.stringify(calico))
    for (let round = 0; round < 3; round++) {
      await eventually(() => assert.ok(existsSync(ours)), LIMIT_MS)
      rmSync(ours)
    }
    assert.is(said.split('no notice').length, 2)
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.stdin.end()
    await ended
  })
})

spec('conf folder of two daemons at once', (it) => {
  it('while they differ about our list it is whole at every moment, and each writes once a second at most', async () => {
    const old = keptFolder()
    const young = keptFolder({ folder: old.folder, pinFile: old.pinFile, cniVersion: '1.1.0' })
    old.put('10-calico.conflist', calico)
    await eventually(() => assert.ok(existsSync(old.path)), LIMIT_MS)
    const seen = new Set<number | bigint>()
    for (const until = Date.now() + 4000; Date.now() < until; await delay(2)) {
      parseConflist(old.list(), { what: 'list', form: 'conflist' })
      seen.add(statSync(old.path, { bigint: true }).mtimeNs)
    }
    assert.ok(seen.size < 60, `${seen.size} writes in 4 s`)
    old.keeper.close()
    await eventually(() => assert.is(young.list().cniVersion, '1.1.0'), LIMIT_MS)
    young.keeper.close()
  })
})

spec('conf folder in which others write all the time', (it) => {
  it('our list is whole whenever it is there, and all is in order within the limit', async () => {
    const kept = keptFolder()
    kept.put('10-calico.conflist', calico)
    await eventually(() => assert.ok(existsSync(kept.path)), LIMIT_MS)
    const random = randomNumbers(1)
    const at = (name: string): string => join(kept.folder, name)
    const names = ['05-a.conf', '10-calico.conflist', '20-b.conflist', '99-c.json', '00-plexus.conflist']
    const writings = [
      (name: string) => kept.put(name, calico),
      (name: string) => kept.put(name, defaultList('other', 'bridge')),
      (name: string) => kept.overwrite(name, JSON.stringify(calico).slice(0, 30)),
      (name: string) => rmSync(at(name), { force: true }),
      (name: string) => existsSync(at(name)) && renameSync(at(name), at(`${name}.cilium_bak`)),
    ]
    let looks = 0
    for (const until = Date.now() + CHURN_MS; Date.now() < until; ) {
      const name = names[random(names.length)] ?? ''
      const isOurs = name === '00-plexus.conflist'
      // Whoever writes half of our file makes it half: what is tried is what we write.
      writings[isOurs ? 3 + random(2) : random(writings.length)]?.(name)
      await delay(random(40))
      try {
        parseConflist(JSON.parse(readFileSync(kept.path, 'utf8')), { what: 'list', form: 'conflist' })
        looks += 1
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
      }
    }
    assert.ok(looks > 10)
    kept.put('10-calico.conflist', defaultList('k8s-pod-network', 'calico', 'bandwidth'))
    await eventually(() => {
      const own = kept.list().plugins.find(({ type }) => type === 'plexus')
      assert.match(JSON.stringify(own), /"bandwidth":true/)
      assert.is(own?.defaultNetwork, at('10-calico.conflist'))
    }, LIMIT_MS)
    const most = 60 * (1 + CHURN_MS / 60_000)
    assert.ok(kept.said.length < most, `${kept.said.length} lines were said`)
  })
})
