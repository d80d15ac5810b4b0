import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nad } from '../rig/manifests.ts'
import { stubPlugin } from '../rig/stub.ts'
import { spec } from '../spec.ts'
import { assertAdded, assertDone, assertRefused, type StubNode, stubNode } from './stub-node.ts'

/** stdin of a stub's call of a verb, without what the runtime adds. */
function inputOf(node: StubNode, type: string, command: string, position = 0): Record<string, unknown> {
  const call = node.calls().filter((one) => one.type === type && one.command === command)[position]
  assert.ok(call, `no ${command} of ${type}`)
  return call.stdin
}

/** `spec.config` as a user may write it: digits that a JSON number of JavaScript cannot hold, odd keys. */
const ODD = `"big": 9007199254740993, "exact": 1.0, "tiny": 1e-400, "huge": 123456789012345678901234567890,
  "x": {"y": [1, {"z": null}], "": "empty", "__proto__": {"a": 1}, "ключ": "é\\u0000"}, "zero": -0.0, "list": []`
/** The same as it must arrive, blanks apart. */
const ODD_ARRIVED = ODD.replaceAll(/\n\s*/g, ' ').replaceAll(/([:,]) /g, '$1')

spec('configuration that a delegate gets', (it) => {
  it('CNI-071 every key and every digit, in ADD, CHECK, DEL and GC alike', async () => {
    const node = await stubNode({ cniVersion: '1.1.0' })
    const config = `{"cniVersion": "1.1.0", "name": "odd", ${ODD}, "plugins": [{"type": "alpha", ${ODD}}]}`
    node.write(nad({ name: 'alpha-net', config }))
    const pod = await node.pod({ networks: 'alpha-net' })
    assertAdded(await pod.run('ADD'))
    assertDone(await pod.run('CHECK'))
    const valid = [{ containerID: pod.containerId, ifname: 'eth0' }]
    assertDone(await pod.run('GC', { conf: node.conf({ 'cni.dev/valid-attachments': valid }) }))
    assertDone(await pod.run('DEL'))
    const commands = node.alpha.calls().map(({ command }) => command)
    assert.equal(commands, ['ADD', 'CHECK', 'GC', 'DEL'])
    for (const { command, stdinText } of node.alpha.calls()) {
      assert.ok(stdinText?.includes(ODD_ARRIVED), `${command}: ${stdinText}\nlacks ${ODD_ARRIVED}`)
    }
  })

  it("CNI-071 digits and keys of an inline delegate of ours, and of a delegate's result as prevResult", async () => {
    const node = await stubNode()
    node.behave(node.primary, {
      add: {
        stdout: '{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.2/24"}],"x-own":{"n":9007199254740993}}',
      },
    })
    const delegate = `{"cniVersion":"1.0.0","name":"cluster-net","plugins":[{"type":"primary",${ODD_ARRIVED}},{"type":"alpha"}]}`
    const base = JSON.stringify(node.conf({ delegates: undefined }))
    const conf = `${base.slice(0, -1)},"delegates":[${delegate}]}`
    const pod = await node.pod({ networks: '' })
    assertAdded(await pod.run('ADD', { conf }))
    const [primary, alpha] = node.calls()
    assert.ok(primary?.stdinText?.includes(ODD_ARRIVED), primary?.stdinText)
    assert.ok(alpha?.stdinText?.includes('"x-own":{"n":9007199254740993}'), alpha?.stdinText)
    assertDone(await pod.run('DEL', { conf }))
  })

  it("CNI-070 name and version are the list's, whatever the member says", async () => {
    const node = await stubNode()
    node.beta.behave({}) // no effects: one link of that name is enough
    const plugins = [
      { type: 'alpha', name: 'own', cniVersion: '0.3.1' },
      { type: 'beta', cniVersion: '9.9.9' },
    ]
    node.write(nad({ name: 'chain', config: { cniVersion: '1.0.0', name: 'list-name', plugins } }))
    const pod = await node.pod({ networks: 'chain' })
    assertAdded(await pod.run('ADD'))
    for (const type of ['alpha', 'beta']) {
      const { name, cniVersion } = inputOf(node, type, 'ADD')
      assert.equal([name, cniVersion], ['list-name', '1.0.0'])
    }
  })

  it('CNI-081 CNI-082 CNI-103 a single config runs as a list of one, named after its NAD, and is not ours', async () => {
    const node = await stubNode({ 'x-ours': 1 })
    node.write(nad({ name: 'foo', config: { cniVersion: '1.0.0', type: 'alpha', mark: true } }))
    const pod = await node.pod({ networks: 'foo' })
    assertAdded(await pod.run('ADD'))
    assert.equal(inputOf(node, 'alpha', 'ADD'), {
      cniVersion: '1.0.0',
      name: 'foo',
      type: 'alpha',
      mark: true,
    })
  })

  it('NPWG-015 a name in the config that differs from the NAD wins', async () => {
    const node = await stubNode()
    node.write(nad({ name: 'foo', config: { cniVersion: '1.0.0', name: 'bar', type: 'alpha' } }))
    const pod = await node.pod({ networks: 'foo' })
    assertAdded(await pod.run('ADD'))
    assert.is(inputOf(node, 'alpha', 'ADD').name, 'bar')
  })

  it("CNI-088 keys of the runtime's in an admin's config are not handed on; args are, with cni-args in them", async () => {
    const node = await stubNode()
    const config = {
      cniVersion: '1.0.0',
      type: 'alpha',
      'cni.dev/valid-attachments': [],
      'cni.dev/x': 1,
      prevResult: { cniVersion: '1.0.0' },
      args: { own: 1, cni: { keep: 'a', over: 'admin' } },
    }
    node.write(nad({ name: 'keys', config }))
    const pod = await node.pod({ networks: [{ name: 'keys', 'cni-args': { over: 'pod', n: 1 } }] })
    for (const verb of ['ADD', 'CHECK', 'DEL']) assert.is((await pod.run(verb)).status, 0)
    for (const verb of ['ADD', 'CHECK', 'DEL']) {
      const { prevResult, ...input } = inputOf(node, 'alpha', verb)
      // CNI-153: structured, in every member.
      const args = { own: 1, cni: { keep: 'a', over: 'pod', n: 1 } }
      assert.equal(JSON.parse(JSON.stringify(input)), {
        cniVersion: '1.0.0',
        name: 'keys',
        type: 'alpha',
        args,
      })
      assert.is(prevResult === undefined, verb === 'ADD')
    }
  })

  it('CNI-084 CNI-085 what the keys of a list must be', async () => {
    const node = await stubNode()
    const list = { cniVersion: '1.0.0', plugins: [{ type: 'alpha' }] }
    for (const [more, phrase] of [
      [{ disableCheck: 1 }, '/disableCheck must be true or false'],
      [{ disableGC: 'maybe' }, '/disableGC must be true or false'],
      [{ plugins: [] }, 'no plugins in list'],
      [{ plugins: undefined, loadOnlyInlinedPlugins: true }, "missing 'type'"],
    ] as const) {
      node.write(nad({ name: 'flags', config: { ...list, ...more } }))
      const pod = await node.pod({ networks: 'flags' })
      assertRefused(await pod.run('ADD'), 7, 'NAD default/flags', phrase)
    }
    node.write(nad({ name: 'flags', config: { ...list, disableCheck: 'True', disableGC: 'FALSE' } }))
    const pod = await node.pod({ networks: 'flags' })
    assertAdded(await pod.run('ADD'))
  })

  it('CNI-086 a list from a file gets the members of its folder by file name, one from a NAD does not', async () => {
    const node = await stubNode()
    node.beta.behave({}) // no effects: one link of that name is enough
    stubPlugin(node.binDir, 'gamma')
    mkdirSync(join(node.confDir, 'dbnet'))
    const file = (name: string, content: object): void =>
      writeFileSync(join(node.confDir, name), JSON.stringify(content))
    const list = { cniVersion: '1.0.0', name: 'dbnet', plugins: [{ type: 'alpha' }] }
    file('dbnet.conflist', list)
    file('dbnet/20-x.conf', { type: 'gamma' })
    file('dbnet/10-y.conf', { type: 'beta' })
    file('dbnet/z.json', { type: 'primary' })
    node.write(nad({ name: 'dbnet' }), nad({ name: 'inline', config: list }))
    const pod = await node.pod({ networks: 'dbnet,inline' })
    assertAdded(await pod.run('ADD'))
    assert.equal(node.steps(), [
      ...['primary ADD eth0', 'alpha ADD net1', 'beta ADD net1', 'gamma ADD net1'],
      'alpha ADD net2',
    ])
    file('dbnet.conflist', { ...list, loadOnlyInlinedPlugins: true })
    const other = await node.pod({ name: 'other', networks: 'dbnet' })
    assertAdded(await other.run('ADD'))
    assert.equal(node.steps().slice(5), ['primary ADD eth0', 'alpha ADD net1'])
  })
})

