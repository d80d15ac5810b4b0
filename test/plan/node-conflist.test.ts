import * as assert from 'uvu/assert'
import { parseConflist } from '../../src/cni/conflist.ts'
import { keptOf, NOTHING_KEPT, nodeConflist } from '../../src/plan/node-conflist.ts'
import { spec } from '../spec.ts'

const defaultPlugins = [
  { type: 'calico', capabilities: { bandwidth: false } },
  { type: 'portmap', capabilities: { portMappings: true } },
  { type: 'tuning', capabilities: { mac: true, portMappings: true } },
]
const make = (kept = NOTHING_KEPT, netConf = {}): string =>
  nodeConflist({ cniVersion: '1.1.0', defaultPlugins, netConf, kept })
const parsed = (text: string) => JSON.parse(text) as { name: string; plugins: { type: string }[] }

spec('list on the node', (it) => {
  it('is one entry of ours in the version of the runtime, with the union of the capabilities', () => {
    const text = make(NOTHING_KEPT, { stateDir: '/var/lib/x' })
    parseConflist(JSON.parse(text), { what: 'list', form: 'conflist' })
    assert.equal(JSON.parse(text), {
      cniVersion: '1.1.0',
      name: 'plexus',
      plugins: [
        {
          stateDir: '/var/lib/x',
          type: 'plexus',
          capabilities: { 'io.kubernetes.cri.pod-annotations': true, mac: true, portMappings: true },
        },
      ],
    })
    assert.match(text, /\}\n$/)
  })

  it('made of itself it is the same', () => {
    const first = JSON.parse(make())
    first.plugins.push({ type: 'istio-cni', log_level: 'info' })
    const kept = keptOf(first)
    assert.ok(kept !== undefined)
    const second = make(kept)
    const again = keptOf(JSON.parse(second))
    assert.ok(again !== undefined)
    assert.is(make(again), second)
  })

  it('plugins of others stay with their keys, before and behind ours, each type once, the last one', () => {
    const list = {
      name: 'mine',
      plugins: [
        { type: 'first', a: 1 },
        { type: 'plexus', capabilities: {} },
        { type: 'istio-cni', version: 1 },
        { type: 'linkerd-cni' },
        { type: 'istio-cni', version: 2 },
        { type: 'plexus' },
        { type: 'first', a: 2 },
      ],
    }
    const kept = keptOf(list)
    assert.equal(kept, {
      cniVersion: undefined,
      name: 'mine',
      before: [{ type: 'first', a: 1 }],
      behind: [{ type: 'linkerd-cni' }, { type: 'istio-cni', version: 2 }],
    })
    const made = parsed(make(kept))
    assert.is(made.name, 'mine')
    assert.equal(
      made.plugins.map(({ type }) => type),
      ['first', 'plexus', 'linkerd-cni', 'istio-cni'],
    )
    assert.equal((made.plugins[1] as unknown as { calledByRuntime: string[] }).calledByRuntime, [
      ...['first', 'istio-cni', 'linkerd-cni'],
    ])
  })

  it('of a list that is not ours nothing is kept', () => {
    for (const list of [
      null,
      1,
      {},
      { plugins: {} },
      { plugins: [{ type: 'bridge' }] },
      { plugins: [null] },
    ]) {
      assert.is(keptOf(list), undefined)
    }
  })
})
