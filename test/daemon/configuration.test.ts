import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { assertAdded, assertDone, stubNode } from '../plugin/stub-node.ts'
import { eventually, installDaemon } from '../rig/daemon.ts'
import { spec } from '../spec.ts'

type Line = Record<string, unknown>

const TAKEN = 'configuration taken over'
const KEPT = 'configuration not taken over, the old one stays in force'

const count = (log: readonly Line[], message: string): number =>
  log.filter(({ msg }) => msg === message).length
const warnings = (log: readonly Line[]): string[] =>
  log.filter(({ level }) => level === 40).map(({ msg }) => String(msg))

spec("the daemon's configuration file", (it) => {
  it('a wrong one keeps the old one, and log, /readyz and metrics say so until it is right', async () => {
    const node = await stubNode()
    const { shim: executable, configure, start } = installDaemon(node)
    const daemon = await start()
    const valid = async (): Promise<string> =>
      /^plexus_configuration_valid \d$/m.exec((await daemon.get('/metrics')).body)?.[0] ?? ''
    assert.is(await valid(), 'plexus_configuration_valid 1')
    const wrong: readonly (readonly [object | string, RegExp])[] = [
      ['socket: [\npassword: hunter2', /daemon\.yaml: .*line 2/],
      [
        { drainTimout: 3, maxConcurrentAdds: 0 },
        /"drainTimout"; did you mean "drainTimeout"\?.*; .*maxConcurrentAdds/,
      ],
      [{ clusterCIDRs: ['ten'] }, /clusterCIDRs\/0 must be a prefix/],
      ['- a list', /is no object/],
      [`#${'x'.repeat(1024 * 1024)}`, /more than 1048576 bytes/],
    ]
    for (const [content, expected] of wrong) {
      configure(content)
      await eventually(async () => {
        const { status, body } = await daemon.get('/readyz')
        assert.is(status, 200)
        assert.match(body, /^ready; /)
        assert.match(body, expected)
      })
      await eventually(() =>
        assert.match(String(daemon.log().findLast(({ msg }) => msg === KEPT)?.reason), expected),
      )
      assert.is(await valid(), 'plexus_configuration_valid 0')
    }
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    configure({ delegates: [{ cniVersion: '1.0.0', name: 'other-net', type: 'alpha' }] })
    await eventually(async () => assert.is((await daemon.get('/readyz')).body, 'ready\n'))
    assert.is(await valid(), 'plexus_configuration_valid 1')
    assertAdded(await pod.run('ADD', { executable }))
    assert.is(node.steps().at(-3), 'alpha ADD eth0')
    assertDone(await pod.run('DEL', { executable }))
    assert.not.match(daemon.lines().join('\n'), 'hunter2')
    assert.is(await daemon.stop(), 0)
  })

  it('keys that wait for a restart are kept as they are, keys without effect are warned of', async () => {
    const node = await stubNode()
    const { shim: executable, configure, start } = installDaemon(node, { conf: { logFile: '/nowhere/log' } })
    const daemon = await start()
    assert.match(warnings(daemon.log())[0] ?? '', '/logFile has no effect')
    configure({
      socket: `${node.stateDir}-2/plexus.sock`,
      stateDir: `${node.stateDir}-2`,
      metricsAddress: '127.0.0.1:1',
      lockTimeout: 3,
      maxConcurrentAdds: 1,
    })
    await eventually(() => assert.is(count(daemon.log(), TAKEN), 1))
    await eventually(() => {
      const told = warnings(daemon.log()).slice(1)
      for (const key of ['socket', 'metricsAddress', 'stateDir'])
        assert.ok(
          told.some((text) => text.includes(`/${key} has changed: it takes effect at restart`)),
          key,
        )
      assert.is(told.length, 4)
      assert.match(told[3] ?? '', '/lockTimeout has no effect')
    })
    const pod = await node.pod()
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD', { executable }))
    assertDone(await pod.run('DEL', { executable }))
    await eventually(() => node.assertClean(before))
    assert.is((await daemon.get('/readyz')).body, 'ready\n')
    assert.is(await daemon.stop(), 0)
  })

  it('a mounted ConfigMap that is swapped by links is taken over', async () => {
    const node = await stubNode()
    const { confFile, start } = installDaemon(node)
    const mount = dirname(confFile)
    const content = JSON.parse(readFileSync(confFile, 'utf8')) as object
    const swap = (version: string, more: object): void => {
      mkdirSync(join(mount, version))
      writeFileSync(join(mount, version, 'daemon.yaml'), JSON.stringify({ ...content, ...more }))
      symlinkSync(version, join(mount, '..data.new'))
      renameSync(join(mount, '..data.new'), join(mount, '..data'))
    }
    swap('..1', {})
    rmSync(confFile)
    symlinkSync('..data/daemon.yaml', confFile)
    const daemon = await start()
    swap('..2', { binDir: '/nowhere' })
    rmSync(join(mount, '..1'), { recursive: true })
    await eventually(() => assert.match(warnings(daemon.log())[0] ?? '', '/binDir has no effect'))
    await eventually(() => assert.is(count(daemon.log(), TAKEN), 1))
    assert.is(count(daemon.log(), KEPT), 0)
    assert.is(await daemon.stop(), 0)
  })

  it('a file that is written slowly, or away for a moment, is no fault; one that stays away is', async () => {
    const node = await stubNode()
    const { confFile, start } = installDaemon(node)
    const daemon = await start()
    const text = readFileSync(confFile, 'utf8')
    /** Each beginning would be wrong by itself, and the empty one would be all defaults. */
    const writeSlowly = async (): Promise<number> => {
      const piece = Math.ceil(text.length / 12)
      let longestMs = 0
      for (let length = 0; length < text.length; length += piece) {
        const begin = performance.now()
        writeFileSync(confFile, text.slice(0, length))
        await delay(90)
        longestMs = Math.max(longestMs, performance.now() - begin)
      }
      writeFileSync(confFile, text)
      return longestMs
    }
    const beAway = async (): Promise<number> => {
      const begin = performance.now()
      rmSync(confFile)
      await delay(400)
      writeFileSync(confFile, text)
      return performance.now() - begin
    }
    // What stays for two looks, or away for a second, is not meant here; a test that is held up does that.
    for (const [change, patienceMs] of [
      [writeSlowly, 180],
      [beAway, 900],
    ] as const) {
      for (let tries = 1; ; tries++) {
        const [taken, kept] = [count(daemon.log(), TAKEN), count(daemon.log(), KEPT)]
        const tookMs = await change()
        await eventually(() => assert.ok(count(daemon.log(), TAKEN) > taken))
        if (tookMs > patienceMs && tries < 20) continue
        assert.is(count(daemon.log(), KEPT), kept)
        break
      }
    }
    rmSync(confFile)
    await eventually(async () => assert.match((await daemon.get('/readyz')).body, /^ready; .*cannot be read/))
    writeFileSync(confFile, text)
    await eventually(async () => assert.is((await daemon.get('/readyz')).body, 'ready\n'))
    assert.is(await daemon.stop(), 0)
  })
})
