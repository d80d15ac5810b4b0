import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { parseNetConf } from '../../src/config/net-conf.ts'
import { openClusterView } from '../../src/webhook/cluster-view.ts'
import { makeCertificate } from '../../src/webhook/self-made-certificate.ts'
import { eventually } from '../rig/daemon.ts'
import { nad } from '../rig/manifests.ts'
import { spec } from '../spec.ts'

const MOST_READS = 16

spec('the view of a cluster', (it) => {
  it('does not say that a NAD is missing when there are too many reads to ask for it', async () => {
    const { cert, key, ca } = makeCertificate(['127.0.0.1'], 1)
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    // Nothing is ever listed; reads of NADs wait until they are let go.
    const server = createServer({ cert, key }, ({ url = '' }, response) => {
      const name = /\/namespaces\/telco\/network-attachment-definitions\/(.+)$/.exec(url)?.[1]
      const answer = JSON.stringify(nad({ name: name ?? '', namespace: 'telco' }))
      if (name !== undefined) void released.then(() => response.end(answer))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const credentials = { server: `https://127.0.0.1:${port}`, tls: { ca }, token: undefined }
    const view = openClusterView({
      credentials: { current: () => credentials, forget: () => undefined },
      conf: () => parseNetConf({ type: 'plexus' }),
      warn: () => undefined,
    })
    try {
      const names = Array.from({ length: MOST_READS }, (_, index) => `n${index}`)
      const reads = Promise.allSettled(names.map((name) => view.nad('telco', name)))
      const error = await view.nad('telco', 'n6').then(
        (found) => found,
        (reason: unknown) => reason,
      )
      assert.instance(error, CniError)
      assert.is((error as CniError).code, CniErrorCode.TryAgainLater)
      release()
      await reads
      await eventually(async () => assert.is((await view.nad('telco', 'n6'))?.name, 'n6'), 20_000)
    } finally {
      await view.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })
})
