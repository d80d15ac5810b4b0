import { readlinkSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import type { StubCall } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, stubNode } from './stub-node.ts'

const VARIABLES = ['CNI_ARGS', 'CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH']

const argsOf = ({ env }: StubCall): string[] => (env.CNI_ARGS ?? '').split(';')

spec('environment of a delegate', (it) => {
  it('CNI-015 CNI-089 is the whole one of the runtime with the six CNI variables replaced, each there once', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const tracing = {
      TRACEPARENT: '00-0af7-b7ad-01',
      TRACESTATE: 'a=b',
      BAGGAGE: 'k=v',
      HTTPS_PROXY: 'p:1',
      HOME: '/h',
    }
    for (const verb of ['ADD', 'CHECK', 'DEL']) {
      const run = await pod.run(verb, { env: tracing })
      assert.is(run.status, 0, run.stdout)
    }
    const expected = ['eth0', 'net1', 'net2']
    for (const [verb, ifNames] of [
      ['ADD', expected],
      ['CHECK', expected],
      ['DEL', expected.toReversed()],
    ] as const) {
      const calls = node.calls().filter(({ command }) => command === verb)
      assert.equal(
        calls.map(({ ifName }) => ifName),
        ifNames,
      )
      for (const call of calls) {
        // CNI-015: what is not ours is handed on as it came.
        for (const [name, value] of Object.entries(tracing)) assert.is(call.env[name], value)
        const names = call.envList.map((entry) => entry.slice(0, entry.indexOf('=')))
        assert.equal(names.filter((name) => name.startsWith('CNI_')).sort(), VARIABLES)
        assert.is(new Set(names).size, names.length)
        assert.is(call.containerId, pod.containerId)
        assert.is(call.netns, pod.netns.path)
      }
    }
  })

  it('CNI-089 a variable that is empty for us is there and empty for it', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: '' })
    assertAdded(await pod.run('ADD', { env: { CNI_ARGS: undefined } }))
    assert.ok(node.calls()[0]?.envList.includes('CNI_ARGS='))
  })

  it('CNI-090 CNI_PATH is what we search: binDir first, then what came', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: '' })
    const conf = node.conf({ binDir: '/opt/first:/opt/second' })
    assertAdded(await pod.run('ADD', { conf, path: [node.binDir, '', '/opt/second'] }))
    assert.is(node.calls()[0]?.env.CNI_PATH, `/opt/first:/opt/second:${node.binDir}`)
  })

  it('CNI-093 no arguments, our working directory, the network namespace of the node', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD', { cwd: '/usr' }))
    const own = (await node.host.exec('readlink', ['/proc/self/ns/net'])).trim()
    assert.is.not(own, readlinkSync('/proc/self/ns/net'))
    for (const call of node.calls()) {
      assert.is(call.cwd, '/usr')
      assert.is(call.ownNetns, own)
    }
  })
})

spec('CNI_ARGS of a delegate', (it) => {
  it('CNI-019 has the four keys of the pod on ADD, CHECK and DEL of every network', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    for (const verb of ['ADD', 'CHECK', 'DEL']) assert.is((await pod.run(verb)).status, 0)
    assert.is(node.calls().length, 9)
    for (const call of node.calls()) {
      assert.equal(
        argsOf(call).sort(),
        [
          'IgnoreUnknown=1',
          `K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`,
          'K8S_POD_NAME=pod-a',
          'K8S_POD_NAMESPACE=default',
          'K8S_POD_UID=uid-pod-a',
        ].sort(),
      )
    }
  })

  it('CNI-018 CNI-020 is strict and says IgnoreUnknown once, however it came', async () => {
    const node = await stubNode()
    const forms: [given: string, expected: string][] = [
      [
        'K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-0;;',
        'IgnoreUnknown=1;K8S_POD_NAME=pod-0;K8S_POD_NAMESPACE=default',
      ],
      ['IgnoreUnknown=true;FOO=1;IgnoreUnknown=1', 'FOO=1;IgnoreUnknown=true'],
      ['IgnoreUnknown=0;FOO=1', 'FOO=1;IgnoreUnknown=1'],
      ['', ''],
    ]
    for (const [index, [given, expected]] of forms.entries()) {
      const pod = await node.pod({ name: `pod-${index}`, networks: '' })
      assertAdded(await pod.run('ADD', { args: given }))
      const call = node.calls().at(-1)
      assert.is(call?.env.CNI_ARGS?.split(';').sort().join(';'), expected)
    }
  })

  it('CNI-016 a pair that no plugin could parse is refused before any runs', async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: '' })
    assertRefused(await pod.run('ADD', { args: 'A=B=C' }), 4, 'A=B=C')
    assert.equal(node.steps(), [])
  })

  it("CNI-021 the runtime's IP, MAC and GATEWAY are the default network's alone", async () => {
    const node = await stubNode()
    const pod = await node.pod({ networks: 'alpha-net' })
    const args =
      'IgnoreUnknown=1;IP=10.1.2.3;MAC=02:00:00:00:00:01;GATEWAY=10.1.2.1;OTHER=x;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-a'
    assertAdded(await pod.run('ADD', { args }))
    const [primary, alpha] = node.calls().map(argsOf)
    for (const pair of ['IP=10.1.2.3', 'MAC=02:00:00:00:00:01', 'GATEWAY=10.1.2.1', 'OTHER=x']) {
      assert.ok(primary?.includes(pair), pair)
      assert.is(alpha?.includes(pair), pair === 'OTHER=x', pair)
    }
  })

  it('CNI-020 CNI-021 a MAC is in CNI_ARGS only for a plugin that reads it there and has no capability', async () => {
    const node = await stubNode({ strictCapabilities: false })
    // Stubs under the names of plugins that read CNI_ARGS.
    for (const type of ['macvlan', 'static']) node.stub(type)
    const ipam = { type: 'static' }
    node.write(
      nad({ name: 'by-args', config: { cniVersion: '1.0.0', type: 'macvlan', ipam } }),
      nad({
        name: 'by-capability',
        config: { cniVersion: '1.0.0', type: 'macvlan', ipam, capabilities: { mac: true, ips: true } },
      }),
    )
    const asked = { mac: '02:00:00:00:00:09', ips: ['10.9.0.9/24'] }
    const pod = await node.pod({
      networks: [
        { name: 'by-args', ...asked },
        { name: 'by-capability', ...asked },
      ],
    })
    assertAdded(await pod.run('ADD', { args: 'K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-a' }))
    const [, first, second] = node.calls()
    assert.ok(first !== undefined && second !== undefined)
    assert.ok(argsOf(first).includes('MAC=02:00:00:00:00:09') && argsOf(first).includes('IP=10.9.0.9/24'))
    assert.is(argsOf(first).filter((pair) => pair.startsWith('IgnoreUnknown=')).length, 1)
    assert.is(first.stdin.runtimeConfig, undefined)
    assert.not.match(second.env.CNI_ARGS ?? '', /MAC=|IP=/)
    assert.equal(second.stdin.runtimeConfig, { mac: '02:00:00:00:00:09', ips: ['10.9.0.9/24'] })
  })

  it('CNI-080 CHECK and DEL get the CNI_ARGS of ADD, whatever the runtime sends then', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    const expected = node.primary.calls()[0]?.env.CNI_ARGS
    assert.is((await pod.run('CHECK', { args: '' })).status, 0)
    assertDone(await pod.run('DEL', { args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=other;K8S_POD_NAME=other' }))
    for (const call of node.calls()) assert.is(call.env.CNI_ARGS, expected)
  })
})
