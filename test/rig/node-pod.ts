import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Containerd } from './containerd.ts'
import type { KubeApiserver } from './kube-apiserver.ts'
import { tempDir } from './temp-dir.ts'

// biome-ignore lint/suspicious/noExplicitAny: parts of manifests and answers of the runtime.
type Parsed = any

/** A node as far as a pod of it has to do with it. */
export interface PodNode {
  readonly containerd: Containerd
  readonly api: KubeApiserver
  /** Where the node reaches the API server on loopback. */
  readonly apiPort: number
  readonly nodeName: string
}

/** A pod that runs as its manifest says. */
export interface NodePod {
  /** Waits until every probe of the kubelet is answered well. */
  ready(): Promise<void>
  /** What a container has printed. */
  log(container: string): string
  /** The folder in /proc of a container's process. */
  procOf(container: string): Promise<string>
  /** Ends it as the kubelet does; gives the exit code of each container. */
  stop(): Promise<Record<string, number>>
}

/** What the kubelet hides of /proc and /sys in every container that asks for nothing else. */
const MASKED = [
  ...[
    'acpi',
    'asound',
    'kcore',
    'keys',
    'latency_stats',
    'sched_debug',
    'scsi',
    'timer_list',
    'timer_stats',
  ].map((name) => `/proc/${name}`),
  '/sys/firmware',
]
const READ_ONLY = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`)
const PERIOD_US = 100_000
/** Of a pod with `system-node-critical`. */
const OOM_SCORE = -997
/** Asks as the kubelet does, for whom any answer from 200 to 399 is a good one. */
const PROBE = `const [url, limitMs] = process.argv.slice(1)
fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(Number(limitMs)) }).then(async ({ status }) => {
  if (status < 200 || status >= 400) throw new Error(String(status))
})`
/** For an init container that is slow by its limits, on a machine that is busy. */
const LONGEST_MS = 240_000

/**
 * Starts a pod by a template, through the runtime's own interface, as the kubelet does: folders of the node, files of
 * the cluster, init containers one after the other, then the rest. What the template says and this does not do is
 * refused, so that nothing is left out unnoticed.
 */
export async function startNodePod(
  node: PodNode,
  { metadata, spec }: { readonly metadata: Parsed; readonly spec: Parsed },
  name: string,
): Promise<NodePod> {
  const { containerd } = node
  const { cri, enclosure } = containerd
  only(spec, 'pod', {
    ...{
      serviceAccountName: undefined,
      initContainers: undefined,
      containers: undefined,
      volumes: undefined,
    },
    ...{ securityContext: undefined, terminationGracePeriodSeconds: undefined },
    // For the scheduler, which has put it here.
    ...{ tolerations: [{ operator: 'Exists' }], nodeSelector: { 'kubernetes.io/os': 'linux' } },
    // What follows from them is done below.
    ...{ priorityClassName: 'system-node-critical', automountServiceAccountToken: false, hostNetwork: true },
    ...{ dnsPolicy: 'Default', enableServiceLinks: false },
  })
  only(spec.securityContext, 'pod.securityContext', {
    ...{ runAsUser: undefined, runAsGroup: undefined, seccompProfile: { type: 'RuntimeDefault' } },
  })
  const { runAsUser, runAsGroup } = spec.securityContext
  const identity = {
    namespace_options: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' },
    run_as_user: { value: runAsUser },
    run_as_group: { value: runAsGroup },
    seccomp: { profile_type: 'RuntimeDefault' },
  }
  const logs = tempDir('logs')
  const sandbox = {
    metadata: { name, namespace: 'kube-system', uid: `uid-${name}`, attempt: 0 },
    log_directory: logs,
    annotations: metadata.annotations ?? {},
    linux: { cgroup_parent: `/${enclosure.cgroup}`, security_context: identity },
  }
  const folders = await volumeFolders(node, spec)
  const configs = new Map(
    [...spec.initContainers, ...spec.containers].map((container: Parsed) => [
      container.name,
      containerConfig(container, folders, identity, node),
    ]),
  )
  const { pod_sandbox_id: id } = await cri.call('RunPodSandbox', { config: sandbox })

  const start = async ({ name: container }: Parsed): Promise<string> => {
    const config = configs.get(container)
    const request = { pod_sandbox_id: id, config, sandbox_config: sandbox }
    const { container_id } = await cri.call('CreateContainer', request)
    await cri.call('StartContainer', { container_id })
    return container_id
  }
  const log = (container: string): string => readFileSync(join(logs, `${container}.log`), 'utf8')
  const statusOf = async (container_id: string): Promise<{ state: string; exit_code: number }> =>
    (await cri.call('ContainerStatus', { container_id })).status
  const exitCode = async (container: string, containerId: string): Promise<number> => {
    for (const end = Date.now() + LONGEST_MS; Date.now() < end; await delay(50)) {
      const { state, exit_code } = await statusOf(containerId)
      if (state === 'CONTAINER_EXITED') return exit_code
    }
    throw new Error(`${container} does not end: ${log(container)}`)
  }

  for (const container of spec.initContainers) {
    const status = await exitCode(container.name, await start(container))
    if (status !== 0) throw new Error(`${container.name} ended with ${status}: ${log(container.name)}`)
  }
  const running = new Map<string, string>()
  for (const container of spec.containers) running.set(container.name, await start(container))
  const idOf = (container: string): string => running.get(container) ?? 'unknown'

  const assertRunning = async (container: string): Promise<void> => {
    const { state, exit_code } = await statusOf(idOf(container))
    if (state === 'CONTAINER_RUNNING') return
    throw new Error(`${container} is ${state} with ${exit_code}: ${log(container)}`)
  }
  /** Whether a probe succeeds in as many tries as it may fail, or as many as are given. */
  const probe = async (container: Parsed, name: string, tries?: number): Promise<void> => {
    const { httpGet, periodSeconds, timeoutSeconds, failureThreshold } = container[name]
    only(container[name], name, {
      ...{ httpGet: undefined, periodSeconds: undefined },
      ...{ timeoutSeconds: undefined, failureThreshold: undefined },
    })
    only(httpGet, 'httpGet', { host: undefined, port: undefined, path: undefined })
    const url = `http://${httpGet.host}:${httpGet.port}${httpGet.path}`
    for (let left = tries ?? failureThreshold; ; left--) {
      try {
        await enclosure.run(process.execPath, ['-e', PROBE, url, String(timeoutSeconds * 1000)])
        return
      } catch (error) {
        await assertRunning(container.name)
        if (left <= 1)
          throw new Error(`${name} of ${container.name}: ${String(error)}: ${log(container.name)}`)
      }
      await delay(periodSeconds * 1000)
    }
  }

  const procOf = async (container: string): Promise<string> => {
    const { info } = await cri.call('ContainerStatus', { container_id: idOf(container), verbose: true })
    const { pid } = JSON.parse(info.info) as { pid: number }
    return join(enclosure.root, 'proc', String(pid))
  }
  /** What SIGTERM does to the first process of a container before that listens is nothing. Ours listen before they log. */
  const untilStarted = async (container: string): Promise<void> => {
    for (const end = Date.now() + LONGEST_MS; log(container) === ''; await delay(100))
      if (Date.now() > end) throw new Error(`${container} says nothing`)
  }

  return {
    log,
    procOf,
    async ready() {
      for (const container of spec.containers) {
        await assertRunning(container.name)
        if (container.startupProbe !== undefined) await probe(container, 'startupProbe')
        // Until it is, a rollout waits, for as long as it takes.
        if (container.readinessProbe !== undefined) await probe(container, 'readinessProbe', 36)
        // As often as the kubelet asks: a daemon that takes over is given the port at a moment of its own.
        if (container.livenessProbe !== undefined) await probe(container, 'livenessProbe')
      }
    },
    async stop() {
      const codes: Record<string, number> = {}
      const timeout = spec.terminationGracePeriodSeconds
      const end = async ([container, container_id]: readonly [string, string]): Promise<void> => {
        await assertRunning(container)
        await untilStarted(container)
        await cri.call('StopContainer', { container_id, timeout })
        codes[container] = await exitCode(container, container_id)
      }
      await Promise.all([...running].map(end))
      await containerd.remove(id)
      return codes
    },
  }
}

