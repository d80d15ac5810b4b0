import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { manifestStore } from '../../src/store/manifests.ts'
import { type KubeletPod, stopKubelets, testKubelet } from '../rig/kubelet.ts'
import { nad } from '../rig/manifests.ts'
import { ROOT } from '../rig/plexus.ts'
import { filesBelow } from '../rig/state-files.ts'
import { spec } from '../spec.ts'
import { type DeviceNode, deviceNode, devicesOf, givenInfoFile, VF } from './device-node.ts'
import { assertAdded, assertDone, assertRefused, warningsOf } from './stub-node.ts'

const A = '0000:03:02.0'
const B = '0000:03:02.1'
const PCI = { type: 'pci', version: '1.1.0', pci: { 'pci-address': A, 'org.own': [1] } }

/** A node whose kubelet runs and has allocated these devices to `pod-a`. */
async function servedNode(...containers: KubeletPod['containers']): Promise<DeviceNode> {
  const node = await deviceNode()
  node.kubelet.setPods({ name: 'pod-a', containers })
  await node.kubelet.start()
  return node
}

const statusOf = async ({ manifests, stateDir }: DeviceNode) =>
  (await manifestStore({ manifests, stateDir }).networkStatus('default', 'pod-a'))?.map(
    (entry) => entry['device-info'],
  )

