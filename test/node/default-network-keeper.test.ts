import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { parseConflist } from '../../src/cni/conflist.ts'
import type { CniVersion } from '../../src/cni/version.ts'
import { eventually } from '../rig/daemon.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'
import { defaultList, type KeptFolder, keptFolder } from './keeper.ts'

/** What the issue gives every change. */
const LIMIT_MS = 2000

const calico = defaultList('k8s-pod-network', 'calico', 'portmap')
const flannel = defaultList('cbr0', 'flannel', 'portmap', 'bandwidth')
const ANNOTATIONS = 'io.kubernetes.cri.pod-annotations'

const soon = (check: () => void): Promise<void> => eventually(check, LIMIT_MS)
const assertThere = ({ path }: KeptFolder): void => assert.ok(existsSync(path), `${path} is missing`)
const capabilities = (kept: KeptFolder): string[] => {
  const own = kept.list().plugins.find(({ type }) => type === 'plexus')
  return Object.keys(own?.capabilities ?? {})
}

/** A folder with Calico and our list in it. */
async function calicoFolder(): Promise<KeptFolder> {
  const kept = keptFolder()
  kept.put('10-calico.conflist', calico)
  await soon(() => assertThere(kept))
  return kept
}

spec('default network that is kept', (it) => {
  it('one that arrives late is found, and only then our list is written, readable by root alone', async () => {
    const kept = keptFolder({ cniVersion: '1.1.0' })
    await delay(600)
    assert.equal(readdirSync(kept.folder), [])
    assert.equal(kept.networks, [''])
    kept.put('10-calico.conflist', calico)
    await soon(() => assertThere(kept))
    assert.is(kept.keeper.network?.system?.id, 'calico')
    assert.is(statSync(kept.path).mode & 0o7777, 0o600)
    assert.is(kept.list().cniVersion, '1.1.0')
    assert.is(kept.list().plugins[0]?.defaultNetwork, join(kept.folder, '10-calico.conflist'))
    assert.equal(capabilities(kept), [ANNOTATIONS, 'portMappings'])
    parseConflist(kept.list(), { what: 'list', form: 'conflist' })
    assert.equal(kept.networks, ['', 'k8s-pod-network'])
  })

  it('a change of its file counts, and its capabilities are ours', async () => {
    const kept = await calicoFolder()
    kept.put('10-calico.conflist', defaultList('k8s-pod-network', 'calico', 'portmap', 'bandwidth'))
    await soon(() => assert.equal(capabilities(kept), ['bandwidth', ANNOTATIONS, 'portMappings']))
    assert.equal(kept.networks.at(-1), 'k8s-pod-network')
  })

  it('one that takes the place of another counts', async () => {
    const kept = await calicoFolder()
    rmSync(join(kept.folder, '10-calico.conflist'))
    kept.put('10-flannel.conflist', flannel)
    await soon(() => assert.is(kept.networks.at(-1), 'cbr0'))
    await soon(() => assert.match(String(kept.list().plugins[0]?.defaultNetwork), '10-flannel.conflist'))
    assert.match(kept.said.join('\n'), 'warn: the default network is now "cbr0"')
  })

  it('when it is gone our list stays, and what is said says that pods wait', async () => {
    const kept = await calicoFolder()
    rmSync(join(kept.folder, '10-calico.conflist'))
    await soon(() => assert.is(kept.networks.at(-1), ''))
    assertThere(kept)
    assert.match(kept.said.join('\n'), /warn: no default network in .* pods wait/)
  })

  it('one that is removed for a moment while it is written anew changes nothing', async () => {
    const kept = await calicoFolder()
    kept.put('20-flannel.conflist', flannel)
    for (let round = 0; round < 3; round++) {
      rmSync(join(kept.folder, '10-calico.conflist'))
      await delay(300)
      kept.put('10-calico.conflist', calico)
      await delay(300)
    }
    assert.equal(
      kept.networks.filter((name) => name !== ''),
      ['k8s-pod-network'],
    )
  })

  it('a half-written file changes nothing: its last valid content counts', async () => {
    const kept = await calicoFolder()
    kept.put('20-flannel.conflist', flannel)
    kept.overwrite('10-calico.conflist', JSON.stringify(calico).slice(0, 40))
    await soon(() => assert.match(kept.keeper.ignored.join(), 'its last valid content counts'))
    await delay(1000)
    assert.is(kept.keeper.network?.conflist.name, 'k8s-pod-network')
    assert.equal(capabilities(kept), [ANNOTATIONS, 'portMappings'])
  })

  it('no file by chance takes its place, not after a restart either, and each is named', async () => {
    const kept = await calicoFolder()
    kept.put('05-podman.conflist', defaultList('podman', 'bridge'))
    await soon(() => assert.match(kept.keeper.ignored.join(), '05-podman.conflist is passed over'))
    kept.keeper.close()
    const again = keptFolder({ folder: kept.folder, pinFile: kept.pinFile })
    assert.is(again.keeper.network?.conflist.name, 'k8s-pod-network')
    again.keeper.close()
    rmSync(join(kept.folder, '10-calico.conflist'))
    const without = keptFolder({ folder: kept.folder, pinFile: kept.pinFile })
    assert.is(without.keeper.network, undefined)
    without.put('10-calico.conflist', calico)
    await soon(() => assert.is(without.keeper.network?.conflist.name, 'k8s-pod-network'))
  })

  it('a memory that cannot be written is told of, and is written when that is over', async () => {
    const stateDir = join(tempDir('state'), 'not-a-folder')
    writeFileSync(stateDir, '')
    const kept = keptFolder({ pinFile: join(stateDir, 'default-network.json') })
    kept.put('10-calico.conflist', calico)
    await soon(() => assertThere(kept))
    assert.match(kept.said.join('\n'), 'warn: the choice of the default network cannot be remembered')
    rmSync(stateDir)
    await soon(() => assert.is(JSON.parse(readFileSync(kept.pinFile, 'utf8')).name, 'k8s-pod-network'))
  })

  it('a damaged memory is told of and chosen anew', async () => {
    const kept = await calicoFolder()
    kept.keeper.close()
    writeFileSync(kept.pinFile, '{"name":')
    const again = keptFolder({ folder: kept.folder, pinFile: kept.pinFile })
    assert.is(again.keeper.network?.conflist.name, 'k8s-pod-network')
    assert.match(again.said.join('\n'), /warn: .*default-network.json is damaged/)
  })

  it('a folder that is missing, removed, replaced, or a link that moves: what is in it counts', async () => {
    const parent = tempDir('parent')
    const folder = join(parent, 'net.d')
    const kept = keptFolder({ folder })
    await delay(300)
    assert.is(kept.keeper.network, undefined)
    for (const [step, list] of [calico, flannel, calico].entries()) {
      const next = join(parent, `folder-${step}`)
      mkdirSync(next)
      writeFileSync(join(next, '10-default.conflist'), JSON.stringify(list))
      if (existsSync(folder)) renameSync(folder, join(parent, `old-${step}`))
      renameSync(next, folder)
      await soon(() => {
        assert.is(kept.keeper.network?.conflist.name, list.name)
        assertThere(kept)
      })
    }
    rmSync(folder, { recursive: true })
    await soon(() => assert.is(kept.keeper.network, undefined))
    for (const [name, list] of [
      ['first', flannel],
      ['second', calico],
    ] as const) {
      mkdirSync(join(parent, name))
      writeFileSync(join(parent, name, '10-default.conflist'), JSON.stringify(list))
      symlinkSync(name, join(parent, 'link'))
      renameSync(join(parent, 'link'), folder)
      await soon(() => {
        assert.is(kept.keeper.network?.conflist.name, list.name)
        assertThere(kept)
      })
    }
    // The new folder is watched too, not only looked at when it came.
    rmSync(kept.path)
    await soon(() => assertThere(kept))
  })

  it('a file that is a link counts by what it leads to, also when only that changes', async () => {
    const target = join(tempDir('target'), 'calico.json')
    const kept = keptFolder()
    writeFileSync(target, JSON.stringify(calico))
    symlinkSync(target, join(kept.folder, '10-calico.conflist'))
    await soon(() => assertThere(kept))
    writeFileSync(target, JSON.stringify(defaultList('k8s-pod-network', 'calico', 'bandwidth')))
    await soon(() => assert.equal(capabilities(kept), ['bandwidth', ANNOTATIONS]))
  })

  it('plugins of the folder beside a list belong to it', async () => {
    const kept = await calicoFolder()
    mkdirSync(join(kept.folder, 'k8s-pod-network'))
    const conf = { type: 'bandwidth', capabilities: { bandwidth: true } }
    writeFileSync(join(kept.folder, 'k8s-pod-network/10-bandwidth.conf'), JSON.stringify(conf))
    await soon(() => assert.equal(capabilities(kept), ['bandwidth', ANNOTATIONS, 'portMappings']))
  })
})

