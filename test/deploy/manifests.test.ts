import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { isJsonObject } from '../../src/cni/json.ts'
import { parseDaemonConf } from '../../src/config/daemon-conf.ts'
import { readDocument, sectionOf, tableRows } from '../docs/markdown.ts'
import { deployedObject, deployedObjects } from '../rig/deployment.ts'
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

function pick({ name, namespace }: { readonly name: string; readonly namespace?: string }): object {
  return { name, namespace }
}
