import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { nad } from '../rig/manifests.ts'
import { runCli } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const objects = (value: unknown): JsonObject[] => {
  assert.ok(Array.isArray(value))
  return value.filter(isJsonObject)
}

spec('the commands about a pod that real plugins attached', (it) => {
  it('explain foretells what show and list report, and DEL empties the list', async () => {
    const node = await testNode('cli')
    node.write(
      nad({ name: 'data', config: node.bridge(91, { name: 'data' }) }),
      nad({
        name: 'fast',
        config: {
          cniVersion: '0.4.0',
          name: 'fast',
          plugins: [
            node.bridge(92, { isDefaultGateway: true }),
            { type: 'tuning', capabilities: { mac: true }, sysctl: {} },
          ],
        },
      }),
    )
    const pod = await node.pod({
      name: 'upf-0',
      networks: [
        { name: 'data' },
        { name: 'fast', interface: 'fast0', mac: '02:00:00:00:00:05', 'default-route': ['10.92.0.1'] },
      ],
    })
    const confFile = join(tempDir('conf'), 'plexus.conf')
    writeFileSync(confFile, JSON.stringify(node.conf()))
    const state = ['--state-dir', node.stateDir, '--manifests', node.manifests]

    const plan = await runCli([
      'explain',
      '--conf',
      confFile,
      '--pod',
      'default/upf-0',
      '--bin-dir',
      debianPlugins(),
      '-o',
      'json',
    ])
    assert.is(plan.status, 0, plan.stdout + plan.stderr)
    const added = await pod.run('ADD')
    assert.is(added.status, 0, added.stdout)

    const shown = await runCli(['show', 'default/upf-0', ...state, '-o', 'json'])
    assert.is(shown.status, 0, shown.stderr)
    assert.is(shown.json?.containerId, pod.containerId)
    assert.is(shown.json?.netns, pod.netns.path)
    const attachments = objects(shown.json?.attachments)
    const facts = ({ ifName, network, label, source, cniVersion, reasons }: JsonObject) => [
      ...[ifName, network, label, source, cniVersion],
      reasons,
    ]
    assert.equal(attachments.map(facts), objects(objects(plan.json?.pods)[0]?.attachments).map(facts))
    const args = (attachment: JsonObject): string => String(attachment.args)
    assert.equal(
      attachments.map(args),
      objects(objects(plan.json?.pods)[0]?.attachments)
        .map(args)
        .map((text) => text.replace('CONTAINER-ID', pod.containerId)),
    )
    assert.equal(
      objects(shown.json?.calls).map(({ command, plugin, ifName }) => `${command} ${plugin} ${ifName}`),
      ['ADD bridge eth0', 'ADD bridge net1', 'ADD bridge fast0', 'ADD tuning fast0'],
    )
    assert.equal(
      objects(shown.json?.networkStatus).map(({ name, interface: ifName, ips }) => [name, ifName, ips]),
      [
        ['default-net', 'eth0', ['10.90.0.2']],
        ['default/data', 'net1', ['10.91.0.2']],
        ['default/fast', 'fast0', ['10.92.0.2']],
      ],
    )
    assert.equal(attachments[2]?.macs, ['02:00:00:00:00:05'])
    assert.equal(attachments[2]?.gateways, ['10.92.0.1'])
    assert.equal(attachments[2]?.addresses, ['10.92.0.2/24'])

    const { stdout } = await runCli(['list', ...state])
    const container = pod.containerId.slice(0, 12)
    assert.equal(
      stdout.split('\n').map((line) => line.split(/ {2,}/)),
      [
        ['POD', 'CONTAINER', 'INTERFACE', 'NETWORK', 'SOURCE', 'ADDRESSES', 'STATE'],
        [
          'default/upf-0',
          container,
          'eth0',
          'default-net',
          'delegates[0] of the net-conf',
          '10.90.0.2/24',
          'live',
        ],
        ['default/upf-0', container, 'net1', 'data', 'NAD default/data', '10.91.0.2/24', 'live'],
        ['default/upf-0', container, 'fast0', 'fast', 'NAD default/fast', '10.92.0.2/24', 'live'],
        [''],
      ],
    )

    const deleted = await pod.run('DEL')
    assert.is(deleted.status, 0, deleted.stdout)
    const { json } = await runCli(['list', ...state, '-o', 'json'])
    assert.equal(json?.attachments, [])
    assert.is((await runCli(['show', 'default/upf-0', ...state])).status, 1)
  })
})
