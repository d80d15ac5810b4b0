import * as assert from 'uvu/assert'
import { mapObjects } from '../../src/map/mapped-objects.ts'
import { spec } from '../spec.ts'

const STATUS = 'k8s.v1.cni.cncf.io/network-status'
const NETWORKS = 'k8s.v1.cni.cncf.io/networks'

/** The default networks of a map of pods that have these statuses. */
function defaultsOf(...statuses: readonly (readonly object[])[]): string[] {
  const pods = statuses.map((status, index) => ({
    namespace: 'telco',
    name: `p${index}`,
    isStatic: false,
    annotations: { [STATUS]: JSON.stringify(status) },
  }))
  const { networks } = mapObjects({ origin: 'cluster', pods, nads: [] })
  return networks.filter(({ isDefault }) => isDefault).map(({ name }) => name)
}

spec('the default network on a map', (it) => {
  it('is the one whose entry is marked, wherever it stands and whatever its name', () => {
    assert.equal(defaultsOf([{ name: 'lan' }, { name: 'cbr0', default: true }]), ['cbr0'])
    assert.equal(defaultsOf([{ name: 'lan' }, { name: 'kube-system/alt', default: true }]), [
      'kube-system/alt',
    ])
    assert.equal(
      defaultsOf([
        { interface: 'net1', name: 'a/b' },
        { interface: 'eth0', default: true },
      ]),
      ['default network'],
    )
  })

  it('is without a mark the first one that is no NAD', () => {
    assert.equal(defaultsOf([{ name: 'cbr0' }, { name: 'lan' }]), ['cbr0'])
    assert.equal(defaultsOf([{ name: 'telco/n6' }, { name: 'lan', default: 'yes' }]), [])
  })

  it('is each that a pod has so, and what is asked for beside it is not', () => {
    const marked = (name: string): object[] => [{ name, default: true }, { name: 'telco/n6' }]
    assert.equal(defaultsOf(marked('cbr0'), marked('kube-system/alt')), ['cbr0', 'kube-system/alt'])
    const annotations = { [NETWORKS]: 'n6' }
    const pod = { namespace: 'telco', name: 'p', annotations, isStatic: false }
    const { networks } = mapObjects({ origin: 'manifests', pods: [pod], nads: [] })
    assert.equal(
      networks.map(({ name, isDefault }) => [name, isDefault]),
      [
        ['default network', true],
        ['telco/n6', false],
      ],
    )
  })
})
