import * as assert from 'uvu/assert'
import { parseConflist } from '../../src/cni/conflist.ts'
import {
  type Candidate,
  chooseDefaultNetwork,
  type NetworkPin,
  parsePin,
} from '../../src/plan/default-network-choice.ts'
import { recogniseSystem } from '../../src/plan/systems/registry.ts'
import { spec } from '../spec.ts'

/** A conf file `<file>` of the network `<name>` made by `<type>`. */
function file(path: string, name: string, type: string): Candidate {
  const value = { cniVersion: '1.0.0', name, plugins: [{ type }] }
  const conflist = parseConflist(value, { what: path, form: 'conflist' })
  return { path, conflist, system: recogniseSystem({ path, conflist, siblings: [] }) }
}

const calico = file('/d/10-calico.conflist', 'k8s-pod-network', 'calico')
const flannel = file('/d/20-flannel.conflist', 'cbr0', 'flannel')
const podman = file('/d/05-podman.conflist', 'podman', 'bridge')
const own = file('/d/30-own.conflist', 'own', 'own-cni')

/** The pin after looks at these folders one after another. */
function pinAfter(...looks: readonly Candidate[][]): NetworkPin | undefined {
  let pin: NetworkPin | undefined
  for (const look of looks) pin = chooseDefaultNetwork(look, pin).pin
  return pin
}

function chosenAfter(...looks: readonly Candidate[][]): Candidate | undefined {
  const last = looks.at(-1) ?? []
  return chooseDefaultNetwork(last, pinAfter(...looks.slice(0, -1))).chosen
}

spec('choice of the default network', (it) => {
  it('CNI-141 without a pin it is the first one; the others are named', () => {
    const { chosen, ignored } = chooseDefaultNetwork([podman, calico], undefined)
    assert.is(chosen, podman)
    assert.equal(ignored, [
      '/d/10-calico.conflist is passed over: the default network is "podman" (plugin "bridge") of /d/05-podman.conflist',
    ])
    assert.equal(chooseDefaultNetwork([], undefined), { chosen: undefined, pin: undefined, ignored: [] })
  })

  it('a file that sorts before the chosen one does not take its place', () => {
    assert.is(chosenAfter([calico], [podman, calico]), calico)
    assert.is(chosenAfter([own], [podman, own]), own)
  })

  it('the network is the same in a file of another name, whatever else is in it', () => {
    const moved = file('/d/90-calico.conflist', 'k8s-pod-network', 'calico')
    assert.is(chosenAfter([calico], [flannel, moved]), moved)
  })

  it('of two files with the network it stays in its own', () => {
    const copy = file('/d/00-copy.conflist', 'k8s-pod-network', 'calico')
    assert.is(chosenAfter([calico], [copy, calico]), calico)
  })

  it('name and type together make the network: with one of them other it is another one', () => {
    const sameName = file('/d/00-x.conflist', 'k8s-pod-network', 'bridge')
    const sameType = file('/d/01-x.conflist', 'other', 'calico')
    assert.is(chosenAfter([calico], [sameName, sameType, calico]), calico)
  })

  it('when it is gone the next one takes its place', () => {
    assert.is(chosenAfter([calico], [flannel]), flannel)
    assert.is(chosenAfter([calico], [], [own]), own)
    assert.is(chosenAfter([own], [podman]), podman)
  })

  it('an unknown network that lay beside a known one never does, and the reason is said', () => {
    const looks = [[podman, calico], [calico]]
    assert.is(chosenAfter([calico], [podman, calico], [podman]), undefined)
    const { ignored, pin } = chooseDefaultNetwork([podman], pinAfter([calico], [podman, calico]))
    assert.match(ignored.join(), '"k8s-pod-network" (plugin "calico"), which is missing')
    assert.is(pin?.name, 'k8s-pod-network')
    assert.is(chosenAfter([calico], [podman, calico], [podman], [podman, calico]), calico)
    assert.is(chosenAfter([calico], ...looks.slice(0, 1), [podman, flannel]), flannel)
  })

  it('a known one that lay beside gives the place back', () => {
    assert.is(chosenAfter([calico, flannel], [flannel], [calico, flannel]), calico)
    assert.is(chosenAfter([calico, flannel], [flannel], [flannel], [calico, flannel]), calico)
  })

  it('a known one that was put there as the successor keeps the place', () => {
    assert.is(chosenAfter([calico], [flannel], [calico, flannel]), flannel)
  })

  it('a known one that arrives takes the place of an unknown one, but not if it lay there before', () => {
    assert.is(chosenAfter([podman], [podman, calico]), calico)
    assert.is(chosenAfter([podman, calico], [podman, calico]), podman)
  })

  it('a pin is read back as it was, and anything else is none', () => {
    const pin = pinAfter([calico, flannel], [flannel])
    assert.ok(pin?.standsInFor !== undefined)
    assert.equal(parsePin(JSON.parse(JSON.stringify(pin))), pin)
    for (const other of [null, 1, {}, { ...pin, beside: 1 }, { ...pin, beside: [1] }, { ...pin, path: 1 }]) {
      assert.is(parsePin(other), undefined)
    }
  })
})
