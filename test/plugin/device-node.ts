import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isJsonObject } from '../../src/cni/json.ts'
import { type TestKubelet, testKubelet } from '../rig/kubelet.ts'
import { nad } from '../rig/manifests.ts'
import type { StubCall } from '../rig/stub.ts'
import { type StubNode, stubNode } from './stub-node.ts'

/** Resource of the NADs `vf-a` and `vf-b`. */
export const VF = 'intel.com/vf'

/** A stub node with a stand-in for the kubelet, and NADs whose devices that one allocates. */
export interface DeviceNode extends StubNode {
  readonly kubelet: TestKubelet
  /** Folder of device-info. */
  readonly devInfoDir: string
  /** Writes what the device plugin says of a device; gives the file's path. */
  writeDevice(id: string, text: string): string
}

/**
 * Makes a {@link DeviceNode}: plugin `alpha` makes `vf-a`, `beta` makes `vf-b`, and `gpu` is of another resource.
 *
 * @param kubelet Not started by this.
 */
export async function deviceNode(kubelet = testKubelet()): Promise<DeviceNode> {
  const node = await stubNode({ podResourcesSocket: kubelet.socket, podResourcesTimeout: 30 })
  const devInfoDir = join(dirname(node.stateDir), 'devinfo')
  const resource = (name: string) => ({ annotations: { 'k8s.v1.cni.cncf.io/resourceName': name } })
  const conf = (type: string) => ({ cniVersion: '1.0.0', type, capabilities: { deviceID: true } })
  node.write(
    nad({ name: 'vf-a', config: conf('alpha'), ...resource(VF) }),
    nad({ name: 'vf-b', config: conf('beta'), ...resource(VF) }),
    nad({ name: 'gpu', config: conf('alpha'), ...resource('nvidia.com/gpu') }),
  )
  const nodeConf = (more: object = {}): object => node.conf({ devInfoDir, ...more })
  return {
    ...node,
    kubelet,
    devInfoDir,
    conf: nodeConf,
    async pod(options = {}) {
      const pod = await node.pod(options)
      return {
        ...pod,
        run: (command, call = {}) => pod.run(command, { conf: nodeConf(), ...call }),
        start: (command, call = {}) => pod.start(command, { conf: nodeConf(), ...call }),
      }
    },
    writeDevice(id, text) {
      const folder = join(devInfoDir, 'dp')
      mkdirSync(folder, { recursive: true })
      const path = join(folder, `${VF.replace('/', '-')}-${id}-device.json`)
      writeFileSync(path, text)
      return path
    },
  }
}

/** What each ADD of a secondary network was given: its device on top and in runtimeConfig. */
export function devicesOf(calls: readonly StubCall[]): string[] {
  return calls
    .filter(({ command, ifName }) => command === 'ADD' && ifName !== 'eth0')
    .map(({ type, stdin }) => {
      const { deviceID, pciBusID, runtimeConfig } = stdin
      const declared = isJsonObject(runtimeConfig) ? runtimeConfig.deviceID : undefined
      const isSame = deviceID === pciBusID && deviceID === declared
      return `${type} ${isSame ? deviceID : JSON.stringify([deviceID, pciBusID, declared])}`
    })
}

/** Path of the device-info file that plugin `alpha` was given; waits until it has read its config. */
export async function givenInfoFile(node: StubNode): Promise<string> {
  const deadline = performance.now() + 10_000
  while (performance.now() < deadline) {
    const runtimeConfig = node.alpha.calls().at(-1)?.stdin.runtimeConfig
    const path = isJsonObject(runtimeConfig) ? runtimeConfig.CNIDeviceInfoFile : undefined
    if (typeof path === 'string') return path
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('the plugin was given no path')
}
