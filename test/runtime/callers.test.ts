import * as assert from 'uvu/assert'
import { assertDone, ipsOf } from '../plugin/stub-node.ts'
import { eventually, type Installation, installDaemon } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import type { PlexusCall } from '../rig/plexus.ts'
import { debianPlugins } from '../rig/plugin-dirs.ts'
import { journalFiles, leases } from '../rig/state-files.ts'
import { type TestNode, testNode } from '../rig/test-node.ts'
import { spec } from '../spec.ts'

const PORTS = [{ hostPort: 18080, containerPort: 80, protocol: 'tcp', hostIP: '' }]

/** A node whose default network has host ports, and an extra network `data`. */
async function nodeFor(
  overrides: object,
): Promise<{ node: TestNode; installation: Installation; conf: object }> {
  const node = await testNode()
  const { cniVersion: _, name: __, ...bridge } = node.bridge(90, { isDefaultGateway: true })
  const portmap = { type: 'portmap', capabilities: { portMappings: true } }
  node.write(nad({ name: 'data', config: node.bridge(91) }))
  const conf = node.conf({
    delegates: [{ cniVersion: '1.0.0', name: 'default-net', plugins: [bridge, portmap] }],
    ...overrides,
  })
  return { node, installation: installDaemon(node), conf }
}

