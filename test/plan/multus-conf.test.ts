import * as assert from 'uvu/assert'
import type { JsonObject } from '../../src/cni/json.ts'
import { parseDaemonConf } from '../../src/config/daemon-conf.ts'
import { translateMultusConf } from '../../src/plan/multus-conf.ts'
import { spec } from '../spec.ts'

const confDir = '/etc/cni/net.d'
const detected = { path: '/etc/cni/net.d/10-calico.conflist', name: 'k8s-pod-network' }
const OURS = { installConflist: true, conflistDir: confDir, strictCapabilities: false }

function translate(conf: JsonObject, daemon: JsonObject = {}) {
  const translation = translateMultusConf(conf, daemon, { confDir, detected, own: {} })
  // Whatever comes out, the daemon takes it.
  parseDaemonConf(translation.conf)
  return translation
}

const THIN = {
  cniVersion: '0.3.1',
  name: 'multus-cni-network',
  type: 'multus',
  capabilities: { portMappings: true },
  kubeconfig: '/etc/cni/net.d/multus.d/multus.kubeconfig',
  delegates: [{ cniVersion: '0.3.1', name: 'k8s-pod-network', plugins: [{ type: 'calico' }] }],
}
const SHIM = {
  cniVersion: '0.3.1',
  name: 'multus-cni-network',
  type: 'multus-shim',
  clusterNetwork: '/host/etc/cni/net.d/10-calico.conflist',
  logLevel: 'verbose',
  logToStderr: true,
}

spec('Multus’s configuration in our words', (it) => {
  for (const [title, conf, expected] of [
    ['thin: the default network that we find too is not named', THIN, {}],
    ['the shim of thick, the same', SHIM, { logLevel: 'verbose' }],
    [
      'another file than the one that we find is named, as the host has it',
      { ...SHIM, clusterNetwork: '/host/etc/cni/net.d/99-second.conf', logLevel: undefined },
      { defaultNetwork: '/etc/cni/net.d/99-second.conf' },
    ],
    ['a NAD stays one', { clusterNetwork: 'default-net' }, { clusterNetwork: 'default-net' }],
    [
      'several inline networks stay inline',
      { ...THIN, delegates: [...THIN.delegates, { name: 'more', type: 'macvlan' }] },
      { delegates: [...THIN.delegates, { name: 'more', type: 'macvlan' }] },
    ],
    [
      'isolation and its exceptions',
      { ...THIN, namespaceIsolation: true, globalNamespaces: 'default,telco', systemNamespaces: ['ops'] },
      { namespaceIsolation: true, globalNamespaces: 'default,telco', systemNamespaces: ['ops'] },
    ],
    [
      'more networks for every pod, and where NADs and files are looked for',
      {
        ...SHIM,
        logLevel: 'debug',
        defaultNetworks: ['a', 'b'],
        multusNamespace: 'net',
        confDir: '/etc/cni/multus/net.d',
      },
      {
        logLevel: 'debug',
        defaultNetworks: ['a', 'b'],
        multusNamespace: 'net',
        confDir: '/etc/cni/multus/net.d',
      },
    ],
    [
      'the readiness file is the host’s',
      { ...THIN, readinessindicatorfile: '/host/run/multus/cni/net.d/10-ovn.conf' },
      { readinessindicatorfile: '/run/multus/cni/net.d/10-ovn.conf' },
    ],
  ] as const) {
    it(title, () => assert.equal(translate(conf as JsonObject).conf, { ...OURS, ...expected }))
  }

  it('the keys of the daemon’s configuration win, those of its own go or become ours', () => {
    const { conf, pluginDirs, cacheDir, notes } = translate(SHIM, {
      chrootDir: '/hostroot',
      cniVersion: '0.3.1',
      logLevel: 'error',
      logFile: '/var/log/multus.log',
      socketDir: '/host/run/multus/',
      binDir: '/opt/cni/bin:/usr/lib/cni',
      cniDir: '/hostroot/var/lib/cni/other',
      metricsPort: 9091,
      connectionLimit: 20,
      retryDeleteOnError: true,
      perNodeCertificate: { enabled: true },
      multusConfigFile: 'auto',
      forceCNIVersion: false,
    })
    assert.equal(conf, { ...OURS, logLevel: 'error', metricsAddress: '0.0.0.0:9091' })
    assert.equal(pluginDirs, ['/opt/cni/bin', '/usr/lib/cni'])
    assert.is(cacheDir, '/var/lib/cni/other')
    assert.is(notes.length, 5, notes.join('\n'))
    assert.not.match(notes.join('\n'), 'no file of another system is rewritten')
  })

  it('a value that Multus itself would not take is named', () => {
    assert.throws(() => translate({ ...THIN, namespaceIsolation: 'yes' }), /\/namespaceIsolation/)
  })
})
