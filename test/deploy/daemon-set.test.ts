import { dirname } from 'node:path'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { packageVersion } from '../../src/cli/installation.ts'
import { isJsonObject, type JsonObject } from '../../src/cni/json.ts'
import { type DaemonConf, parseDaemonConf } from '../../src/config/daemon-conf.ts'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { type DeployedObject, deployedObjects, overlays, withComponent } from '../rig/deployment.ts'
import { spec } from '../spec.ts'

/** Where a distribution's runtime looks, as its documents say. */
const PLACES: Readonly<Record<string, { readonly bin: string; readonly conf: string }>> = {
  'deploy/base': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/aks': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/bottlerocket': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/eks': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/gke': { bin: '/home/kubernetes/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/k3s': {
    bin: '/var/lib/rancher/k3s/data/cni',
    conf: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
  },
  'deploy/overlays/kubeadm': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/microk8s': {
    bin: '/var/snap/microk8s/current/opt/cni/bin',
    conf: '/var/snap/microk8s/current/args/cni-network',
  },
  'deploy/overlays/openshift': { bin: '/var/lib/cni/bin', conf: '/etc/kubernetes/cni/net.d' },
  'deploy/overlays/rke2': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
  'deploy/overlays/talos': { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' },
}
const FOLDERS = Object.keys(PLACES)
const REPLACE_MULTUS = 'deploy/components/replace-multus'
const AGENT = 'deploy/components/agent'
const OBJECTS = new Map([...FOLDERS, AGENT].map((folder) => [folder, deployedObjects(folder)]))

function deployedObject(kind: string, folder: string): DeployedObject {
  const objects = OBJECTS.get(folder) ?? deployedObjects(folder)
  const object = objects.find((one) => one.kind === kind)
  assert.ok(object !== undefined, `${folder} has no ${kind}`)
  return object
}

// biome-ignore lint/suspicious/noExplicitAny: the spec of a pod, looked at by tests.
type PodSpec = any

function podOf(folder: string): PodSpec {
  return deployedObject('DaemonSet', folder).spec.template.spec
}

// biome-ignore lint/suspicious/noExplicitAny: as above.
function containersOf(pod: PodSpec): any[] {
  return [...pod.initContainers, ...pod.containers]
}

function daemonConfOf(folder: string): { readonly text: JsonObject; readonly conf: DaemonConf } {
  const text: unknown = parse(deployedObject('ConfigMap', folder).data['daemon.yaml'])
  assert.ok(isJsonObject(text))
  return { text, conf: parseDaemonConf(text) }
}

/** The folder of the node that shows at a path of a container. */
function hostPathAt(pod: PodSpec, container: string, path: string): string | undefined {
  const { volumeMounts } = containersOf(pod).find(({ name }) => name === container)
  for (let folder = path; folder !== '/'; folder = dirname(folder)) {
    const mount = volumeMounts.find(({ mountPath }: { mountPath: string }) => mountPath === folder)
    if (mount === undefined) continue
    const volume = pod.volumes.find(({ name }: { name: string }) => name === mount.name)
    return `${String(volume.hostPath?.path)}${path.slice(folder.length)}`
  }
  return undefined
}

spec('the DaemonSet of deploy/ and of each overlay', (it) => {
  it('every overlay is known here, and each is a base that keeps the definition of networks', () => {
    assert.equal(['deploy/base', ...overlays()], FOLDERS)
    for (const folder of FOLDERS) {
      const kinds = (OBJECTS.get(folder) ?? []).map(({ kind }) => kind)
      assert.equal(
        kinds.filter((kind) => kind !== 'SecurityContextConstraints'),
        ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'ConfigMap', 'DaemonSet'],
        folder,
      )
    }
  })

  it("the daemon's configuration is right and warned of by nothing, and names the runtime's folder", () => {
    for (const folder of FOLDERS) {
      const { conf } = daemonConfOf(folder)
      const { conf: confDir } = PLACES[folder] ?? {}
      assert.equal(conf.warnings, [], folder)
      assert.is(conf.conflist?.folder, confDir, folder)
      const netConf = parseNetConf({ type: 'plexus', ...conf.netConf })
      assert.is(netConf.autoConfDir, confDir, folder)
      assert.is(netConf.result, folder.endsWith('openshift') ? 'default-network' : 'merged', folder)
    }
  })

  it("every path of the configuration and of the arguments is the node's own, mounted under that name", () => {
    for (const folder of FOLDERS) {
      const pod = podOf(folder)
      const { bin = '' } = PLACES[folder] ?? {}
      const { conf } = daemonConfOf(folder)
      const { stateDir, devInfoDir, podResourcesSocket } = parseNetConf({ type: 'plexus', ...conf.netConf })
      const paths = [conf.socket, conf.conflist?.folder ?? '', stateDir, devInfoDir, podResourcesSocket]
      for (const path of paths) assert.is(hostPathAt(pod, 'daemon', path), path, folder)
      for (const name of ['install', 'keep-shim']) {
        const { args } = containersOf(pod).find((container) => container.name === name)
        assert.equal(args.slice(0, 3), ['install', '--bin-dir', bin], folder)
        assert.is(hostPathAt(pod, name, bin), bin, folder)
      }
    }
  })

  it('installing touches the folder of plugins and nothing else of the node', () => {
    for (const folder of FOLDERS) {
      for (const { name, volumeMounts } of containersOf(podOf(folder))) {
        if (name === 'daemon') continue
        const writable = volumeMounts.filter(({ readOnly }: { readOnly?: boolean }) => readOnly !== true)
        assert.equal(writable, [{ name: 'bin', mountPath: PLACES[folder]?.bin }], folder)
        assert.is(volumeMounts.length, name === 'install' ? 1 : 2, folder)
      }
      const writable = podOf(folder)
        .containers[0].volumeMounts.filter(({ readOnly }: { readOnly?: boolean }) => readOnly !== true)
        .map((mount: { name: string }) => mount.name)
      assert.equal(writable, ['conf', 'run', 'state', 'devinfo'], folder)
    }
  })

  it('no privilege beyond root, the network of the node and its folders', () => {
    for (const folder of FOLDERS) {
      const pod = podOf(folder)
      assert.is(pod.hostNetwork, true)
      for (const key of ['hostPID', 'hostIPC', 'shareProcessNamespace']) assert.is(pod[key], undefined, key)
      const { seLinuxOptions: _, ...securityContext } = pod.securityContext
      assert.equal(securityContext, {
        runAsUser: 0,
        runAsGroup: 0,
        seccompProfile: { type: 'RuntimeDefault' },
      })
      for (const { securityContext: its, name } of containersOf(pod)) {
        assert.equal(
          its,
          {
            privileged: false,
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          `${folder} ${name}`,
        )
      }
    }
  })

  it('what is mounted of the cluster is for root alone to read, and the token lasts an hour', () => {
    for (const folder of FOLDERS) {
      const pod = podOf(folder)
      assert.is(pod.automountServiceAccountToken, false)
      const { config, token } = Object.fromEntries(
        pod.volumes.map(({ name, ...volume }: { name: string }) => [name, volume]),
      ) as Record<string, PodSpec>
      assert.is(config.configMap.defaultMode, 0o400)
      assert.is(config.configMap.name, deployedObject('ConfigMap', folder).metadata.name)
      assert.is(token.projected.defaultMode, 0o400)
      assert.equal(token.projected.sources[0], {
        serviceAccountToken: { path: 'token', expirationSeconds: 3600 },
      })
      assert.is(token.projected.sources[1].configMap.name, 'kube-root-ca.crt')
      const holders = containersOf(pod).filter(({ volumeMounts }) =>
        volumeMounts.some(({ name }: { name: string }) => name === 'token'),
      )
      assert.equal(
        holders.map(({ name }) => name),
        ['daemon'],
      )
      for (const { hostPath } of pod.volumes)
        if (hostPath !== undefined) assert.is(hostPath.type, 'DirectoryOrCreate', hostPath.path)
    }
  })

  it('a node always has one that serves, on every node of Linux, with what it needs set aside', () => {
    for (const folder of FOLDERS) {
      const { spec: set } = deployedObject('DaemonSet', folder)
      const pod = podOf(folder)
      assert.equal(set.updateStrategy, {
        type: 'RollingUpdate',
        rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
      })
      assert.equal(set.selector.matchLabels, set.template.metadata.labels)
      assert.is(pod.priorityClassName, 'system-node-critical')
      assert.equal(pod.nodeSelector, { 'kubernetes.io/os': 'linux' })
      assert.equal(pod.tolerations, [{ operator: 'Exists' }])
      for (const { resources, ports, name } of containersOf(pod)) {
        assert.equal(resources.requests, resources.limits, name)
        assert.equal(Object.keys(resources.limits), ['cpu', 'memory'], name)
        // With a port the scheduler would not put the new daemon beside the old one.
        assert.is(ports, undefined, name)
      }
      const { conf } = daemonConfOf(folder)
      assert.ok(pod.terminationGracePeriodSeconds * 1000 > conf.drainTimeoutMs)
    }
  })

  it('its probes ask where the daemon answers', () => {
    for (const folder of FOLDERS) {
      const { startupProbe, livenessProbe, readinessProbe } = podOf(folder).containers[0]
      const { metricsAddress } = daemonConfOf(folder).conf
      for (const [probe, path] of [
        [startupProbe, '/healthz'],
        [livenessProbe, '/healthz'],
        [readinessProbe, '/readyz'],
      ])
        assert.equal(probe.httpGet, { ...metricsAddress, path }, folder)
    }
  })

  it('all images are the one of this release', () => {
    const sets: DeployedObject[] = [
      ...FOLDERS.map((folder) => deployedObject('DaemonSet', folder)),
      deployedObject('DaemonSet', AGENT),
    ]
    for (const { spec: set } of sets) {
      const { initContainers = [], containers } = set.template.spec
      for (const { image } of [...initContainers, ...containers])
        assert.is(image, `localhost/plexus:${packageVersion()}`)
    }
  })

  it('the agent sees the whole node, and stands in no overlay by itself', () => {
    const pod = deployedObject('DaemonSet', AGENT).spec.template.spec
    assert.equal(pod.volumes, [{ name: 'root', hostPath: { path: '/', type: 'Directory' } }])
    const [{ command, volumeMounts }] = pod.containers
    assert.equal(volumeMounts, [{ name: 'root', mountPath: '/host', mountPropagation: 'HostToContainer' }])
    assert.equal(command, [`/host${PLACES['deploy/base']?.bin}/plexus`, '--agent', '/host'])
  })

  it('what replaces Multus does so in keep-shim, which sees Multus’s files, the pods’ namespaces and the daemon', () => {
    for (const overlay of ['kubeadm', 'k3s', 'talos']) {
      const pod = deployedObject('DaemonSet', withComponent(`deploy/overlays/${overlay}`, REPLACE_MULTUS))
        .spec.template.spec
      const keeper = pod.containers[1]
      assert.equal(keeper.args.filter((word: string) => word === '--replace-multus').length, 1)
      assert.equal(keeper.securityContext.capabilities, { drop: ['ALL'] })
      const { conf = '' } = PLACES[`deploy/overlays/${overlay}`] ?? {}
      const seen = [
        ...[['/etc/cni/net.d', conf], ['/run/plexus'], ['/run/netns'], ['/var/run/netns', '/run/netns']],
        ...[['/var/lib/cni/plexus'], ['/var/lib/cni/multus'], ['/var/lib/cni/results']],
      ]
      for (const [path = '', host = path] of seen) assert.is(hostPathAt(pod, 'keep-shim', path), host)
      const mounts = keeper.volumeMounts as { name: string; readOnly?: boolean; mountPropagation?: string }[]
      for (const { name, readOnly = false, mountPropagation } of mounts)
        assert.equal(
          [readOnly, mountPropagation],
          name === 'netns' ? [true, 'HostToContainer'] : [false, undefined],
        )
    }
  })
})
