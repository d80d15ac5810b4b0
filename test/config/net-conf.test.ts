import * as assert from 'uvu/assert'
import { CniErrorCode } from '../../src/cni/codes.ts'
import type { JsonObject } from '../../src/cni/json.ts'
import { NET_CONF_DEFAULTS, type NetConf, parseNetConf } from '../../src/config/net-conf.ts'
import { netConfSchema } from '../../src/config/net-conf-schema.ts'
import { thrownBy } from '../cni/thrown.ts'
import { spec } from '../spec.ts'

const parse = (keys: JsonObject = {}): NetConf => parseNetConf({ type: 'plexus', name: 'n', ...keys })

const faultsOf = (keys: JsonObject): readonly string[] => thrownBy(() => parse(keys)).faults

spec('net-conf', (it) => {
  it('every default is applied', () => {
    assert.equal(parse(), {
      manifests: undefined,
      kubeconfig: undefined,
      stateDir: '/var/lib/cni/plexus',
      confDirs: ['/etc/cni/multus/net.d', '/etc/cni/net.d'],
      autoConfDir: '/etc/cni/net.d',
      binDirs: [],
      defaultNetwork: undefined,
      defaultNetworks: [],
      delegates: [],
      multusNamespace: 'kube-system',
      systemNamespaces: ['kube-system'],
      namespaceIsolation: false,
      globalNamespaces: ['default'],
      readinessIndicatorFile: undefined,
      auxiliaryChain: undefined,
      calledByRuntime: [],
      result: 'merged',
      strictCapabilities: true,
      parallel: false,
      clusterCIDRs: [],
      allowedPluginTypes: undefined,
      delAttempts: 5,
      addTimeoutMs: 100_000,
      delegateTimeoutMs: 60_000,
      lockTimeoutMs: 30_000,
      readinessTimeoutMs: 45_000,
      maxOutputBytes: 16_777_216,
      devInfoDir: '/var/run/k8s.cni.cncf.io/devinfo',
      podResourcesSocket: '/var/lib/kubelet/pod-resources/kubelet.sock',
      podResourcesTimeoutMs: 10_000,
      logFile: undefined,
      logLevel: 'warn',
      logToStderr: true,
      runtimeConfig: {},
      prevResult: undefined,
      warnings: [],
    })
  })

  const read: readonly (readonly [string, JsonObject, Partial<NetConf>])[] = [
    ['stateDir', { stateDir: '/a' }, { stateDir: '/a' }],
    ["Multus's cniDir for stateDir", { cniDir: '/b' }, { stateDir: '/b' }],
    ['stateDir before cniDir', { stateDir: '/a', cniDir: '/b' }, { stateDir: '/a' }],
    ['confDir for both searches', { confDir: '/c' }, { confDirs: ['/c'], autoConfDir: '/c' }],
    [
      'multusAutoconfigDir before confDir',
      { confDir: '/c', multusAutoconfigDir: '/d' },
      { confDirs: ['/c'], autoConfDir: '/d' },
    ],
    ['binDir split, empty parts dropped', { binDir: '/a::/b:' }, { binDirs: ['/a', '/b'] }],
    ['clusterNetwork for defaultNetwork', { clusterNetwork: 'x' }, { defaultNetwork: 'x' }],
    [
      'defaultNetwork before clusterNetwork',
      { defaultNetwork: 'y', clusterNetwork: 'x' },
      { defaultNetwork: 'y' },
    ],
    [
      'globalNamespaces split and trimmed',
      { globalNamespaces: ' a, b ,,c' },
      { globalNamespaces: ['a', 'b', 'c'] },
    ],
    [
      'an empty text as absent',
      { kubeconfig: '', logFile: '', readinessindicatorfile: '' },
      { kubeconfig: undefined, logFile: undefined, readinessIndicatorFile: undefined },
    ],
    [
      'an empty list as it is',
      { systemNamespaces: [], allowedPluginTypes: [] },
      { systemNamespaces: [], allowedPluginTypes: [] },
    ],
    [
      'a flag that is false',
      { logToStderr: false, strictCapabilities: false },
      { logToStderr: false, strictCapabilities: false },
    ],
    [
      'seconds as milliseconds',
      { addTimeout: 1.5, lockTimeout: 0.001 },
      { addTimeoutMs: 1500, lockTimeoutMs: 1 },
    ],
    ['prevResult null as absent', { prevResult: null }, { prevResult: undefined }],
    ['readinessindicatorfile', { readinessindicatorfile: '/r' }, { readinessIndicatorFile: '/r' }],
    ['auxiliaryCNIChainName', { auxiliaryCNIChainName: 'aux' }, { auxiliaryChain: 'aux' }],
    ['calledByRuntime', { calledByRuntime: ['istio-cni'] }, { calledByRuntime: ['istio-cni'] }],
    ['verbose as info', { logLevel: 'verbose' }, { logLevel: 'info' }],
    ['panic as silence', { logLevel: 'panic' }, { logLevel: 'silent' }],
  ]
  for (const [title, keys, expected] of read) {
    it(`reads ${title}`, () => {
      const conf = parse(keys)
      const names = Object.keys(expected) as (keyof NetConf)[]
      assert.equal(Object.fromEntries(names.map((name) => [name, conf[name]])), expected)
    })
  }

  it("CNI-030 keeps of the runtime's runtimeConfig only what the conf declares", () => {
    const runtimeConfig = { portMappings: [], bandwidth: {}, ips: null, mac: 'x' }
    const capabilities = { portMappings: true, bandwidth: false, ips: true }
    assert.equal(parse({ runtimeConfig, capabilities }).runtimeConfig, { portMappings: [] })
    assert.equal(parse({ runtimeConfig }).runtimeConfig, {})
  })

  it('CNI-031 an unknown key is warned of with the one that was probably meant, and does no harm', () => {
    const { warnings } = parse({ defaultNetwrok: 'x', somethingElse: 1 })
    assert.equal(warnings, [
      'net-conf: unknown key "defaultNetwrok"; did you mean "defaultNetwork"?',
      'net-conf: unknown key "somethingElse"',
    ])
  })

  it("the runtime's and a list's own keys are not warned of", () => {
    const keys = {
      'cni.dev/valid-attachments': [],
      cniVersions: ['1.0.0'],
      disableCheck: true,
      disableGC: true,
      loadOnlyInlinedPlugins: true,
    }
    assert.equal(parse(keys).warnings, [])
  })

  it('all faults come in one error, each with its pointer', () => {
    const error = thrownBy(() =>
      parse({ stateDir: 'relative', delegates: [1], logLevel: 'loud', addTimeout: 0, parallel: 'yes' }),
    )
    assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
    assert.match(error.message, '(and 4 more)')
    for (const pointer of ['/stateDir', '/delegates/0', '/logLevel', '/addTimeout', '/parallel']) {
      assert.is(error.faults.filter((fault) => fault.startsWith(`net-conf ${pointer} `)).length, 1, pointer)
    }
    assert.match(error.faults.join('\n'), '"panic", "error", "warn"')
  })

  const refused: readonly (readonly [string, JsonObject])[] = [
    ['no type', { type: undefined }],
    ['an empty defaultNetwork', { defaultNetwork: '' }],
    ['delAttempts 0', { delAttempts: 0 }],
    ['a fraction of delAttempts', { delAttempts: 1.5 }],
    ['maxOutputBytes below 1024', { maxOutputBytes: 1023 }],
    ['a capability that is no boolean', { capabilities: { ips: 'true' } }],
    ['delegates that is an object', { delegates: {} }],
    ['a timeout of more than an hour', { delegateTimeout: 3601 }],
    ['prevResult as list', { prevResult: [] }],
    ['an unknown result', { result: 'all' }],
  ]
  for (const [title, keys] of refused) {
    it(`refuses ${title}`, () => {
      const conf = { type: 'plexus', name: 'n', ...keys }
      // A conf that came as JSON has no undefined in it.
      const error = thrownBy(() => parseNetConf(JSON.parse(JSON.stringify(conf))))
      assert.is(error.code, CniErrorCode.InvalidNetworkConfig)
      assert.ok(error.faults.length > 0)
    })
  }

  it('every default passes the schema', () => {
    const { confDirs, ...defaults } = NET_CONF_DEFAULTS
    for (const confDir of confDirs) assert.equal(parse({ ...defaults, confDir }).warnings, [])
  })

  it('every key of the schema has a description that ends as a sentence', () => {
    for (const [key, { description }] of Object.entries(netConfSchema.properties)) {
      assert.match(description, /^[A-Z].*\.$/, key)
    }
  })

  it('a number that a double cannot hold is no crash', () => {
    assert.ok(faultsOf({ delAttempts: JSON.rawJSON('99999999999999999999') }).length > 0)
  })
})
