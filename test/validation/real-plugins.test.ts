import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isJsonObject } from '../../src/cni/json.ts'
import { validateObjects } from '../../src/validation/validate.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const plugins = debianPlugins()

/** What a plugin says to ADD in a namespace that is not there: it reads its configuration before. */
function answerOf(plugin: string, conf: object): string {
  const { stdout } = spawnSync(join(plugins, plugin), {
    input: JSON.stringify(conf),
    encoding: 'utf8',
    timeout: 10_000,
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'validate',
      CNI_NETNS: '/nowhere',
      CNI_IFNAME: 'x0',
      CNI_PATH: plugins,
    },
  })
  const answer: unknown = JSON.parse(stdout)
  return isJsonObject(answer) && typeof answer.msg === 'string' ? answer.msg : ''
}

function errorsOf(conf: object): string[] {
  const metadata = { name: 'it' }
  const nad = {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata,
    spec: { config: JSON.stringify(conf) },
  }
  return validateObjects([nad])
    .findings.filter(({ severity }) => severity === 'error')
    .map(({ code }) => code)
}

const base = { cniVersion: '1.0.0', name: 'it' }
const hostLocal = (keys: object): object => ({
  ...base,
  type: 'bridge',
  ipam: { type: 'host-local', dataDir: tempDir('host-local'), ...keys },
})
const fixed = (keys: object): object => ({ ...base, type: 'bridge', ipam: { type: 'static', ...keys } })

/** Plugin to ask, configuration, our code, its words. */
const REFUSED: readonly [string, object, string, RegExp][] = [
  ['bridge', { ...base, type: 'bridge', vlan: 5000 }, 'value-range', /invalid VLAN ID/],
  ['bridge', { ...base, type: 'bridge', mtu: '1500' }, 'value-type', /cannot unmarshal string/],
  ['bridge', { ...base, type: 'bridge', hairpinMode: true, promiscMode: true }, 'excluded-keys', /hairpin/],
  ['vlan', { ...base, type: 'vlan', vlanId: 5 }, 'missing-key', /"master" field is required/],
  ['vlan', { ...base, type: 'vlan', master: 'lo', vlanId: 4095 }, 'value-range', /invalid VLAN ID/],
  ['host-device', { ...base, type: 'host-device' }, 'device-missing', /specify either/],
  ['tuning', { ...base, type: 'tuning' }, 'chained-plugin-first', /Required prevResult missing/],
  ['portmap', { ...base, type: 'portmap' }, 'chained-plugin-first', /chained plugin/],
  ['sbr', { ...base, type: 'sbr' }, 'chained-plugin-first', /chained plugin/],
  ['bandwidth', { ...base, type: 'bandwidth', ingressRate: 100 }, 'bandwidth-pair', /burst must also be set/],
  ['vrf', { ...base, type: 'vrf' }, 'missing-key', /vrf name/],
  [
    'firewall',
    { ...base, cniVersion: '0.3.1', type: 'firewall' },
    'cni-version-not-spoken',
    /incompatible CNI versions/,
  ],
  ['host-local', hostLocal({ subnet: '10.1.2.3/24' }), 'subnet-host-bits', /host bits set/],
  ['host-local', hostLocal({ subnet: '10.1.2.0' }), 'value-format', /invalid CIDR address/],
  ['host-local', hostLocal({ subnet: '10.1.2.0/31' }), 'subnet-too-small', /too small to allocate from/],
  [
    'host-local',
    hostLocal({ subnet: '10.1.2.0/24', rangeStart: '10.1.3.1' }),
    'range-outside-subnet',
    /not in network/,
  ],
  [
    'host-local',
    hostLocal({ subnet: '10.1.2.0/24', rangeStart: '10.1.2.9', rangeEnd: '10.1.2.5' }),
    'range-reversed',
    /not in network/,
  ],
  ['host-local', hostLocal({ ranges: [{ subnet: '10.1.2.0/24' }] }), 'value-type', /cannot unmarshal object/],
  [
    'host-local',
    hostLocal({ ranges: [[{ subnet: '10.1.2.0/24' }, { subnet: 'fd00::/64' }]] }),
    'range-families',
    /mixed address families/,
  ],
  [
    'host-local',
    hostLocal({ ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.1.2.0/25' }]] }),
    'ranges-overlap',
    /overlaps/,
  ],
  ['host-local', hostLocal({}), 'missing-key', /no IP ranges specified/],
  ['static', fixed({ addresses: ['10.0.0.1/24'] }), 'addresses-as-strings', /cannot unmarshal string/],
  ['static', fixed({ addresses: [{ address: '10.0.0.1' }] }), 'value-format', /CIDR notation/],
  [
    'static',
    fixed({ addresses: [{ address: '10.0.0.1/24' }], routes: [{ dst: '10.0.0.0' }] }),
    'value-format',
    /invalid CIDR/,
  ],
]

spec('what validate calls an error', (it) => {
  for (const [plugin, conf, code, words] of REFUSED) {
    it(`${plugin} refuses it too: ${code} ${words.source}`, () => {
      assert.ok(errorsOf(conf).includes(code), errorsOf(conf).join())
      assert.match(answerOf(plugin, conf), words)
    })
  }

  it('keys in another case and null are read by the plugins, so they are no error', () => {
    const conf = hostLocal({ Ranges: [[{ Subnet: '10.1.2.0/24', gateway: null }]] })
    assert.equal(errorsOf(conf), [])
    assert.is(answerOf('host-local', conf), '')
  })
})
