import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A Kubernetes object as a manifest. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly uid?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [key: string]: unknown
}

/** What {@link pod} takes. */
export interface PodOptions {
  /** Default `pod-a`. */
  readonly name?: string
  /** Default `default`. */
  readonly namespace?: string
  /** Default `uid-<name>`; `null` leaves it out. */
  readonly uid?: string | null
  /** The networks annotation: text as it is, a list as JSON. */
  readonly networks?: string | readonly object[]
  /** The default-network annotation. */
  readonly defaultNetwork?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

/** A pod manifest. */
export function pod(options: PodOptions = {}): Manifest {
  const { name = 'pod-a', namespace = 'default', uid = `uid-${name}`, networks, defaultNetwork } = options
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      ...(uid === null ? {} : { uid }),
      ...(options.labels === undefined ? {} : { labels: options.labels }),
      annotations: {
        ...(networks === undefined
          ? {}
          : {
              'k8s.v1.cni.cncf.io/networks':
                typeof networks === 'string' ? networks : JSON.stringify(networks),
            }),
        ...(defaultNetwork === undefined ? {} : { 'v1.multus-cni.io/default-network': defaultNetwork }),
        ...options.annotations,
      },
    },
    spec: { containers: [{ name: 'main', image: 'example.com/none' }] },
  }
}

/** What {@link nad} takes. */
export interface NadOptions {
  readonly name: string
  /** Default `default`. */
  readonly namespace?: string
  /** `spec.config`: an object is printed as JSON, a text goes as it is; absent leaves the spec empty. */
  readonly config?: object | string
  readonly annotations?: Readonly<Record<string, string>>
}

/** A NetworkAttachmentDefinition manifest. */
export function nad({ name, namespace = 'default', config, annotations }: NadOptions): Manifest {
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: { name, namespace, ...(annotations === undefined ? {} : { annotations }) },
    spec:
      config === undefined ? {} : { config: typeof config === 'string' ? config : JSON.stringify(config) },
  }
}

/** CNI_ARGS as containerd sends them for this pod. */
export function podArgs({ metadata }: Manifest, containerId = 'sandbox'): string {
  return [
    'IgnoreUnknown=1',
    `K8S_POD_NAMESPACE=${metadata.namespace}`,
    `K8S_POD_NAME=${metadata.name}`,
    `K8S_POD_INFRA_CONTAINER_ID=${containerId}`,
    ...(metadata.uid === undefined ? [] : [`K8S_POD_UID=${metadata.uid}`]),
  ].join(';')
}

/**
 * Writes each object to `<dir>/<kind>-<namespace>-<name>.json`; an object written again is replaced.
 *
 * @returns The files' paths.
 */
export function writeManifests(dir: string, ...objects: readonly Manifest[]): string[] {
  mkdirSync(dir, { recursive: true })
  return objects.map((object) => {
    const { namespace, name } = object.metadata
    const file = join(dir, `${object.kind.toLowerCase()}-${namespace}-${name}.json`)
    writeFileSync(file, `${JSON.stringify(object, null, 2)}\n`)
    return file
  })
}