spec('devices from the kubelet', (it) => {
  it.after(stopKubelets)

  it('NPWG-017, NPWG-074, NPWG-133 each network gets its own, in conf and runtimeConfig, from ADD to DEL', async () => {
    const node = await servedNode({ [VF]: [B] }, { [VF]: [A], 'nvidia.com/gpu': ['gpu-0'] })
    const pod = await node.pod({ networks: 'vf-a,gpu,vf-b' })
    const before = await node.watch(pod)
    assertAdded(await pod.run('ADD'))
    assert.equal(devicesOf(node.calls()), [`alpha ${B}`, 'alpha gpu-0', `beta ${A}`])
    assert.equal(node.kubelet.calls(), ['Get default/pod-a'])
    node.kubelet.stop()
    assertDone(await pod.run('CHECK'))
    assertDone(await pod.run('DEL'))
    for (const { command, type, ifName, stdin } of node.calls()) {
      if (type === 'beta') assert.is(stdin.deviceID, A, `${command} ${ifName}`)
    }
    await node.assertClean(before)
  })

  for (const mode of ['unimplemented', 'disabled'] as const) {
    it(`a kubelet whose Get is ${mode} is asked for its list, with all that newer ones tell besides`, async () => {
      const kubelet = testKubelet(mode)
      const node = await deviceNode(kubelet)
      kubelet.setPods(
        { name: 'pod-a', namespace: 'other', containers: [{ [VF]: ['not-mine'] }] },
        { name: 'pod-a', containers: [{ [VF]: [B, A] }], isRich: true },
      )
      await kubelet.start()
      const pod = await node.pod({ networks: 'vf-a,vf-b' })
      assertAdded(await pod.run('ADD'))
      assert.equal(devicesOf(node.calls()), [`alpha ${A}`, `beta ${B}`])
      assert.is(kubelet.calls().at(-1), 'List')
    })
  }

  it('a pod without such a network is attached without a word to the kubelet, and without the library for it', async () => {
    const node = await servedNode({ [VF]: [A] })
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('DEL'))
    assert.equal(node.kubelet.calls(), [])
    const withLibrary = readdirSync(join(ROOT, 'dist')).filter(
      (name) =>
        name.endsWith('.cjs') && readFileSync(join(ROOT, 'dist', name), 'utf8').includes('grpc-timeout'),
    )
    assert.equal(withLibrary, ['pod-resources-client.cjs'])
  })

  const short: readonly (readonly [string, KubeletPod['containers'], string])[] = [
    ['none', [{}], `the pod's networks take 2 of resource ${VF}, but the kubelet allocated 0`],
    ['of another resource', [{ 'x/y': [A, B] }], `but the kubelet allocated 0 of it to the pod`],
    ['fewer', [{ [VF]: [A] }, {}], 'but the kubelet allocated 1 of it to the pod'],
  ]
  for (const [title, containers, words] of short) {
    it(`too few, ${title}: the pod is refused before anything runs, with what to do`, async () => {
      const node = await servedNode(...containers)
      const pod = await node.pod({ networks: 'vf-a,alpha-net,vf-a' })
      const before = await node.watch(pod)
      assertRefused(
        await pod.run('ADD'),
        7,
        'pod default/pod-a',
        words,
        `request "${VF}": 2 in the resources`,
      )
      assert.equal(node.steps(), [])
      await node.assertClean(before)
    })
  }

  it('a kubelet that is down for 5 s is waited for', async () => {
    const node = await deviceNode()
    node.kubelet.setPods({ name: 'pod-a', containers: [{ [VF]: [A] }] })
    const pod = await node.pod({ networks: 'vf-a' })
    const running = pod.start('ADD')
    await delay(5000)
    await node.kubelet.start()
    const run = await running.finished
    assertAdded(run)
    assert.ok(run.durationMs >= 5000)
    assert.equal(devicesOf(node.calls()), [`alpha ${A}`])
  })

  it('a kubelet that hears of the pod late is asked again', async () => {
    const node = await servedNode()
    node.kubelet.setPods()
    const pod = await node.pod({ networks: 'vf-a' })
    const running = pod.start('ADD')
    while (node.kubelet.calls().length < 5) await delay(20)
    node.kubelet.setPods({ name: 'pod-a', containers: [{ [VF]: [A] }] })
    assertAdded(await running.finished)
    assert.equal(devicesOf(node.calls()), [`alpha ${A}`])
  })

  it('a kubelet that restarts in the middle, or is asked too often, is asked again', async () => {
    const node = await servedNode({ [VF]: [A] })
    node.kubelet.hang()
    const pod = await node.pod({ networks: 'vf-a' })
    const running = pod.start('ADD')
    while (node.kubelet.calls().length === 0) await delay(20)
    node.kubelet.stop()
    node.kubelet.refuse(2)
    await node.kubelet.start()
    assertAdded(await running.finished)
    assert.equal(devicesOf(node.calls()), [`alpha ${A}`])
    assert.is(node.kubelet.calls().length, 4)
  })

  const silent: readonly (readonly [string, (node: DeviceNode) => Promise<() => void>, RegExp])[] = [
    ['is down', async () => () => undefined, /ENOENT/],
    [
      'does not know the pod',
      async ({ kubelet }) => {
        kubelet.setPods({ name: 'pod-b', containers: [{ [VF]: [A] }] })
        await kubelet.start()
        return kubelet.stop
      },
      /it does not know the pod/,
    ],
    [
      'hangs',
      async ({ kubelet }) => {
        await kubelet.start()
        kubelet.hang()
        return kubelet.stop
      },
      /it does not answer/,
    ],
    [
      'takes the connection and is silent',
      ({ kubelet }) => serve(kubelet.socket, undefined),
      /it does not answer/,
    ],
    [
      'answers garbage',
      ({ kubelet }) => serve(kubelet.socket, 'HTTP/1.1 400 Bad Request\r\n\r\n'),
      /UNAVAILABLE|INTERNAL/,
    ],
    [
      'is a file',
      async ({ kubelet }) => {
        mkdirSync(kubelet.socket)
        return () => rmSync(kubelet.socket, { recursive: true })
      },
      /ECONNREFUSED/,
    ],
  ]
  for (const [title, begin, reason] of silent) {
    it(`a kubelet that ${title}: error 11 with the reason in bounded time, nothing ran`, async () => {
      const node = await deviceNode()
      const end = await begin(node)
      const pod = await node.pod({ networks: 'vf-a' })
      const before = await node.watch(pod)
      const run = await pod.run('ADD', { conf: node.conf({ podResourcesTimeout: 4 }) })
      assertRefused(run, 11, 'the kubelet did not say within 4 s', node.kubelet.socket, reason)
      assert.ok(run.durationMs < 20_000, `${run.durationMs} ms`)
      assert.equal(node.steps(), [])
      assertDone(await pod.run('DEL'))
      await node.assertClean(before)
      end()
    })
  }

  it('the runtime can end the wait', async () => {
    const node = await servedNode({ [VF]: [A] })
    node.kubelet.hang()
    const pod = await node.pod({ networks: 'vf-a' })
    const running = pod.start('ADD', { conf: node.conf({ podResourcesTimeout: 60 }) })
    while (node.kubelet.calls().length === 0) await delay(20)
    running.kill('SIGTERM')
    const run = await running.finished
    assertRefused(run, 11, 'until the runtime ended the call')
    assert.ok(run.durationMs < 20_000, `${run.durationMs} ms`)
  })

  it('a caller that names no pod, with a default network that takes a device: refused, not without it', async () => {
    const node = await servedNode({ [VF]: [A] })
    const conf = node.conf({ delegates: undefined, defaultNetwork: 'default/vf-a' })
    const pod = await node.pod()
    assertRefused(await pod.run('ADD', { conf, args: '' }), 7, 'but the kubelet allocated 0')
    assert.equal(node.kubelet.calls(), [])
  })
})

