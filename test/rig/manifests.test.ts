import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { spec } from '../spec.ts'
import { nad, pod, podArgs, writeManifests } from './manifests.ts'
import { tempDir } from './temp-dir.ts'

spec('rig: manifests', (it) => {
  it('are written as the objects that they are, and replaced', () => {
    const dir = tempDir('manifests')
    const one = pod({ namespace: 'telco', name: 'upf', networks: [{ name: 'n6' }] })
    const files = writeManifests(dir, one, nad({ name: 'n6', config: { type: 'x' } }))
    assert.equal(
      files.map((file) => file.slice(dir.length + 1)),
      ['pod-telco-upf.json', 'networkattachmentdefinition-default-n6.json'],
    )
    writeManifests(dir, { ...one, spec: {} })
    assert.equal(JSON.parse(readFileSync(files[0] ?? '', 'utf8')), { ...one, spec: {} })
    assert.is(one.metadata.annotations?.['k8s.v1.cni.cncf.io/networks'], '[{"name":"n6"}]')
    assert.is(
      podArgs(one, 'c1'),
      'IgnoreUnknown=1;K8S_POD_NAMESPACE=telco;K8S_POD_NAME=upf;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=uid-upf',
    )
  })
})
