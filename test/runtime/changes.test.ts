import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { Sandbox } from '../rig/containerd.ts'
import { eventually } from '../rig/daemon.ts'
import { spec } from '../spec.ts'
import { CLUSTER_FILE, interfacesOf, RELEASES, runtimeNode } from './scene.ts'

const CHURNED = 24
const WORKERS = 4

spec('changes while pods come and go', (it) => {
  for (const release of RELEASES) {
    it(`${release}: ${CHURNED} pods while one daemon follows another: none fails`, async () => {
      const node = await runtimeNode(release)
      let daemon = await node.up()
      const names = Array.from({ length: CHURNED }, (_, number) => `pod-${number}`)
      let isOver = false
      let takeOvers = 0
      const replace = async (): Promise<void> => {
        while (!isOver) {
          const next = await node.start()
          assert.is(await daemon.stop(), 0)
          daemon = next
          takeOvers += 1
        }
      }
      const work = async (): Promise<void> => {
        for (let name = names.shift(); name !== undefined; name = names.shift()) {
          const sandbox = await node.containerd.run(node.writePod({ name, networks: 'data' }))
          assert.is((await interfacesOf(sandbox)).length, 2)
          await sandbox.remove()
        }
      }
      const replacing = replace()
      await Promise.all(Array.from({ length: WORKERS }, work)).finally(() => {
        isOver = true
      })
      await replacing
      assert.ok(takeOvers >= 2, `${takeOvers} take-overs`)
      await node.close(daemon)
    })

    it(`${release}: ${CHURNED} pods while the daemon is killed again and again: each starts in the end, and nothing stays`, async () => {
      const node = await runtimeNode(release, { shim: { addWait: '60', delWait: '0' } })
      const { containerd } = node
      let daemon = await node.up()
      const names = Array.from({ length: CHURNED }, (_, number) => `pod-${number}`)
      let started = 0
      let kills = 0
      const work = async (): Promise<void> => {
        for (let name = names.shift(); name !== undefined; name = names.shift()) {
          const pod = node.writePod({ name, networks: 'data,edge' })
          let sandbox: Sandbox | undefined
          for (let attempt = 0; sandbox === undefined; attempt++) {
            sandbox = await containerd.run(pod, { attempt }).catch((error: Error) => {
              assert.match(error.message, /the plexus daemon was lost while plugins ran/)
              return undefined
            })
          }
          started += 1
          assert.is((await interfacesOf(sandbox)).length, 3)
          await sandbox.remove()
        }
      }
      const working = Promise.all(Array.from({ length: WORKERS }, work))
      // Each lives until it has served some, so that there is an end; the other workers' requests are under way then.
      for (let next = 3; next < CHURNED; next += 3) {
        await Promise.race([working, eventually(() => assert.ok(started >= next), 60_000)])
        daemon.kill('SIGKILL')
        await daemon.ended
        kills += 1
        daemon = await node.start()
      }
      await working
      assert.ok(kills > 5, `killed ${kills} times`)
      for (const id of await containerd.sandboxes()) await containerd.remove(id)
      await node.close(daemon)
    })

    it(`${release}: a default network that comes late, and another that takes its place`, async () => {
      const node = await runtimeNode(release)
      const { containerd, confDir } = node
      const file = join(confDir, CLUSTER_FILE)
      renameSync(file, join(node.manifests, '..', CLUSTER_FILE))
      await eventually(async () => assert.equal(await containerd.plugins(), []), 60_000)
      const daemon = await node.start()
      assert.is((await containerd.condition('NetworkReady')).status, false)
      renameSync(join(node.manifests, '..', CLUSTER_FILE), file)
      await eventually(async () => assert.equal(await containerd.plugins(), ['plexus']), 60_000)
      const first = await containerd.run(node.writePod({ name: 'first' }))
      assert.equal(await interfacesOf(first), ['eth0 10.90.0.2'])

      const list = JSON.parse(readFileSync(file, 'utf8'))
      const ranges = [[{ subnet: '10.93.0.0/24' }]]
      const [bridge, portmap] = list.plugins
      const plugins = [{ ...bridge, bridge: 'br93', ipam: { ...bridge.ipam, ranges } }, portmap]
      writeFileSync(`${file}.new`, JSON.stringify({ ...list, name: 'other-net', plugins }))
      renameSync(`${file}.new`, join(confDir, '20-other.conflist'))
      renameSync(file, `${file}.away`)
      let attempt = 0
      await eventually(async () => {
        const second = await containerd.run(node.writePod({ name: 'second' }), { attempt: attempt++ })
        const interfaces = await interfacesOf(second)
        await second.remove()
        assert.equal(interfaces, ['eth0 10.93.0.2'])
      }, 60_000)
      // What it was attached with is undone, not what is there now.
      await first.remove()
      await node.close(daemon)
    })
  }
})