/** What the runtime is told of a container. */
function containerConfig(
  container: Parsed,
  folders: ReadonlyMap<string, string>,
  identity: object,
  { nodeName, apiPort }: PodNode,
): object {
  const { name, image, args, env = [], resources, securityContext, volumeMounts } = container
  only(container, name, {
    ...{ name, image, args, env: undefined, resources, securityContext, volumeMounts },
    // Whoever has no image is told so by the runtime: nothing is pulled here.
    imagePullPolicy: 'IfNotPresent',
    ...{ startupProbe: undefined, livenessProbe: undefined, readinessProbe: undefined },
  })
  only(resources, `${name}.resources`, { requests: undefined, limits: undefined })
  const { requests, limits } = resources
  for (const amounts of [requests, limits])
    only(amounts, `${name}.resources`, { cpu: undefined, memory: undefined })
  const { privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = securityContext
  only(securityContext, `${name}.securityContext`, {
    ...{ privileged, allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities },
  })
  only(capabilities, `${name}.capabilities`, { drop: undefined })
  const api = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(apiPort) }
  return {
    metadata: { name, attempt: 0 },
    image: { image },
    args,
    envs: [
      ...Object.entries(api).map(([key, value]) => ({ key, value })),
      ...env.map((variable: Parsed) => {
        only(variable, `${name}.env`, {
          name: undefined,
          valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } },
        })
        return { key: variable.name, value: nodeName }
      }),
    ],
    mounts: volumeMounts.map((mount: Parsed) => {
      only(mount, `${name}.volumeMounts`, { name: undefined, mountPath: undefined, readOnly: undefined })
      const host_path = folders.get(mount.name)
      if (host_path === undefined) throw new Error(`${name}: there is no volume ${mount.name}`)
      return { container_path: mount.mountPath, host_path, readonly: mount.readOnly === true }
    }),
    log_path: `${name}.log`,
    linux: {
      resources: {
        cpu_period: PERIOD_US,
        cpu_quota: (milliCpus(limits.cpu) * PERIOD_US) / 1000,
        cpu_shares: Math.floor((milliCpus(requests.cpu) * 1024) / 1000),
        memory_limit_in_bytes: bytes(limits.memory),
        oom_score_adj: OOM_SCORE,
      },
      security_context: {
        ...identity,
        privileged,
        capabilities: { drop_capabilities: capabilities.drop },
        readonly_rootfs: readOnlyRootFilesystem,
        no_new_privs: !allowPrivilegeEscalation,
        masked_paths: MASKED,
        readonly_paths: READ_ONLY,
      },
    },
  }
}

