import { readFileSync, writeFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import * as assert from 'uvu/assert'
import { CniError } from '../../src/cni/cni-error.ts'
import { CniErrorCode } from '../../src/cni/codes.ts'
import { makeCertificate, type SelfMadeCertificate } from '../../src/webhook/self-made-certificate.ts'
import { listenTls, type TlsServer } from '../../src/webhook/server.ts'
import { type KeyPair, watchServingCertificate } from '../../src/webhook/serving-certificate.ts'
import { eventually } from '../rig/daemon.ts'
import { tempDir } from '../rig/temp-dir.ts'
import { spec } from '../spec.ts'

const MEGABYTE = 1024 * 1024

interface Sent {
  readonly method?: string
  readonly path?: string
  readonly body?: string | Buffer
  readonly type?: string
  readonly agent?: Agent | false
}

spec('the server of the webhook', (it) => {
  let server: TlsServer
  let made: SelfMadeCertificate
  const warnings: string[] = []
  const bodies: unknown[] = []

  const pairOf = ({ cert, key }: SelfMadeCertificate): KeyPair => ({ cert, key, expiresAt: new Date() })
  const send = (sent: Sent = {}, ca = made.ca): Promise<{ status: number; body: string }> =>
    new Promise((resolve, reject) => {
      const { method = 'POST', path = '/echo', body = '{}', type = 'application/json', agent = false } = sent
      const options: RequestOptions = {
        method,
        ca,
        agent,
        headers: { 'content-type': type },
        timeout: 10_000,
      }
      const outgoing = request(`https://127.0.0.1:${server.port}${path}`, options, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.once('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
      })
      outgoing.once('error', reject)
      outgoing.end(body)
    })

  it.before(async () => {
    made = makeCertificate(['127.0.0.1'], 1)
    const answer = (status: number, body: string) => ({ status, type: 'text/plain', body })
    const routes = {
      get: { '/healthz': async () => answer(200, 'ok') },
      post: {
        '/echo': async (body: unknown) => {
          bodies.push(body)
          return answer(200, JSON.stringify(body))
        },
        '/wrong': async () => {
          throw new CniError(CniErrorCode.TryAgainLater, 'the cluster cannot be asked')
        },
      },
    }
    server = await listenTls({ host: '127.0.0.1', port: 0 }, pairOf(made), routes, (text) =>
      warnings.push(text),
    )
  })
  it.after(() => server.close(1000))

  it('hands on JSON and answers', async () => {
    assert.equal(await send({ body: '{"a": ["ü"]}' }), { status: 200, body: '{"a":["ü"]}' })
    assert.equal(await send({ method: 'GET', path: '/healthz?a=b', body: '' }), { status: 200, body: 'ok' })
  })

  const refused: readonly (readonly [title: string, Sent, number, string])[] = [
    ['what is no JSON', { body: '{' }, 400, 'the body is no JSON'],
    ['nothing', { body: '' }, 400, 'the body is no JSON'],
    ['another type', { type: 'text/plain' }, 415, 'JSON only'],
    ['another path', { path: '/other' }, 404, 'nothing'],
    ['a path of every object', { path: '/constructor' }, 404, 'nothing'],
    ['another method', { method: 'PUT' }, 405, 'nothing'],
    ['a path that is only for POST', { method: 'GET', body: '' }, 404, '/healthz'],
    ['a body that is too long', { body: Buffer.alloc(9 * MEGABYTE, ' ') }, 413, 'more than 8388608 bytes'],
  ]
  for (const [title, sent, status, phrase] of refused) {
    it(`refuses ${title}, and goes on`, async () => {
      const before = bodies.length
      const answer = await send(sent).catch((error: NodeJS.ErrnoException) => {
        // It may have said so and gone before all of it was sent.
        if (sent.body instanceof Buffer && /EPIPE|ECONNRESET/.test(error.code ?? '')) return undefined
        throw error
      })
      if (answer !== undefined) {
        assert.is(answer.status, status)
        assert.match(answer.body, phrase)
      }
      assert.is(bodies.length, before)
      assert.is((await send()).status, 200)
    })
  }

  it('reads no more at once than it has room for', async () => {
    const open: ClientRequest[] = []
    const begin = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': 8 * MEGABYTE }
        const options = { method: 'POST', ca: made.ca, agent: false as const, headers }
        const outgoing = request(`https://127.0.0.1:${server.port}/echo`, options, ({ statusCode }) =>
          resolve(statusCode ?? 0),
        )
        outgoing.once('error', reject)
        open.push(outgoing)
        // Never the last byte.
        outgoing.write(Buffer.alloc(8 * MEGABYTE - 1, ' '))
      })
    const statuses: number[] = []
    const begun = Array.from({ length: 12 }, () =>
      begin().then(
        (status) => statuses.push(status),
        () => statuses.push(0),
      ),
    )
    await eventually(() => assert.ok(statuses.length > 0), 20_000)
    assert.ok(statuses.every((status) => status === 503 || status === 0))
    for (const outgoing of open) outgoing.destroy()
    await Promise.all(begun)
    await eventually(async () => assert.is((await send()).status, 200), 20_000)
  })

  it('a fault is status 500, so that the failure policy decides, and is told', async () => {
    assert.equal(await send({ path: '/wrong' }), { status: 500, body: 'the cluster cannot be asked\n' })
    assert.ok(warnings.includes('/wrong cannot be answered: the cluster cannot be asked'))
  })

  it('speaks no TLS that is out of use', async () => {
    const said = await new Promise<string>((resolve) => {
      const options = { host: '127.0.0.1', port: server.port, ca: made.ca, maxVersion: 'TLSv1.1' as const }
      const socket = connect({ ...options, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }, () =>
        resolve('connected'),
      )
      socket.once('error', ({ message }) => resolve(message))
    })
    assert.not.equal(said, 'connected')
  })

  it('a new certificate counts for new connections, and ends no old one', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    assert.is((await send({ agent })).status, 200)
    const next = makeCertificate(['127.0.0.1'], 1)
    server.use(pairOf(next))
    assert.is((await send({ agent })).status, 200)
    assert.is((await send({}, next.ca)).status, 200)
    const refusal = await send().then(
      () => 'taken',
      ({ code }: NodeJS.ErrnoException) => code,
    )
    assert.not.equal(refusal, 'taken')
    agent.destroy()
    made = next
  })
})

