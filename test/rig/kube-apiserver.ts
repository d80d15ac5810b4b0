import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { cpSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { type CertificateAuthority, certificateAuthority, type KeyPair } from './certificates.ts'
import { atEnd } from './teardown.ts'
import { tempDir } from './temp-dir.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const READY_WITHIN_MS = 60_000

/** What the API server answered. */
interface ApiAnswer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object, looked at by tests.
  readonly body: any
}

/** Users that authenticate with `<name>-token`; `admin` may do everything, the others nothing of themselves. */
type ApiUser = 'admin' | 'node' | 'nobody'

/** A running kube-apiserver with its etcd, the NAD CRD served. */
export interface KubeApiserver {
  /** `https://127.0.0.1:port` */
  readonly server: string
  readonly port: number
  readonly authority: CertificateAuthority
  /** Asks as `admin`, or as another. */
  call(method: string, path: string, body?: object, options?: CallOptions): Promise<ApiAnswer>
  /** {@link call} that rejects unless the answer is 2xx; gives the object. */
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object, looked at by tests.
  ok(method: string, path: string, body?: object, options?: CallOptions): Promise<any>
  /** Ends the API server; etcd stays, and {@link start} goes on from there on the same port. */
  stop(signal?: NodeJS.Signals): Promise<void>
  start(): Promise<void>
  /** Forgets all history up to now in etcd, so that a watch from before cannot be continued. */
  compact(): Promise<void>
  /** Puts the state of this moment aside for {@link restore}; ends the API server and starts it again. */
  backUp(): Promise<void>
  /** Goes back to the state that was put aside, as after a restore of etcd: versions begin again from there. */
  restore(): Promise<void>
  /** Ends both and waits for it. */
  close(): Promise<void>
}

/** How a request is made. */
interface CallOptions {
  readonly user?: ApiUser
  readonly token?: string
  /** Default: merge patch for PATCH, else JSON. */
  readonly contentType?: string
}

/**
 * Starts etcd and kube-apiserver on loopback and waits until they serve NetworkAttachmentDefinitions.
 *
 * @param assets Directory of both executables; default what `scripts/kube-assets.sh find` says.
 */
export async function startKubeApiserver(assets = findAssets()): Promise<KubeApiserver> {
  const dir = tempDir('kube')
  const authority = certificateAuthority()
  const serving = authority.serving('kube-apiserver')
  const users: readonly ApiUser[] = ['admin', 'node', 'nobody']
  writeFileSync(
    join(dir, 'tokens.csv'),
    users
      .map((user) => `${user}-token,${user},${user}-uid${user === 'admin' ? ',"system:masters"' : ''}\n`)
      .join(''),
    { mode: 0o600 },
  )
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(join(dir, 'sa.key'), privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 })
  const [clientPort = 0, peerPort = 0, port = 0] = await freePorts(3)
  const etcdUrl = `http://127.0.0.1:${clientPort}`
  const startEtcd = (): Program =>
    startProgram(join(assets, 'etcd'), etcdArgs(etcdUrl, `http://127.0.0.1:${peerPort}`), dir, 'etcd')
  let etcd = startEtcd()
  let api: Program | undefined
  const server = `https://127.0.0.1:${port}`
  const ca = readFileSync(authority.ca, 'utf8')

  const call: KubeApiserver['call'] = (method, path, body, options = {}) =>
    callApi(`${server}${path}`, ca, method, body, options)
  const ok: KubeApiserver['ok'] = async (method, path, body, options) => {
    const answer = await call(method, path, body, options)
    if (answer.status >= 200 && answer.status < 300) return answer.body
    throw new Error(`${method} ${path}: ${answer.status} ${answer.body?.message ?? String(answer.body)}`)
  }
  const isReady = async (): Promise<boolean> => {
    try {
      return (
        (await call('GET', '/readyz')).status === 200 &&
        (await call('GET', '/api/v1/namespaces/default')).status === 200
      )
    } catch {
      return false
    }
  }
  const start = async (): Promise<void> => {
    const program = startProgram(
      join(assets, 'kube-apiserver'),
      apiArgs(dir, etcdUrl, port, serving, authority.ca),
      dir,
      'apiserver',
    )
    api = program
    await waitFor('kube-apiserver', isReady, [program, etcd])
  }
  await start()
  const crd = parse(readFileSync(join(ROOT, 'crds/network-attachment-definition.yaml'), 'utf8')) as object
  await ok('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd)
  const isServed = async (): Promise<boolean> =>
    (await call('GET', '/apis/k8s.cni.cncf.io/v1/network-attachment-definitions')).status === 200
  await waitFor('the NAD CRD', isServed, api === undefined ? [etcd] : [api, etcd])

  const stop: KubeApiserver['stop'] = async (signal = 'SIGTERM') => {
    await api?.stop(signal)
    api = undefined
  }
  /** Copies etcd's state while nobody uses it. */
  const copyState = async (from: string, to: string): Promise<void> => {
    await stop()
    await etcd.stop('SIGTERM')
    rmSync(join(dir, to), { recursive: true, force: true })
    cpSync(join(dir, from), join(dir, to), { recursive: true })
    etcd = startEtcd()
    await start()
  }

  return {
    server,
    port,
    authority,
    call,
    ok,
    start,
    stop,
    backUp: () => copyState('etcd', 'etcd-backup'),
    restore: () => copyState('etcd-backup', 'etcd'),
    compact: async () => {
      const post = async (path: string, body: object): Promise<{ header?: { revision: string } }> => {
        const response = await fetch(`${etcdUrl}${path}`, {
          method: 'POST',
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(10_000),
        })
        return (await response.json()) as { header?: { revision: string } }
      }
      const { header } = await post('/v3/kv/range', { key: Buffer.from('a').toString('base64') })
      await post('/v3/kv/compaction', { revision: header?.revision, physical: true })
    },
    close: async () => {
      await api?.stop('SIGTERM')
      await etcd.stop('SIGTERM')
    },
  }
}