spec('callers that are no containerd', (it) => {
  // Source: cri-o/ocicni, pkg/ocicni/ocicni.go (buildCNIRuntimeConf, checkNetwork, GC). CNI_ARGS in this order, the annotations as runtimeConfig (host ports are CRI-O's own
  // work), CHECK right after ADD with the cached result, GC with all pods, STATUS whenever the kubelet asks.
  it("CRI-O's: ADD, CHECK at once, STATUS, GC and DEL", async () => {
    const annotations = { 'k8s.v1.cni.cncf.io/networks': 'data', 'kubernetes.io/config.seen': 'x' }
    const { node, installation, conf } = await nodeFor({
      cniVersion: '1.1.0',
      result: 'default-network',
      capabilities: { portMappings: true, 'io.kubernetes.cri.pod-annotations': true },
    })
    const daemon = await installation.start()
    const pod = await node.pod({ networks: 'data' })
    const call = (keys: object = {}): PlexusCall => ({
      executable: installation.shim,
      args: [
        'IgnoreUnknown=1',
        'K8S_POD_NAMESPACE=default',
        'K8S_POD_NAME=pod-a',
        `K8S_POD_INFRA_CONTAINER_ID=${pod.containerId}`,
        'K8S_POD_UID=uid-pod-a',
      ].join(';'),
      path: ['/opt/cni/bin', debianPlugins()],
      conf: { ...conf, ...keys },
    })
    const runtimeConfig = { 'io.kubernetes.cri.pod-annotations': annotations }
    assertDone(await pod.run('STATUS', call()))
    const added = await pod.run('ADD', call({ runtimeConfig }))
    assert.is(added.status, 0, added.stdout)
    // CRI-O takes every address of the result for the pod's.
    assert.is(ipsOf(added).length, 1)
    assert.equal(
      (await pod.netns.links()).map(({ ifname }) => ifname),
      ['lo', 'eth0', 'net1'],
    )
    const prevResult = added.json
    assertDone(await pod.run('CHECK', call({ runtimeConfig, prevResult })))
    const valid = [{ containerID: pod.containerId, ifname: 'eth0' }]
    assertDone(await pod.run('GC', { ...call({ 'cni.dev/valid-attachments': valid }), args: '' }))
    assertDone(await pod.run('CHECK', call({ runtimeConfig, prevResult })))
    assertDone(await pod.run('DEL', call({ runtimeConfig, prevResult })))
    assertDone(await pod.run('DEL', { ...call({ runtimeConfig }), netns: '' }))
    assert.equal(leases(node.leaseDir), [])
    // A daemon removes a record after its answer.
    await eventually(() => assert.equal(journalFiles(node.stateDir), []))
    await daemon.stop()
  })

  // Source: containers/common, libnetwork/cni/run.go (getRuntimeConfig). The container's name, which Kubernetes would not allow, and no
  // namespace; an address and a MAC in CNI_ARGS; a list of 0.4.0.
  it("podman's: a name without a namespace is no pod of Kubernetes", async () => {
    const { node, installation, conf } = await nodeFor({
      cniVersion: '0.4.0',
      capabilities: { portMappings: true },
    })
    const daemon = await installation.start()
    const pod = await node.pod({ name: 'elsewhere' })
    const call: PlexusCall = {
      executable: installation.shim,
      args: 'IgnoreUnknown=1;K8S_POD_NAME=Web_1;MAC=02:00:00:00:00:44;IP=10.90.0.44',
      path: ['/usr/local/libexec/cni', debianPlugins()],
      conf: { ...conf, runtimeConfig: { portMappings: PORTS } },
    }
    const added = await pod.run('ADD', call)
    assert.is(added.status, 0, added.stdout)
    assert.is(added.json?.cniVersion, '0.4.0')
    const link = (await pod.netns.links()).find(({ ifname }) => ifname === 'eth0')
    assert.is(link?.addr_info.find(({ family }) => family === 'inet')?.local, '10.90.0.44')
    assert.is(link?.address, '02:00:00:00:00:44')
    assertDone(await pod.run('DEL', call))
    assert.equal(leases(node.leaseDir), [])
    await daemon.stop()
  })

  // Source: apache/mesos, src/slave/containerizer/mesos/isolators/network/cni/cni.cpp (attach, detach). Five variables and PATH, no CNI_ARGS; what it knows of the container is
  // in the net-conf's `args`; it reads `ip4` of the result. Containers in containers have ids with a dot.
  it("Mesos's: no CNI_ARGS, metadata in the net-conf, a result of 0.2.0", async () => {
    const { node, installation, conf } = await nodeFor({ cniVersion: '0.2.0' })
    const daemon = await installation.start()
    const pod = await node.pod()
    const networkInfo = {
      name: 'plexus-net',
      labels: { labels: [{ key: 'app', value: 'db' }] },
      port_mappings: [{ host_port: 31000, container_port: 80, protocol: 'tcp' }],
    }
    const call: PlexusCall = {
      executable: installation.shim,
      containerId: '2a3b8e1c-4f0e-4e57-a9c4-0f6a9d1b7c55.9d1b7c55-0000-4e57-a9c4-2a3b8e1c4f0e',
      env: { CNI_ARGS: undefined },
      path: [debianPlugins()],
      conf: { ...conf, args: { 'org.apache.mesos': { network_info: networkInfo } } },
    }
    const added = await pod.run('ADD', call)
    assert.is(added.status, 0, added.stdout)
    assert.is((added.json?.ip4 as { ip: string } | undefined)?.ip, '10.90.0.2/24')
    assertDone(await pod.run('DEL', call))
    assert.equal(leases(node.leaseDir), [])
    await daemon.stop()
  })

  // Source: cloudfoundry/cf-networking-release, src/code.cloudfoundry.org/garden-external-networker, cni/cni_controller.go
  // and manager/manager.go; the list: cloudfoundry/silk-release, jobs/silk-cni/templates/cni-wrapper-plugin.conflist.erb.
  // A list of 0.3.1; the handle of Garden as container, `eth0`, an empty CNI_ARGS. Each plugin gets `metadata`, and a
  // runtimeConfig that it never declared, with keys of Garden's own; DEL has neither. Of the result the first IPv4
  // address and its interface are read.
  it("Cloud Foundry's: metadata and an undeclared runtimeConfig at ADD, neither at DEL", async () => {
    const { node, installation } = await nodeFor({})
    const { cniVersion: _, name: __, ...bridge } = node.bridge(90, { isDefaultGateway: true })
    const conf = node.conf({
      cniVersion: '0.3.1',
      name: 'cni-wrapper',
      delegates: [{ cniVersion: '0.3.1', name: 'silk', plugins: [bridge] }],
    })
    const daemon = await installation.start()
    const pod = await node.pod({ name: 'elsewhere' })
    const metadata = {
      ...{ app_id: 'd5bbc5ed-886a-44e6-945d-67df1013fa16', space_id: 'space', org_id: 'org' },
      ...{ policy_group_id: 'd5bbc5ed-886a-44e6-945d-67df1013fa16', ports: '8080,2222' },
    }
    const runtimeConfig = {
      portMappings: [{ host_port: 61012, container_port: 8080 }],
      netOutRules: [{ networks: [{ start: '10.0.0.0', end: '10.0.0.255' }], log: false }],
    }
    const call: PlexusCall = {
      executable: installation.shim,
      containerId: 'c0f7a5c3-1f0d-4c52-6d4a-9e3b',
      args: '',
      path: [debianPlugins()],
      conf,
    }
    const added = await pod.run('ADD', { ...call, conf: { ...conf, metadata, runtimeConfig } })
    assert.is(added.status, 0, added.stdout)
    const { cniVersion, interfaces, ips } = added.json as {
      cniVersion: string
      interfaces: { name: string }[]
      ips: { version: string; address: string; interface: number }[]
    }
    assert.is(cniVersion, '0.3.1')
    const first = ips.find(({ version }) => version === '4')
    assert.is(first?.address, '10.90.0.2/24')
    assert.is(interfaces[first?.interface ?? -1]?.name, 'eth0')
    assertDone(await pod.run('DEL', call))
    assertDone(await pod.run('DEL', call))
    assert.equal(leases(node.leaseDir), [])
    // A daemon removes a record after its answer.
    await eventually(() => assert.equal(journalFiles(node.stateDir), []))
    await daemon.stop()
  })
})