spec('the serving certificate', (it) => {
  it('is read anew when its files change; a bad pair is told and the old one stays', async () => {
    const folder = tempDir('serving')
    const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
    const writePair = ({ cert, key }: SelfMadeCertificate): void => {
      write('tls.crt', cert)
      write('tls.key', key)
    }
    const [first, second, third] = [1, 2, 3].map((days) => makeCertificate(['localhost'], days))
    if (first === undefined || second === undefined || third === undefined) throw new Error('none were made')
    writePair(first)
    const told: (string | undefined)[] = []
    const watch = watchServingCertificate(folder, (pair, fault) => told.push(fault ?? pair?.cert))
    try {
      assert.is(watch.current.cert, first.cert)
      writePair(second)
      await eventually(() => assert.equal(told, [second.cert]), 20_000)
      assert.is(watch.current.key, second.key)
      // Of two that do not belong together none is used.
      write('tls.crt', third.cert)
      await eventually(() => assert.match(told[1] ?? '', 'the serving certificate is unusable'), 20_000)
      assert.equal([watch.current.cert, watch.fault], [second.cert, told[1]])
      assert.not.match(told[1] ?? '', readFileSync(join(folder, 'tls.key'), 'utf8').slice(30, 60))
      write('tls.key', third.key)
      await eventually(() => assert.is(told[2], third.cert), 20_000)
      assert.is(watch.fault, undefined)
    } finally {
      watch.close()
    }
  })

  it('that is not there, or is none, is a fault of the start', () => {
    const folder = tempDir('serving')
    const start = (): string => {
      try {
        watchServingCertificate(folder, () => undefined).close()
        return 'started'
      } catch (error) {
        return error instanceof CniError ? `${error.message} ${error.hint}` : 'no CniError'
      }
    }
    assert.match(start(), /tls.crt cannot be read: .*plexus webhook cert makes one/)
    for (const name of ['tls.crt', 'tls.key']) writeFileSync(join(folder, name), 'none')
    assert.match(start(), 'the serving certificate is unusable')
  })
})