spec('our list in the runtime’s folder', (it) => {
  it('renamed by Cilium 20 times in a row it is back each time, and the remedy is said once', async () => {
    const kept = await calicoFolder()
    for (let round = 0; round < 20; round++) {
      renameSync(kept.path, `${kept.path}.cilium_bak`)
      await soon(() => assertThere(kept))
    }
    const words = kept.said.filter((line) => line.includes('put back'))
    assert.is(words.length, 1)
    assert.match(words[0] ?? '', 'had been renamed to 00-plexus.conflist.cilium_bak and is put back')
    assert.match(words[0] ?? '', 'set cni.exclusive=false')
  })

  it('in a fight without end it still comes back within the limit, with a bounded number of writes', async () => {
    const kept = await calicoFolder()
    let removed = 0
    const begin = performance.now()
    const seconds = (): number => (performance.now() - begin) / 1000
    while (seconds() < 4 || (removed < 20 && seconds() < 30)) {
      if (existsSync(kept.path)) {
        rmSync(kept.path)
        removed += 1
      }
      await delay(5)
    }
    const tookS = seconds()
    await soon(() => assertThere(kept))
    assert.ok(removed >= 20, `only ${removed} times`)
    assert.ok(removed <= 22 + tookS, `${removed} writes in ${tookS} s`)
  })

  it('removed or changed it is put right, at once and said', async () => {
    const kept = await calicoFolder()
    const text = readFileSync(kept.path, 'utf8')
    rmSync(kept.path)
    await soon(() => assertThere(kept))
    for (const spoilt of ['', '{', '[]', JSON.stringify(calico), text.replace('1.0.0', '0.3.1')]) {
      writeFileSync(kept.path, spoilt)
      await soon(() => assert.is(readFileSync(kept.path, 'utf8'), text))
    }
    assert.match(kept.said.join('\n'), 'had been removed and is put back')
    assert.match(kept.said.join('\n'), 'had been changed and is corrected')
    chmodSync(kept.path, 0o644)
    await soon(() => assert.is(statSync(kept.path).mode & 0o7777, 0o600))
  })

  it('what istio and linkerd append stays over rewrites and a removal, each called once', async () => {
    const kept = await calicoFolder()
    const types = (): unknown[] => kept.list().plugins.map(({ type }) => type)
    for (const type of ['linkerd-cni', 'istio-cni', 'istio-cni']) {
      const list = kept.list()
      list.plugins.push({ type, log_level: 'info', kubernetes: { kubeconfig: '/etc/cni/net.d/x' } })
      writeFileSync(kept.path, JSON.stringify(list))
      await soon(() => {
        const at = types().indexOf(type)
        assert.ok(at > 0)
        assert.is(types().lastIndexOf(type), at)
        assert.match(JSON.stringify(kept.list().plugins[0]), new RegExp(`calledByRuntime.*${type}`))
      })
    }
    kept.put('10-calico.conflist', defaultList('k8s-pod-network', 'calico', 'portmap', 'bandwidth'))
    await soon(() => assert.ok(capabilities(kept).includes('bandwidth')))
    assert.equal(types(), ['plexus', 'linkerd-cni', 'istio-cni'])
    rmSync(kept.path)
    await soon(() => assertThere(kept))
    assert.equal(types(), ['plexus', 'linkerd-cni', 'istio-cni'])
    assert.is(kept.list().plugins[2]?.log_level, 'info')
    const list = kept.list()
    list.plugins = list.plugins.filter(({ type }) => type !== 'linkerd-cni')
    writeFileSync(kept.path, JSON.stringify(list))
    await soon(() => assert.equal(kept.list().plugins[0]?.calledByRuntime, ['istio-cni']))
    assert.equal(types(), ['plexus', 'istio-cni'])
  })

  it('its name and the others’ plugins are taken over from the daemon before', async () => {
    const kept = await calicoFolder()
    kept.keeper.close()
    const list = kept.list()
    writeFileSync(
      kept.path,
      JSON.stringify({ ...list, name: 'cluster', plugins: [...list.plugins, { type: 'istio-cni' }] }),
    )
    const again = keptFolder({ folder: kept.folder, pinFile: kept.pinFile, cniVersion: '1.1.0' })
    await soon(() => assert.is(again.list().cniVersion, '1.1.0'))
    assert.is(again.list().name, 'cluster')
    assert.equal(
      again.list().plugins.map(({ type }) => type),
      ['plexus', 'istio-cni'],
    )
  })

  it('it follows the runtime from one version to the next, and stays while nobody tells which that is', async () => {
    let version: CniVersion | undefined
    const runtimeVersion = (): CniVersion | undefined => version
    const kept = keptFolder({ runtimeVersion })
    kept.put('10-calico.conflist', calico)
    await soon(() => assert.is(kept.list().cniVersion, '1.0.0'))
    version = '1.1.0'
    await soon(() => assert.is(kept.list().cniVersion, '1.1.0'))
    kept.keeper.close()
    writeFileSync(kept.path, JSON.stringify({ ...kept.list(), plugins: [{ type: 'plexus' }] }))
    const again = keptFolder({ folder: kept.folder, pinFile: kept.pinFile })
    await soon(() => assert.equal(capabilities(again), [ANNOTATIONS, 'portMappings']))
    assert.is(again.list().cniVersion, '1.1.0')
    again.keeper.close()
    version = '1.0.0'
    const older = keptFolder({ folder: kept.folder, pinFile: kept.pinFile, runtimeVersion })
    await soon(() => assert.is(older.list().cniVersion, '1.0.0'))
  })

  it('when nothing changes it is not touched', async () => {
    const kept = await calicoFolder()
    await delay(200)
    const { ino, mtimeNs } = statSync(kept.path, { bigint: true })
    kept.put('99-other.txt', 'x')
    kept.put('10-calico.conflist', calico)
    await delay(1200)
    const after = statSync(kept.path, { bigint: true })
    assert.equal([after.ino, after.mtimeNs], [ino, mtimeNs])
  })

  it('a file that sorts before it is a fault that is said, and is over when that is gone', async () => {
    const kept = await calicoFolder()
    const danm = { cniVersion: '0.3.1', name: 'meta_cni', type: 'danm' }
    kept.put('00-danm.conf', danm)
    await soon(() => assert.match(kept.keeper.fault ?? '', '00-danm.conf sorts before'))
    assert.match(kept.said.join('\n'), 'error: 00-danm.conf sorts before')
    assert.match(kept.keeper.ignored.join(), 'its plugin "danm" is a meta-plugin')
    rmSync(join(kept.folder, '00-danm.conf'))
    await soon(() => assert.is(kept.keeper.fault, undefined))
  })

  it('it is not written before it is wanted, and then without any change of the folder', async () => {
    let isWanted = false
    const kept = keptFolder({ isWanted: () => isWanted })
    kept.put('10-calico.conflist', calico)
    await soon(() => assert.is(kept.networks.at(-1), 'k8s-pod-network'))
    assert.not.ok(existsSync(kept.path))
    isWanted = true
    await soon(() => assertThere(kept))
  })

  it('the runtime’s folder may be another one than the default network’s', async () => {
    const listFolder = tempDir('runtime')
    const kept = keptFolder({ listFolder })
    kept.put('10-calico.conflist', calico)
    await soon(() => assertThere(kept))
    assert.is(kept.path, join(listFolder, '00-plexus.conflist'))
    rmSync(kept.path)
    await soon(() => assertThere(kept))
    assert.equal(readdirSync(kept.folder), ['10-calico.conflist'])
  })

  it('what a killed writer left is removed', async () => {
    const folder = tempDir('net.d')
    writeFileSync(join(folder, '.00-plexus.conflist.99999.plexus-new'), '{')
    const kept = keptFolder({ folder })
    kept.put('10-calico.conflist', calico)
    await soon(() => assertThere(kept))
    assert.equal(readdirSync(folder), ['00-plexus.conflist', '10-calico.conflist'])
  })
})