/** A listener on the socket that answers each connection with a text, or with nothing. */
async function serve(socket: string, text: string | undefined): Promise<() => void> {
  const server = createServer((connection) => {
    connection.on('error', () => undefined).resume()
    if (text !== undefined) connection.end(text)
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  server.unref()
  return () => void server.close()
}

spec('device-info of a device plugin', (it) => {
  it.after(stopKubelets)

  it('NPWG-120, NPWG-121, NPWG-123, NPWG-126, C-27 it is copied before the plugin runs, told, and the copy goes', async () => {
    const node = await servedNode({ [VF]: [A, B] })
    const original = node.writeDevice(A, JSON.stringify(PCI))
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    const pod = await node.pod({ networks: 'vf-a,vf-b' })
    const before = await node.watch(pod)
    const folder = join(node.devInfoDir, 'cni')
    const copy = join(folder, `default-vf-a-${pod.containerId}_net1`)
    // Left by nobody knows whom: of vf-b, whose device plugin says nothing, it must not be told either.
    mkdirSync(folder)
    for (const file of [copy, join(folder, `default-vf-b-${pod.containerId}_net2`)]) {
      writeFileSync(file, JSON.stringify({ ...PCI, version: '9.9.9' }))
    }
    const running = pod.start('ADD')
    await node.alpha.reached(1, 'ADD')
    assert.equal(JSON.parse(readFileSync(copy, 'utf8')), PCI)
    assert.equal([statSync(folder).mode & 0o777, statSync(copy).mode & 0o777], [0o755, 0o644])
    node.alpha.release('gate')
    assertAdded(await running.finished)
    assert.equal(await statusOf(node), [undefined, PCI, undefined])
    assertDone(await pod.run('DEL'))
    assert.equal(filesBelow(folder), [])
    assert.is(readFileSync(original, 'utf8'), JSON.stringify(PCI))
    await node.assertClean(before)
  })

  it('NPWG-125 what the plugin writes wins, also over the copy', async () => {
    const node = await servedNode({ [VF]: [A] })
    node.writeDevice(A, JSON.stringify(PCI))
    const config = { cniVersion: '1.0.0', type: 'alpha', capabilities: { CNIDeviceInfoFile: true } }
    node.write(nad({ name: 'own', config, annotations: { 'k8s.v1.cni.cncf.io/resourceName': VF } }))
    node.behave(node.alpha, { add: { blockBefore: 'gate' } })
    const pod = await node.pod({ networks: 'own' })
    const running = pod.start('ADD')
    await node.alpha.reached(1, 'ADD')
    const path = await givenInfoFile(node)
    assert.equal(JSON.parse(readFileSync(path, 'utf8')), PCI)
    const own = { ...PCI, pci: { 'pci-address': A, 'rdma-device': 'mlx5_0' } }
    rmSync(path)
    writeFileSync(path, JSON.stringify(own))
    node.alpha.release('gate')
    assertAdded(await running.finished)
    assert.equal(await statusOf(node), [undefined, own])
    assertDone(await pod.run('DEL'))
    assert.not(existsSync(path))
  })

  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['malformed', '{"type":', /is left out of network-status/],
    ['too long', JSON.stringify({ ...PCI, filler: 'x'.repeat(20_000) }), /is left out: it has 20\d+ bytes/],
  ]
  for (const [title, text, warning] of bad) {
    it(`NPWG-127 one that is ${title} is a warning, the pod starts without`, async () => {
      const node = await servedNode({ [VF]: [A] })
      node.writeDevice(A, text)
      const pod = await node.pod({ networks: 'vf-a' })
      const run = await pod.run('ADD')
      assertAdded(run)
      assert.match(warningsOf(run), warning)
      assert.equal(await statusOf(node), [undefined, undefined])
      assertDone(await pod.run('DEL'))
      assert.equal(filesBelow(join(node.devInfoDir, 'cni')), [])
    })
  }

  it('a folder that cannot be written fails a pod that needs it, before a plugin runs, and no other', async () => {
    const node = await servedNode({ [VF]: [A] })
    const pod = await node.pod({ networks: 'vf-a' })
    const conf = node.conf({ devInfoDir: '/sys/devinfo' })
    assertAdded(await pod.run('ADD', { conf }))
    assertDone(await pod.run('DEL', { conf }))
    const config = { cniVersion: '1.0.0', type: 'alpha', capabilities: { CNIDeviceInfoFile: true } }
    node.write(nad({ name: 'vf-a', config }))
    const before = await node.watch(pod)
    const seen = node.steps().length
    assertRefused(await pod.run('ADD', { conf }), 5, 'device-info /sys/devinfo/cni/', 'cannot be written')
    assert.equal(node.steps().slice(seen), [])
    await node.assertClean(before)
  })

  it('NPWG-126 after a kill in the middle DEL removes the copy; an optional network that fails has none left', async () => {
    const node = await servedNode({ [VF]: [A, B] })
    for (const id of [A, B]) node.writeDevice(id, JSON.stringify(PCI))
    node.behave(node.beta, { add: { blockBefore: 'gate' } })
    node.behave(node.alpha, { add: { error: { code: 120, msg: 'no carrier' } } })
    const networks = [{ name: 'vf-a', 'io.plexus-cni.optional': true }, { name: 'vf-b' }]
    const pod = await node.pod({ networks })
    const before = await node.watch(pod)
    const running = pod.start('ADD')
    await node.beta.reached(1, 'ADD')
    const folder = join(node.devInfoDir, 'cni')
    assert.equal(filesBelow(folder), [`default-vf-b-${pod.containerId}_net2`])
    running.kill('SIGKILL')
    await running.finished
    node.beta.release('gate')
    assertDone(await pod.run('DEL'))
    assert.equal(filesBelow(folder), [])
    await node.assertClean(before)
  })
})
