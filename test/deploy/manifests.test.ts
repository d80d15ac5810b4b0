import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { isJsonObject } from '../../src/cni/json.ts'
import { parseDaemonConf } from '../../src/config/daemon-conf.ts'
import { POD_KINDS } from '../../src/validation/pod-template.ts'
import { readDocument, sectionOf, tableRows } from '../docs/markdown.ts'
import { type DeployedObject, deployedObject, deployedObjects } from '../rig/deployment.ts'
import { ROOT } from '../rig/plexus.ts'
import { spec } from '../spec.ts'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
}

const RIGHTS = 'docs/access-rights.md'

/** `get pods`, one for each verb on each resource. */
function rightsOf(rules: readonly Rule[]): string[] {
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.map((verb) => `${verb} ${resource}${group === '' ? '' : `.${group}`}`),
        ),
      ),
    )
    .sort()
}

spec('deploy/', (it) => {
  it('has every file of its folders, nothing twice, and names namespaces itself', () => {
    const objects = deployedObjects()
    const ids = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`)
    assert.equal([...new Set(ids)], ids)
    assert.equal(ids.sort(), [
      'ClusterRole /plexus',
      'ClusterRoleBinding /plexus',
      'ConfigMap kube-system/plexus',
      'CustomResourceDefinition /network-attachment-definitions.k8s.cni.cncf.io',
      'DaemonSet kube-system/plexus',
      'ServiceAccount kube-system/plexus',
    ])
  })

  it('leaves the definition of networks out of the base: who deletes the base keeps the networks', () => {
    const kinds = deployedObjects('deploy/base').map(({ kind }) => kind)
    assert.not(kinds.includes('CustomResourceDefinition'))
  })

  it('binds the role to the service account, which hands its token to nobody who does not ask', () => {
    const binding = deployedObject('ClusterRoleBinding')
    const account = deployedObject('ServiceAccount')
    assert.is(binding.roleRef.name, deployedObject('ClusterRole').metadata.name)
    assert.equal(binding.subjects, [{ kind: 'ServiceAccount', ...pick(account.metadata) }])
    assert.is(account.automountServiceAccountToken, false)
  })

  it('grants no right by a wildcard, and each one has its row in the document', () => {
    const rules: readonly Rule[] = deployedObject('ClusterRole').rules
    const rights = rightsOf(rules)
    assert.is(
      rights.some((right) => right.includes('*')),
      false,
    )
    const rows = tableRows(sectionOf(readDocument(RIGHTS), 'Each right and its reason'), 'Right')
    const documented = rows.flatMap(({ Right = '' }) => {
      const [verbs = '', resource = ''] = [...Right.matchAll(/`([^`]+)`/g)].map((match) => match[1])
      return verbs.split(', ').map((verb) => `${verb} ${resource}`)
    })
    assert.equal(documented.sort(), rights)
  })

  it('has a configuration that the daemon takes without a warning, with its fences taken in as well', () => {
    const { data } = deployedObject('ConfigMap')
    assert.equal(Object.keys(data), ['daemon.yaml'])
    const text: string = data['daemon.yaml']
    // What stands there commented out is one line each, of the form "# key: value".
    const whole = text.replaceAll(/^# (?=[a-zA-Z]+: )/gm, '')
    const keys = [text, whole].map((yaml) => {
      const value: unknown = parse(yaml)
      assert.ok(isJsonObject(value))
      assert.equal(parseDaemonConf(value).warnings, [])
      return Object.keys(value)
    })
    assert.equal(keys[1]?.slice(keys[0]?.length), ['namespaceIsolation', 'allowedPluginTypes'])
  })
})

