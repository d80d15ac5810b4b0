import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { runProbes } from '../../src/node/readiness-probe.ts'
import type { ReadinessProbe } from '../../src/plan/systems/network-system.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

/** Listens as long as the test lasts; the probe does not keep it. */
async function listening(server: Server, where: string | number): Promise<number> {
  await new Promise<void>((resolve) => {
    if (typeof where === 'string') server.listen(where, resolve)
    else server.listen(where, '127.0.0.1', resolve)
  })
  server.unref()
  return typeof where === 'string' ? 0 : (server.address() as AddressInfo).port
}

async function faultOf(probe: ReadinessProbe, root?: string): Promise<string | undefined> {
  const [result] = await runProbes([probe], root)
  assert.is(result?.probe, probe)
  return result?.fault
}

spec('readiness probes of network systems', (it) => {
  it('a file is looked for below the root of the host', async () => {
    const root = tempDir('root')
    const probe = { kind: 'file', path: '/var/lib/calico/nodename' } as const
    assert.is(await faultOf(probe, root), '/var/lib/calico/nodename is missing')
    mkdirSync(join(root, 'var/lib/calico'), { recursive: true })
    writeFileSync(join(root, probe.path), 'worker-1')
    assert.is(await faultOf(probe, root), undefined)
  })

  it('a socket must be listened on: its file alone is not enough', async () => {
    const root = tempDir('root')
    const probe = { kind: 'socket', path: '/cni.sock' } as const
    assert.match((await faultOf(probe, root)) ?? '', '/cni.sock accepts no connection')
    const server = createServer()
    await listening(server, join(root, 'cni.sock'))
    assert.is(await faultOf(probe, root), undefined)
    server.close()
    writeFileSync(join(root, 'cni.sock'), '')
    assert.match((await faultOf(probe, root)) ?? '', '/cni.sock accepts no connection')
  })

  it('a port must be listened on, and HTTP answer 200 in time', async () => {
    let status = 200
    let isSilent = false
    const server = createHttpServer((_request, response) => {
      if (!isSilent) response.writeHead(status).end('body')
    })
    const port = await listening(server, 0)
    const http = { kind: 'http', url: `http://127.0.0.1:${port}/healthz` } as const
    const tcp = { kind: 'tcp', host: '127.0.0.1', port } as const
    assert.is(await faultOf(http), undefined)
    assert.is(await faultOf(tcp), undefined)
    status = 503
    assert.is(await faultOf(http), `${http.url} answers 503`)
    isSilent = true
    assert.match((await faultOf(http)) ?? '', 'does not answer')
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    assert.match((await faultOf(http)) ?? '', 'does not answer')
    assert.match((await faultOf(tcp)) ?? '', `127.0.0.1:${port} accepts no connection`)
  })

  it('of several places one is enough', async () => {
    const root = tempDir('root')
    const places = ['/a', '/b'].map((path) => ({ kind: 'file', path }) as const)
    const probe = { kind: 'any', of: places } as const
    assert.is(await faultOf(probe, root), '/a is missing, and /b is missing')
    writeFileSync(join(root, 'b'), '')
    assert.is(await faultOf(probe, root), undefined)
  })
})
