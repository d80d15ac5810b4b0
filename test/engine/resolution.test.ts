import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { isJsonObject } from '../../src/cni/json.ts'
import { resolveNetworks } from '../../src/engine/resolution.ts'
import type { ResolvedNetwork } from '../../src/plan/plan-attachments.ts'
import type { NetworkReference } from '../../src/plan/requested-network.ts'
import { manifestStore } from '../../src/store/manifests.ts'
import { nad, writeManifests } from '../rig/manifests.ts'
import { spec } from '../spec.ts'
import { temporaryFolder } from '../store/temporary-folder.ts'

interface Sources {
  /** `spec.config` by NAD name in namespace `telco`; `undefined` is a NAD without. */
  readonly nads?: Readonly<Record<string, unknown>>
  /** Conf files by name. */
  readonly files?: Readonly<Record<string, unknown>>
  readonly hasStore?: boolean
}

/** What a reference leads to; `folder` in its texts is the conf folder. */
async function resolve(reference: NetworkReference, { nads = {}, files = {}, hasStore = true }: Sources) {
  const [manifests, folder] = [temporaryFolder(), temporaryFolder()]
  for (const [name, config] of Object.entries(nads)) {
    const given = typeof config === 'string' || isJsonObject(config) ? { config } : {}
    writeManifests(manifests, nad({ namespace: 'telco', name, ...given }))
  }
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  const rooted =
    reference.kind === 'path'
      ? { ...reference, path: join(folder, reference.path) }
      : reference.kind === 'first-file' || reference.kind === 'auxiliary'
        ? { ...reference, directory: folder }
        : reference
  const requested = { reference: rooted, isDefault: false, element: undefined, reason: '', isPodChoice: true }
  const store = hasStore ? manifestStore({ manifests, stateDir: temporaryFolder() }) : undefined
  const found = await resolveNetworks([requested], { conf: { confDirs: [folder] }, store })
  return { network: found[0], folder }
}

const types = (network: ResolvedNetwork | undefined) => network?.conflist?.plugins.map(({ type }) => type)
const conf = (name: string, type = 'bridge') => ({ cniVersion: '1.0.0', name, type })
const N6 = { kind: 'nad', namespace: 'telco', name: 'n6' } as const