function findAssets(): string {
  const script = join(ROOT, 'scripts/kube-assets.sh')
  return execFileSync(script, ['find'], { encoding: 'utf8', timeout: 30_000 }).trim()
}

function etcdArgs(clientUrl: string, peerUrl: string): string[] {
  return [
    ...['--data-dir', 'etcd', '--unsafe-no-fsync', '--logger', 'zap', '--log-level', 'error'],
    ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
    ...['--initial-cluster', `default=${peerUrl}`],
  ]
}

function apiArgs(dir: string, etcdUrl: string, port: number, serving: KeyPair, ca: string): string[] {
  return Object.entries({
    'etcd-servers': etcdUrl,
    'bind-address': '127.0.0.1',
    'advertise-address': '127.0.0.1',
    'secure-port': String(port),
    'tls-cert-file': serving.cert,
    'tls-private-key-file': serving.key,
    'client-ca-file': ca,
    'cert-dir': dir,
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-signing-key-file': join(dir, 'sa.key'),
    'service-account-key-file': join(dir, 'sa.key'),
    'service-cluster-ip-range': '10.0.0.0/24',
    'token-auth-file': join(dir, 'tokens.csv'),
    'authorization-mode': 'RBAC',
    'endpoint-reconciler-type': 'none',
    // No controller makes the default service accounts that pods would need.
    'disable-admission-plugins': 'ServiceAccount',
    'allow-privileged': 'true',
  }).map(([key, value]) => `--${key}=${value}`)
}

interface Program {
  readonly isOver: boolean
  /** The end of its log. */
  log(): string
  stop(signal: NodeJS.Signals): Promise<void>
}

function startProgram(path: string, args: readonly string[], dir: string, name: string): Program {
  const logFile = join(dir, `${name}.log`)
  const log = openSync(logFile, 'a')
  // Without the mark of the test run: it outlives the requests whose leftovers are looked for.
  const child: ChildProcess = spawn(path, args, {
    cwd: dir,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', log, log],
  })
  // A test that failed must not wait for it.
  child.unref()
  atEnd(() => child.kill('SIGKILL'))
  let isOver = false
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      isOver = true
      resolve()
    }
    child.once('exit', end)
    child.once('error', end)
  })
  return {
    get isOver() {
      return isOver
    },
    log: () => readFileSync(logFile, 'utf8').split('\n').slice(-6).join('\n'),
    async stop(signal) {
      child.ref()
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
      await ended
      clearTimeout(timer)
    },
  }
}

async function waitFor(
  what: string,
  isThere: () => Promise<boolean>,
  programs: readonly Program[],
): Promise<void> {
  for (const end = Date.now() + READY_WITHIN_MS; !(await isThere()); await delay(50)) {
    const fault = programs.some(({ isOver }) => isOver) ? 'has ended' : 'is not ready'
    if (fault === 'has ended' || Date.now() > end) {
      throw new Error(`${what} ${fault}:\n${programs.map((program) => program.log()).join('\n')}`)
    }
  }
}

/** Ports of loopback that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => {
            const address = server.address()
            resolve(typeof address === 'object' && address !== null ? address.port : 0)
          })
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

function callApi(
  url: string,
  ca: string,
  method: string,
  body: object | undefined,
  { user = 'admin', token = `${user}-token`, contentType }: CallOptions,
): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const type = contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json')
    const headers = { authorization: `Bearer ${token}`, 'content-type': type }
    const outgoing = request(url, { method, ca, headers, agent: false, timeout: 20_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: toBody(text) }))
    })
    outgoing.once('error', reject)
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${method} ${url}: no answer`)))
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

function toBody(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