/** Makes a pod's volumes; where each is on the node. */
async function volumeFolders(node: PodNode, spec: Parsed): Promise<Map<string, string>> {
  const { containerd, api } = node
  const core = '/api/v1/namespaces/kube-system'
  const folders = new Map<string, string>()
  const fill = (dir: string, files: Record<string, string>, mode: number): void => {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content, { mode })
  }
  const configMap = async (name: string): Promise<Record<string, string>> =>
    (await api.ok('GET', `${core}/configmaps/${name}`)).data
  for (const { name, ...volume } of spec.volumes as Parsed[]) {
    const [kind = '', ...more] = Object.keys(volume)
    if (more.length > 0) throw new Error(`volume ${name} is of several kinds`)
    if (kind === 'hostPath') {
      only(volume.hostPath, name, { path: undefined, type: 'DirectoryOrCreate' })
      await containerd.enclosure.run('mkdir', ['-p', volume.hostPath.path])
      folders.set(name, volume.hostPath.path)
      continue
    }
    const dir = tempDir(`volume-${name}`)
    folders.set(name, dir)
    if (kind === 'configMap') {
      only(volume.configMap, name, { name: undefined, defaultMode: undefined })
      fill(dir, await configMap(volume.configMap.name), volume.configMap.defaultMode)
      continue
    }
    only(volume, name, { projected: undefined })
    only(volume.projected, name, { defaultMode: undefined, sources: undefined })
    const { defaultMode, sources } = volume.projected
    for (const { serviceAccountToken, configMap: map, ...other } of sources) {
      only(other, `${name}.sources`, {})
      if (serviceAccountToken !== undefined) {
        only(serviceAccountToken, name, { path: undefined, expirationSeconds: undefined })
        const { path, expirationSeconds } = serviceAccountToken
        const account = `${core}/serviceaccounts/${spec.serviceAccountName}/token`
        const request = {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { expirationSeconds },
        }
        const { status } = await api.ok('POST', account, request)
        fill(dir, { [path]: status.token }, defaultMode)
      }
      if (map === undefined) continue
      only(map, name, { name: undefined, items: undefined })
      const data = await configMap(map.name)
      for (const { key, path, ...rest } of map.items) {
        only(rest, `${name}.items`, {})
        const content = data[key]
        if (content === undefined) throw new Error(`ConfigMap ${map.name} has no ${key}`)
        fill(dir, { [path]: content }, defaultMode)
      }
    }
  }
  return folders
}

/** @throws Unless an object has only these keys, and each that has a value here has this one. */
function only(object: object, where: string, known: object): void {
  const more = Object.keys(object).filter((key) => !(key in known))
  if (more.length > 0) throw new Error(`${where}: nothing is made of ${more.join(', ')} here`)
  for (const [key, wanted] of Object.entries(known)) {
    const value = (object as Parsed)[key]
    if (wanted !== undefined && !isDeepStrictEqual(value, wanted))
      throw new Error(`${where}: ${key} is not ${JSON.stringify(wanted)}: ${JSON.stringify(value)}`)
  }
}

function milliCpus(text: string): number {
  const [, amount] = /^(\d+)m$/.exec(text) ?? []
  if (amount === undefined) throw new Error(`not so many thousandths of a processor: ${text}`)
  return Number(amount)
}

function bytes(text: string): number {
  const [, amount] = /^(\d+)Mi$/.exec(text) ?? []
  if (amount === undefined) throw new Error(`not so many mebibytes: ${text}`)
  return Number(amount) * 1024 * 1024
}