spec('prevResult that a delegate gets', (it) => {
  const first = (cniVersion: string) => ({
    cniVersion,
    interfaces: [{ name: 'host0' }, { name: 'net1', sandbox: '/x' }],
    ips: [{ ...(cniVersion < '1' ? { version: '4' } : {}), address: '10.5.0.2/24', interface: 1 }],
  })

  it("CNI-072 none for the first of ADD, the one before for the next, the last one's for CHECK and DEL of all", async () => {
    const node = await stubNode()
    node.write(
      nad({ name: 'chain', config: { cniVersion: '1.0.0', plugins: [{ type: 'alpha' }, { type: 'beta' }] } }),
    )
    const last = { cniVersion: '1.0.0', ips: [{ address: '10.5.0.9/24' }], mark: 'last' }
    node.behave(node.alpha, { add: { result: first('1.0.0') } })
    node.behave(node.beta, { add: { result: last } })
    const pod = await node.pod({ networks: 'chain' })
    for (const verb of ['ADD', 'CHECK', 'DEL']) assert.is((await pod.run(verb)).status, 0)
    assert.not('prevResult' in inputOf(node, 'alpha', 'ADD'))
    // CNI-128: the host's end of the veth stays in it.
    assert.equal(JSON.parse(JSON.stringify(inputOf(node, 'beta', 'ADD').prevResult)), first('1.0.0'))
    for (const verb of ['CHECK', 'DEL']) {
      for (const type of ['alpha', 'beta'])
        assert.equal(inputOf(node, type, verb).prevResult, last, `${type} ${verb}`)
    }
  })

  it('CNI-072 no DEL below 0.4.0 gets one, and CNI-056 no CHECK', async () => {
    const node = await stubNode()
    for (const cniVersion of ['0.2.0', '0.3.1', '0.4.0']) {
      node.write(nad({ name: `v${cniVersion.replaceAll('.', '-')}`, config: { cniVersion, type: 'alpha' } }))
    }
    const pod = await node.pod({ networks: 'v0-2-0,v0-3-1,v0-4-0' })
    for (const verb of ['ADD', 'CHECK', 'DEL']) assert.is((await pod.run(verb)).status, 0)
    const checked = node.alpha.calls().filter(({ command }) => command === 'CHECK')
    assert.equal(
      checked.map(({ ifName }) => ifName),
      ['net3'],
    )
    const deleted = node.alpha.calls().filter(({ command }) => command === 'DEL')
    assert.equal(
      deleted.map(({ ifName, stdin }) => [ifName, 'prevResult' in stdin]),
      [
        ['net3', true],
        ['net2', false],
        ['net1', false],
      ],
    )
  })

  it('CNI-056 a list with disableCheck is not checked', async () => {
    const node = await stubNode()
    const config = { cniVersion: '1.0.0', disableCheck: true, plugins: [{ type: 'alpha' }] }
    node.write(nad({ name: 'unchecked', config }))
    const pod = await node.pod({ networks: 'unchecked,beta-net' })
    for (const verb of ['ADD', 'CHECK']) assert.is((await pod.run(verb)).status, 0)
    assert.equal(node.steps().slice(3), ['primary CHECK eth0', 'beta CHECK net2'])
  })

  it('CNI-050 the merged one of the runtime goes to no delegate, on CHECK and on DEL', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    const added = await pod.run('ADD')
    assertAdded(added)
    const prevResult = JSON.parse(added.stdout)
    for (const verb of ['CHECK', 'DEL']) assertDone(await pod.run(verb, { conf: node.conf({ prevResult }) }))
    for (const { type, command, stdin, ifName } of node.calls().slice(3)) {
      const own = stdin.prevResult as { ips: unknown[]; interfaces: { name: string; sandbox?: string }[] }
      assert.is(own.ips.length, 1, `${type} ${command}`)
      // CNI-057: its own interface, with the netns as the runtime spelled it.
      const inPod = own.interfaces.filter(({ sandbox }) => sandbox !== undefined)
      assert.equal(
        inPod.map(({ name, sandbox }) => [name, sandbox]),
        [[ifName, pod.netns.path]],
      )
    }
  })

  it('CNI-054 CNI-055 CHECK goes in the order of ADD and stops at the first error, which is passed on', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertAdded(await pod.run('ADD'))
    node.behave(node.alpha, { check: { error: { code: 133, msg: 'address is gone', details: 'net1' } } })
    assertRefused(await pod.run('CHECK'), 133, 'address is gone; net1', 'network "alpha-net"')
    assert.equal(node.steps().slice(3), ['primary CHECK eth0', 'alpha CHECK net1'])
  })

  it('CNI-054 CHECK of what was never attached is refused, and runs nothing', async () => {
    const node = await stubNode()
    const pod = await node.pod()
    assertRefused(await pod.run('CHECK'), 7, 'prevResult missing')
    const prevResult = { cniVersion: '1.0.0', ips: [] }
    assertRefused(await pod.run('CHECK', { conf: node.conf({ prevResult }) }), 108, 'nothing is recorded')
    assert.equal(node.steps(), [])
  })

  for (const [list, answered] of [
    ['1.0.0', '0.4.0'],
    ['0.4.0', '1.0.0'],
    ['1.0.0', undefined],
    ['0.4.0', ''],
  ] as const) {
    it(`CNI-073 CNI-075 has the list's version ${list} when a plugin answered in ${answered ?? 'none'}`, async () => {
      const node = await stubNode()
      const plugins = [{ type: 'alpha' }, { type: 'beta' }]
      node.write(nad({ name: 'chain', config: { cniVersion: list, plugins } }))
      const result = { ...first(answered || list), cniVersion: answered }
      node.behave(node.alpha, { add: { result } })
      const pod = await node.pod({ networks: 'chain' })
      for (const verb of ['ADD', 'CHECK', 'DEL']) assert.is((await pod.run(verb)).status, 0)
      for (const verb of ['ADD', 'CHECK', 'DEL']) {
        const { prevResult } = inputOf(node, 'beta', verb) as {
          prevResult: { cniVersion: string; ips: { version?: string }[] }
        }
        assert.is(prevResult.cniVersion, list)
        assert.is(prevResult.ips[0]?.version, list < '1' ? '4' : undefined)
      }
    })
  }
})
