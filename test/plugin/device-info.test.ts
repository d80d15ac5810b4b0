import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { manifestStore } from '../../src/store/manifests.ts'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { givenInfoFile } from './device-node.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

const MEMIF = { type: 'memif', version: '1.1.0', memif: { role: 'master', path: '/run/m', mode: 'ip' } }

/** A node whose NAD `alpha-net` declares the capability, with its folder of device-info. */
async function deviceNode(): Promise<{ node: StubNode; folder: string }> {
  const node = await stubNode()
  node.write(
    nad({
      name: 'alpha-net',
      config: { cniVersion: '1.0.0', type: 'alpha', capabilities: { CNIDeviceInfoFile: true } },
    }),
  )
  node.behave(node.alpha, { add: { blockBefore: 'gate' } })
  return { node, folder: join(dirname(node.stateDir), 'devinfo') }
}

/** ADD of a pod while the plugin writes this text into its file; the plugin goes on with `then`. */
async function addWith(text: string, isFailing = false) {
  const { node, folder } = await deviceNode()
  const pod = await node.pod({ networks: 'alpha-net' })
  const conf = node.conf({ devInfoDir: folder })
  const before = await node.watch(pod)
  if (isFailing)
    node.behave(node.alpha, { add: { blockBefore: 'gate', error: { code: 110, msg: 'no device' } } })
  const adding = pod.start('ADD', { conf })
  const path = await givenInfoFile(node)
  writeFileSync(path, text)
  node.alpha.release('gate')
  return { node, pod, conf, folder, path, before, run: await adding.finished }
}

const statusOf = async ({ manifests, stateDir }: StubNode) =>
  await manifestStore({ manifests, stateDir }).networkStatus('default', 'pod-a')

spec('device-info of a network', (it) => {
  it('NPWG-124, NPWG-125, NPWG-126 the folder is made, what the plugin writes is in network-status, DEL removes it', async () => {
    const { node, pod, conf, folder, path, before, run } = await addWith(JSON.stringify(MEMIF))
    assertAdded(run)
    assert.is(dirname(path), join(folder, 'cni'))
    assert.is(statSync(join(folder, 'cni')).mode & 0o022, 0)
    const status = await statusOf(node)
    assert.equal(
      status?.map((entry) => entry['device-info']),
      [undefined, MEMIF],
    )
    assertDone(await pod.run('DEL', { conf }))
    assert.equal(readdirSync(join(folder, 'cni')), [])
    await node.assertClean(before)
  })

  it('NPWG-127 a malformed file is a warning, the pod starts without', async () => {
    const { node, pod, conf, path, run } = await addWith('{"type":')
    assertAdded(run)
    assert.match(run.stderr, `device-info ${path} is left out of network-status`)
    assert.equal((await statusOf(node))?.[1]?.['device-info'], undefined)
    assertDone(await pod.run('DEL', { conf }))
    assert.not(existsSync(path))
  })

  it('NPWG-126 after a failed ADD the file is gone as well', async () => {
    const { path, run, node, before } = await addWith(JSON.stringify(MEMIF), true)
    assertRefused(run, 110, 'no device')
    assert.not(existsSync(path))
    await node.assertClean(before)
  })

  it('NPWG-126 a file that is gone by itself does not stop DEL', async () => {
    const { pod, conf, folder } = await addWith(JSON.stringify(MEMIF))
    rmSync(folder, { recursive: true })
    assertDone(await pod.run('DEL', { conf }))
  })
})