spec('deploy/webhook', (it) => {
  const objects = deployedObjects('deploy/webhook')
  const find = (kind: string): DeployedObject => {
    const found = objects.find((object) => object.kind === kind)
    if (found === undefined) throw new Error(`there is no ${kind}`)
    return found
  }

  it('has two replicas, one of which stays, behind the Service that the API server calls', () => {
    const { spec: deployment } = find('Deployment')
    const { labels } = deployment.template.metadata
    assert.is(deployment.replicas, 2)
    assert.equal(deployment.selector.matchLabels, labels)
    assert.equal(find('Service').spec.selector, labels)
    assert.equal(find('PodDisruptionBudget').spec, { minAvailable: 1, selector: { matchLabels: labels } })
    const [container] = deployment.template.spec.containers
    const [port] = find('Service').spec.ports
    assert.equal([port.port, port.targetPort], [443, container.ports[0].name])
    assert.match(
      readFileSync(`${ROOT}/src/cli/node-commands.ts`, 'utf8'),
      `default: ':${container.ports[0].containerPort}'`,
    )
  })

  it('mounts the certificate and the configuration where the program looks, neither in the other', () => {
    const { containers, volumes } = find('Deployment').spec.template.spec
    const [{ volumeMounts, args }] = containers
    assert.equal(
      volumeMounts.map(({ name, mountPath }: { name: string; mountPath: string }) => [name, mountPath]),
      [
        ['certificate', '/etc/plexus/webhook-certificate'],
        ['configuration', '/etc/plexus/daemon'],
      ],
    )
    assert.equal(args, ['webhook', '--config', '/etc/plexus/daemon/daemon.yaml'])
    assert.match(
      readFileSync(`${ROOT}/src/cli/node-commands.ts`, 'utf8'),
      "default: '/etc/plexus/webhook-certificate'",
    )
    assert.is(volumes[1].configMap.name, deployedObject('ConfigMap').metadata.name)
    assert.is(volumes[0].secret.secretName, find('Service').metadata.name)
  })

  it('has no right, in the cluster or on the node, that it does not need', () => {
    const { securityContext, containers, hostNetwork, volumes } = find('Deployment').spec.template.spec
    assert.equal([securityContext.runAsNonRoot, hostNetwork], [true, undefined])
    assert.equal(containers[0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    assert.is(
      volumes.some((volume: object) => 'hostPath' in volume),
      false,
    )
    const verbs = new Set(rightsOf(find('ClusterRole').rules).map((right) => right.split(' ')[0]))
    assert.equal([...verbs].sort(), ['get', 'list', 'watch'])
    assert.equal(find('ClusterRoleBinding').subjects, [
      { kind: 'ServiceAccount', ...pick(find('ServiceAccount').metadata) },
    ])
  })

  it('asks it in every way without side effects; only NADs and namespaces that want it wait for it', () => {
    const entries = objects.flatMap(({ kind, webhooks = [] }) =>
      webhooks.map((webhook: DeployedObject) => ({ ...webhook, kind })),
    )
    assert.is(entries.length, 5)
    for (const { kind, sideEffects, admissionReviewVersions, clientConfig, timeoutSeconds } of entries) {
      assert.equal([sideEffects, admissionReviewVersions], ['None', ['v1']])
      assert.ok(timeoutSeconds <= 5)
      const { name, namespace } = find('Service').metadata
      const path = kind === 'MutatingWebhookConfiguration' ? '/mutate' : '/validate'
      assert.equal(clientConfig.service, { name, namespace, path })
    }
    const strict = entries.filter(({ failurePolicy }) => failurePolicy === 'Fail').map(({ name }) => name)
    assert.equal(strict, [
      'networks.plexus-cni.io',
      'required.pods.plexus-cni.io',
      'required.pods.plexus-cni.io',
    ])
    const [networks] = entries
    assert.equal(
      networks.rules.map(({ resources }: { resources: string[] }) => resources),
      [['network-attachment-definitions']],
    )
    const label = { key: 'plexus-cni.io/admission', values: ['required'] }
    const kubeSystem = { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system'] }
    for (const { name, namespaceSelector } of entries.slice(1)) {
      const expressions = name.startsWith('required.')
        ? [{ ...label, operator: 'In' }, kubeSystem]
        : [{ ...label, operator: 'NotIn' }]
      assert.equal(sorted(namespaceSelector.matchExpressions), sorted(expressions))
    }
  })

  it('asks about every kind with pods that is judged', () => {
    const validating = find('ValidatingWebhookConfiguration').webhooks[1]
    const resources = validating.rules.flatMap((rule: { resources: string[] }) => rule.resources)
    assert.equal(resources.sort(), POD_KINDS.map((kind) => `${kind.toLowerCase()}s`).sort())
  })

  it('the certificate of cert-manager is the one that is mounted, and the one that the API server trusts', () => {
    const all = deployedObjects('deploy/webhook/cert-manager')
    const certificate = all.find(
      ({ kind, metadata }) => kind === 'Certificate' && metadata.name === 'plexus-webhook',
    )
    assert.is(certificate?.spec.secretName, 'plexus-webhook')
    assert.equal(certificate?.spec.dnsNames, ['plexus-webhook.kube-system.svc'])
    for (const kind of ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration']) {
      const { annotations } = find(kind).metadata as { annotations?: Record<string, string> }
      assert.is(annotations?.['cert-manager.io/inject-ca-from'], 'kube-system/plexus-webhook')
    }
    const issuers = all.filter(({ kind }) => kind === 'Issuer').map(({ metadata }) => metadata.name)
    for (const { kind, spec: of } of all)
      if (kind === 'Certificate') assert.ok(issuers.includes(of.issuerRef.name))
  })
})

function sorted(expressions: readonly { key: string }[]): readonly unknown[] {
  return [...expressions].sort((left, right) => (left.key < right.key ? -1 : 1))
}

function pick({ name, namespace }: { readonly name: string; readonly namespace?: string }): object {
  return { name, namespace }
}