spec('resolution of networks', (it) => {
  it('NPWG-007, NPWG-014, CNI-081 a single config is a list of one, named after its NAD', async () => {
    const { network } = await resolve(N6, { nads: { n6: { cniVersion: '1.0.0', type: 'bridge' } } })
    assert.equal(network?.fault, undefined)
    assert.is(network?.conflist?.name, 'n6')
    assert.equal(types(network), ['bridge'])
    assert.is(network?.source, 'NAD telco/n6')
  })

  it('NPWG-008 a list keeps the order of its plugins', async () => {
    const plugins = [{ type: 'bridge' }, { type: 'tuning' }]
    assert.equal(types((await resolve(N6, { nads: { n6: { cniVersion: '1.0.0', plugins } } })).network), [
      'bridge',
      'tuning',
    ])
  })

  it('NPWG-012 spec.config wins over a file of that name', async () => {
    const { network } = await resolve(N6, {
      nads: { n6: conf('n6', 'of-nad') },
      files: { '00.conflist': { ...conf('n6'), plugins: [{ type: 'of-file' }] } },
    })
    assert.equal(types(network), ['of-nad'])
  })

  it('NPWG-006, NPWG-012 a NAD without config is the file of its name', async () => {
    const { network, folder } = await resolve(N6, {
      nads: { n6: undefined },
      files: { 'x.conf': conf('n6', 'of-file') },
    })
    assert.equal(types(network), ['of-file'])
    assert.is(network?.source, `NAD telco/n6, file ${folder}/x.conf`)
  })

  it('NPWG-013 a NAD without config and without file is a fault naming both', async () => {
    const { network, folder } = await resolve(N6, { nads: { n6: undefined } })
    assert.is(network?.fault?.code, CniErrorCode.InvalidNetworkConfig)
    assert.is(
      network?.fault?.message,
      `NAD telco/n6 has no spec.config: no net configuration with name "n6" in ${folder}`,
    )
  })

  it('a NAD that is not there is a fault, also when a file has its name', async () => {
    const { network } = await resolve(N6, { files: { 'x.conf': conf('n6') } })
    assert.match(
      network?.fault?.message ?? '',
      'cannot find a network-attachment-definition (n6) in namespace (telco)',
    )
  })

  it('without a cluster a NAD cannot be looked up, and that is said', async () => {
    const { network } = await resolve(N6, { hasStore: false })
    assert.match(network?.fault?.message ?? '', 'the net-conf names no cluster')
  })

  for (const [title, sources, expected] of [
    [
      'a NAD first',
      { nads: { n6: conf('n6', 'of-nad') }, files: { 'x.conf': conf('n6', 'of-file') } },
      ['of-nad'],
    ],
    ['else a file', { files: { 'x.conf': conf('n6', 'of-file') } }, ['of-file']],
    [
      'a file without any cluster',
      { files: { 'x.conf': conf('n6', 'of-file') }, hasStore: false },
      ['of-file'],
    ],
  ] as const) {
    it(`NPWG-101 a plain name is ${title}`, async () => {
      assert.equal(types((await resolve({ ...N6, kind: 'named' }, sources)).network), expected)
    })
  }

  it('NPWG-101 a path is a file, or a folder and then its first file', async () => {
    const files = { 'd/20.conf': conf('b', 'second'), 'd/10.conf': conf('a', 'first') }
    assert.equal(types((await resolve({ kind: 'path', path: 'd/20.conf' }, { files })).network), ['second'])
    assert.equal(types((await resolve({ kind: 'path', path: 'd' }, { files })).network), ['first'])
    const { network } = await resolve({ kind: 'path', path: 'none' }, { files })
    assert.match(network?.fault?.message ?? '', /cannot find network: .*\/none does not exist/)
  })

  it('CNI-136, CNI-141 without any valid file there is no default network', async () => {
    const files = { '00.conflist': { ...conf('p'), plugins: [{ type: 'plexus' }] }, '10.conf': '{' }
    const { network, folder } = await resolve({ kind: 'first-file', directory: '' }, { files })
    assert.match(network?.fault?.message ?? '', `no net configurations found in ${folder}`)
    assert.is(network?.fault?.faults.length, 2)
  })

  it('a meta-plugin of others is passed over as well, but may be named', async () => {
    const files = { '00-danm.conf': conf('meta_cni', 'danm'), '10.conf': conf('own') }
    assert.equal(types((await resolve({ kind: 'first-file', directory: '' }, { files })).network), ['bridge'])
    const reference = { kind: 'named', namespace: 'kube-system', name: 'meta_cni' } as const
    assert.equal(types((await resolve(reference, { files })).network), ['danm'])
  })

  it('the auxiliary chain is its folder behind a passthru, and nothing when that is empty', async () => {
    const reference = { kind: 'auxiliary', directory: '', name: 'aux' } as const
    const { network } = await resolve(reference, { files: { 'aux/10.conf': { type: 'a' } } })
    assert.equal(types(network), ['passthru', 'a'])
    assert.is((await resolve(reference, {})).network, undefined)
  })

  it('CNI-078, CNI-083, CNI-085 a config that is wrong is a fault that names the NAD, with its code', async () => {
    for (const [config, code] of [
      ['{', CniErrorCode.Decoding],
      [{ plugins: [] }, CniErrorCode.InvalidNetworkConfig],
      [{ type: '../sh' }, CniErrorCode.InvalidNetworkConfig],
      [{ type: 'bridge', cniVersion: '7.0.0' }, CniErrorCode.IncompatibleCniVersion],
    ] as const) {
      const { network } = await resolve(N6, { nads: { n6: config } })
      assert.is(network?.fault?.code, code, JSON.stringify(config))
      assert.match(network?.fault?.message ?? '', 'NAD telco/n6')
    }
  })
})
